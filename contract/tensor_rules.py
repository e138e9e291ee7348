"""The rules on the tensors that the hook saved, an entry each.

Source: "List of Debugger built-in rules" (Amazon SageMaker AI developer guide). The page gives two defaults for
LossNotDecreasing's `mode`, GLOBAL and none; here it is none, as its text describes. SageMaker documents few limits:
those below exclude what cannot mean anything, such as a share of 120 percent of a layer.

Where this project's default differs, SageMaker's suits long trainings of large networks from nothing. The figures were
measured with digits (4,000) and clothing10 (1,172 photos) over the search space, learning rates 0.001 to 0.1 and
batches of 16 to 512, with 3 and 20 epochs, and with fine-tunings: see docs/debugger.md.
"""

from __future__ import annotations

from typing import Final

from contract.rule import TRAINING_MODES, Rule
from contract.rule_parameters import choice, flag, number, regex, text, whole

__all__ = ["TENSOR_RULES"]

_ONE_LAYER: Final = "a head on features is one linear layer and has"

TENSOR_RULES: Final = (
    Rule(
        name="ExplodingTensor",
        kind="tensor",
        blocks=True,
        fires_when="any tensor holds NaN or infinity (with `only_nan`: NaN)",
        parameters={"collection_names": text(None), "tensor_regex": regex(None), "only_nan": flag(False)},
    ),
    Rule(
        name="LossNotDecreasing",
        kind="tensor",
        blocks=True,
        fires_when="over `num_steps` steps of `mode` the loss fell by less than `diff_percent`, or rose by more than "
        "`increase_threshold_percent`",
        parameters={
            "collection_names": text(None),
            "tensor_regex": regex(None),
            "use_losses_collection": flag(True),
            "num_steps": whole(10, low=1),
            # In long trainings a healthy loss settles, changing by less than 0.01 % in ten epochs, but not by nothing.
            "diff_percent": number(0.1, low=0, high=100, project=0.0001),
            # A healthy head's validation loss rose by 20 % in ten epochs (learning rate 0.1), its accuracy staying.
            "increase_threshold_percent": number(5.0, low=0, project=50.0),
            # Steps are epochs here, and the losses means over all validation photos.
            "mode": choice(None, *TRAINING_MODES, project="EVAL"),
        },
    ),
    Rule(
        name="PoorWeightInitialization",
        kind="tensor",
        blocks=True,
        fires_when="in the first `steps` steps, the variances of activation inputs differ by more than `threshold` "
        "times, a gradient's percentiles (5 and 95) are closer than `distribution_range`, or the loss did not fall for "
        "`patience` steps",
        parameters={
            "activation_inputs_regex": regex(".*relu_input"),
            # The variances of pretrained networks differ by nature: by 41 times in efficientnet_lite0.
            "threshold": number(10.0, low=0, finetune=10_000.0),
            # The first gradients may be as narrow as the photos are easy, since the head is a trained one, and mostly
            # zero in a 5 x 5 convolution over maps of 2 x 2.
            "distribution_range": number(0.001, low=0, finetune=0.0),
            # The head being trained already, its first loss may be the lowest of ten.
            "patience": whole(5, low=1, finetune=10),
            "steps": whole(10, low=1),
        },
        not_applicable={
            "features": f"{_ONE_LAYER} no activation function whose inputs could be compared; it begins at zero, so "
            "there is no chance in its initialisation"
        },
    ),
    Rule(
        name="VanishingGradient",
        kind="tensor",
        blocks=True,
        fires_when="the mean absolute gradient of a weight is below `threshold`",
        # Gradients of a head that knows its photos by heart: 1e-16 measured, in good health. Only none at all is wrong.
        parameters={"threshold": number(1e-7, low=0, project=1e-30)},
    ),
    Rule(
        name="Overfit",
        kind="tensor",
        blocks=True,
        fires_when="the validation loss is above the training loss by more than `ratio_threshold` times that, "
        "`patience` times in a row, from step `start_step` on",
        parameters={
            "tensor_regex": regex(None),
            "start_step": whole(0, low=0),
            "patience": whole(1, low=1, project=3),
            # A healthy head of 678 photos reached 115 at learning rate 0.1.
            "ratio_threshold": number(0.1, low=0, project=150.0),
        },
    ),
    Rule(
        name="Overtraining",
        kind="tensor",
        fires_when="neither loss improved by `delta` for `patience_train` steps and `patience_validation` epochs",
        parameters={
            "patience_train": whole(5, low=0),
            # A head is often settled after two epochs of the default 20, and the settled epoch is kept anyway.
            "patience_validation": whole(10, low=0, project=20),
            "delta": number(0.01, low=0),
        },
    ),
    Rule(
        name="UnchangedTensor",
        kind="tensor",
        fires_when="the last `num_steps` saved values of a tensor are the same, within `rtol` and `atol`",
        parameters={
            "collection_names": text(None, project="weights"),
            "tensor_regex": regex(None),
            # At the end of the cosine, weights of healthy heads changed by less than 1e-5 between saved steps.
            "num_steps": whole(3, low=2, project=5),
            "rtol": number(1e-5, low=0, project=1e-7),
            "atol": number(1e-8, low=0, project=1e-12),
            "equal_nan": flag(False),
        },
    ),
    Rule(
        name="AllZero",
        kind="tensor",
        fires_when="at least `threshold` percent of a tensor's values are zero",
        parameters={
            "collection_names": text(None),
            # SageMaker wants the tensors named. A new head is zero, and so is its bias's gradient where the classes are
            # balanced in a batch.
            "tensor_regex": regex(None, project="^gradient/.*weight$"),
            "threshold": number(100.0, low=0, high=100),
        },
    ),
    Rule(
        name="WeightUpdateRatio",
        kind="tensor",
        fires_when="between saved steps at least `num_steps` apart, a weight changed by more than `large_threshold` "
        "times itself or by less than `small_threshold`",
        parameters={
            # A head begins at zero: the weight of step 50 is 17 times that of step 2.
            "num_steps": whole(None, low=1, project=10),
            "large_threshold": number(10.0, low=0),
            "small_threshold": number(1e-8, low=0),
            "epsilon": number(1e-9, low=0),
        },
    ),
    Rule(
        name="ClassImbalance",
        kind="tensor",
        fires_when="of `samples` labels, the commonest class has more than `threshold_imbalance` times the rarest; or "
        "more than the part `threshold_misprediction` of a class is predicted wrongly at the end",
        parameters={
            "threshold_imbalance": number(10.0, low=0),
            # A head after three epochs at learning rate 0.001 missed 75 % of a class of 12 validation photos.
            "threshold_misprediction": number(0.7, low=0, high=1, project=0.9),
            "samples": whole(500, low=1),
            "argmax": flag(False),
            "labels_regex": regex(".*labels"),
            "predictions_regex": regex(".*predictions"),
        },
    ),
    Rule(
        name="DeadRelu",
        kind="tensor",
        fires_when="more than `threshold_layer` percent of a layer's ReLUs are above zero in less than "
        "`threshold_inactivity` percent of the cases",
        parameters={
            "tensor_regex": regex(".*relu_output"),
            "threshold_inactivity": number(1.0, low=0, high=100),
            # Channels that a few photos leave silent are half of a pretrained layer where its maps are 2 x 2.
            "threshold_layer": number(50.0, low=0, high=100, finetune=95.0),
        },
        on_in=("finetune",),
        not_applicable={"features": f"{_ONE_LAYER} no ReLU; train with mode finetune for this rule"},
    ),
    Rule(
        name="SaturatedActivation",
        kind="tensor",
        fires_when="more than `threshold_layer` percent of a layer's tanh or sigmoid functions have inputs between "
        "their thresholds in less than `threshold_inactivity` percent of the cases",
        parameters={
            "collection_names": text(None),
            "tensor_regex": regex(".*tanh_input|.*sigmoid_input"),
            "threshold_tanh_min": number(-9.4999),
            "threshold_tanh_max": number(9.4999),
            "threshold_sigmoid_min": number(-23.0),
            "threshold_sigmoid_max": number(16.99999),
            "threshold_inactivity": number(1.0, low=0, high=100),
            "threshold_layer": number(50.0, low=0, high=100),
        },
        on_in=(),
        not_applicable={"features": f"{_ONE_LAYER} neither tanh nor sigmoid"},
    ),
    Rule(
        name="Confusion",
        kind="tensor",
        fires_when="of what is predicted as a class, less than the part `min_diag` is of it, or more than "
        "`max_off_diag` is of another",
        parameters={
            "category_no": whole(None, low=1),
            "labels": text("labels"),
            "predictions": text("predictions"),
            "labels_collection": text("labels"),
            "predictions_collection": text("predictions"),
            "min_diag": number(0.9, low=0, high=1),
            "max_off_diag": number(0.1, low=0, high=1),
        },
        on_in=(),
    ),
)
