"""Entry point of one trial of the tuning job: train a head on the features with the values the trial was given.

A trial lasts seconds, so it imports no more than torch and numpy, and needs nothing installed at its start.
"""

from __future__ import annotations

import torch

from training import contract, environment
from training.feature_store import read_index, read_split
from training.heads import Epoch, fit, new_head


def main() -> None:
    """Train for the given epochs and print each one's metrics, which SageMaker reads from the log."""
    hyperparameters = environment.hyperparameters()
    # One thread is fastest for matrices this small, and gives the same numbers on every machine.
    torch.set_num_threads(1)
    torch.manual_seed(hyperparameters.seed)
    folder, index = read_index(environment.channel(contract.Channel.FEATURES))
    train, validation = read_split(folder, "train"), read_split(folder, "validation")
    print(
        f"trial: learning_rate={hyperparameters.learning_rate:g} batch_size={hyperparameters.batch_size}, "
        f"{len(train.labels)} training photos in {index['views']['train']} views",
        flush=True,
    )
    head = new_head(train, levels=index["levels"], classes=len(index["classes"]))
    for epoch in fit(head, train=train, validation=validation, hyperparameters=hyperparameters):
        print(epoch_line(epoch, epochs=hyperparameters.epochs), flush=True)


def epoch_line(epoch: Epoch, *, epochs: int) -> str:
    """One epoch for people and for SageMaker's metric regexes."""
    return " ".join(
        [
            f"epoch {epoch.number}/{epochs}:",
            contract.metric("train:loss").line(epoch.train_loss),
            contract.metric("validation:loss").line(epoch.validation.loss),
            contract.metric("validation:accuracy").line(epoch.validation.accuracy),
        ]
    )


if __name__ == "__main__":
    environment.run_job(main)
