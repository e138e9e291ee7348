"""Entry point of one trial of the tuning job: train a head on the features with the values the trial was given.

A trial lasts seconds, so it imports no more than torch and numpy, and needs nothing installed at its start.
"""

from __future__ import annotations

import torch

import contract
from training.data.class_weights import class_counts
from training.embedding.store import read_index, read_split
from training.loop.head_loop import fit
from training.loop.history import epoch_line
from training.model.head import new_head
from training.runtime import environment
from training.runtime.checkpoints import Checkpoints
from training.runtime.environment import JobError


def main() -> None:
    """Train for the given epochs and print each one's metrics, which SageMaker reads from the log."""
    hyperparameters = environment.hyperparameters()
    if hyperparameters.mode == "finetune":
        from training.loop import finetune  # and with it torchvision, which a head on features does without

        finetune.run_trial(hyperparameters)
        return

    # One thread is fastest for matrices this small, and gives the same numbers on every machine.
    torch.set_num_threads(1)
    torch.manual_seed(hyperparameters.seed)

    # the features, and a new head or that of an interrupted attempt
    folder, index = read_index(environment.channel(contract.Channel.FEATURES), backbone=hyperparameters.backbone)
    if index["backbone"] != hyperparameters.backbone:
        raise JobError(
            f"the features were made with backbone {index['backbone']} and this trial has {hyperparameters.backbone}; "
            "start the state machine again, which makes the features anew"
        )
    train, validation = read_split(folder, "train"), read_split(folder, "validation")
    print(
        f"trial: backbone={index['backbone']} learning_rate={hyperparameters.learning_rate:g} "
        f"batch_size={hyperparameters.batch_size}, "
        f"{len(train.labels)} training photos in {index['views']['train']} views",
        flush=True,
    )
    counts = class_counts(train.labels, classes=len(index["classes"]))
    if reason := contract.class_weights_reason(counts, wanted=hyperparameters.class_weights):
        print(reason, flush=True)
    head = new_head(train.features, levels=index["levels"], classes=len(index["classes"]))
    checkpoints = Checkpoints(
        environment.checkpoint_dir(),
        identity={
            **hyperparameters.to_strings(),
            "job": "trial",
            "features": index["key"],
            "weights": index["weights"],
        },
    )

    for epoch in fit(
        head, train=train, validation=validation, hyperparameters=hyperparameters, checkpoints=checkpoints
    ):
        print(epoch_line(epoch, epochs=hyperparameters.epochs), flush=True)


if __name__ == "__main__":
    environment.run_job(main)
