"""The debugger's rules, an entry each: everything that is to be said of a rule, but for the code that evaluates it.

An entry names the rule and its parameters. It says in which modes of training the rule is on by default, whether it
keeps a model out of service, where it cannot apply, and who may evaluate it. A new rule of this project needs an entry
here, a module in `training/debugger/rules/` (or `training/profiler/rules/`) and a line in its `evaluation.py`. The
tables of docs/debugger.md and docs/profile.md are written from here (`python -m cli.rule_tables`).

Sources: "List of Debugger built-in rules" and "List of Debugger built-in profiler rules" (Amazon SageMaker AI developer
guide), and the package smdebug-rulesconfig, which declares the profiler rules' parameters. The page gives two defaults
for LossNotDecreasing's `mode`, GLOBAL and none; here it is none, as its text describes. SageMaker documents few limits:
those below exclude what cannot mean anything, such as a window of no samples or 120 percent of a layer.

Where this project's default differs, SageMaker's suits long trainings of large networks from nothing. The figures were
measured with digits (4,000) and clothing10 (1,172 photos) over the search space, learning rates 0.001 to 0.1 and
batches of 16 to 512, with 3 and 20 epochs, and with fine-tunings: see docs/debugger.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from contract.debugger import Evaluator
from contract.hyperparameters import MODES, ContractError
from contract.rule_parameters import Parameter, ParameterValue, choice, flag, number, regex, text, whole

__all__ = [
    "BLOCKING_RULES",
    "DEFAULT_PARAMETERS",
    "DEFAULT_RULES",
    "NOT_APPLICABLE",
    "RULES",
    "Parameter",
    "ParameterValue",
    "Rule",
    "RuleKind",
    "checked_parameters",
    "why_not_applicable",
]

RuleKind = Literal["tensor", "profiler"]
"""What a rule looks at: the tensors that the hook saved, or the training job's profile."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule."""

    name: str
    """SageMaker's name of the rule, or the name of a rule of this project."""
    kind: RuleKind
    fires_when: str
    """The condition under which the rule finds an issue, in words, for the documentation."""
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    on_in: tuple[str, ...] = MODES
    """The modes of training in which it is evaluated by default."""
    blocks: bool = False
    """Whether it keeps a model out of service when it finds an issue, unless the setting `debugger.block` differs."""
    not_applicable: Mapping[str, str] = field(default_factory=dict)
    """By mode of training: why the rule says nothing about such a training."""
    evaluators: tuple[Evaluator, ...] = ("managed", "own")
    """Who may evaluate it. A rule that is not SageMaker's, or that SageMaker no longer evaluates, is `own` alone."""

    @property
    def defaults(self) -> dict[str, ParameterValue]:
        """SageMaker's default of each parameter."""
        return {name: parameter.default for name, parameter in self.parameters.items()}

    def project_defaults(self, mode: str) -> dict[str, ParameterValue]:
        """Return this project's defaults in a mode of training, without those that are SageMaker's."""
        return {
            name: parameter.project_defaults[mode]
            for name, parameter in self.parameters.items()
            if mode in parameter.project_defaults
        }


_TRAINING_MODES: Final = ("TRAIN", "EVAL", "GLOBAL")
"""smdebug's modes, which count steps: of the optimiser, of validation (here one an epoch), and both together."""

_ONE_LAYER: Final = "a head on features is one linear layer and has"

_TENSOR_RULES: Final = (
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
            "mode": choice(None, *_TRAINING_MODES, project="EVAL"),
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

_PATIENCE: Final = whole(1000, low=1)
_SCAN: Final = {"scan_interval_us": whole(60_000_000, low=1)}

# SageMaker's framework profiling ended with PyTorch 2.0, so the training job evaluates these rules itself, whoever
# evaluates the tensor rules; of them, SageMaker Debugger is asked for ProfilerReport alone.
_PROFILER_RULES: Final = (
    Rule(
        name="BatchSize",
        kind="profiler",
        evaluators=("own",),
        fires_when="GPU instances: the 95th percentiles of CPU, GPU and GPU memory are all below their thresholds",
        parameters={
            "cpu_threshold_p95": whole(70, low=0, high=100),
            "gpu_threshold_p95": whole(70, low=0, high=100),
            "gpu_memory_threshold_p95": whole(70, low=0, high=100),
            "patience": _PATIENCE,
            "window": whole(500, low=1),
            **_SCAN,
        },
    ),
    Rule(
        name="CPUBottleneck",
        kind="profiler",
        evaluators=("own",),
        fires_when="GPU instances: more than `threshold` percent of the time, the GPU is at most `gpu_threshold` "
        "percent busy while the CPU is at least `cpu_threshold` percent busy",
        parameters={
            "threshold": whole(50, low=0, high=100),
            "gpu_threshold": whole(10, low=0, high=100),
            "cpu_threshold": whole(90, low=0, high=100),
            "patience": _PATIENCE,
            **_SCAN,
        },
    ),
    Rule(
        name="Dataloader",
        kind="profiler",
        evaluators=("own",),
        fires_when="there are more decoding threads than `max_threshold` percent of the cores; or half of the steps' "
        "time is waiting for data",
        parameters={"min_threshold": whole(70, low=0), "max_threshold": whole(200, low=0), **_SCAN},
    ),
    Rule(
        name="GPUMemoryIncrease",
        kind="profiler",
        evaluators=("own",),
        fires_when="GPU instances: the mean GPU memory of `window` samples is `increase` percentage points above that "
        "of the `window` before",
        parameters={
            "increase": whole(5, low=0, high=100),
            "patience": _PATIENCE,
            "window": whole(10, low=1),
            **_SCAN,
        },
    ),
    Rule(
        name="IOBottleneck",
        kind="profiler",
        evaluators=("own",),
        fires_when="GPU instances with Linux: more than `threshold` percent of the time, the GPU is at most "
        "`gpu_threshold` percent busy while cores wait for disks at least `io_threshold` percent of theirs",
        parameters={
            "threshold": whole(50, low=0, high=100),
            "gpu_threshold": whole(10, low=0, high=100),
            "io_threshold": whole(50, low=0, high=100),
            "patience": _PATIENCE,
            **_SCAN,
        },
    ),
    Rule(
        name="LoadBalancing",
        kind="profiler",
        evaluators=("own",),
        fires_when="several GPUs or hosts: the histograms of two GPUs' work (or of two hosts' cores) differ by more "
        "than `threshold`",
        parameters={"threshold": number(0.5, low=0, high=1), "patience": _PATIENCE, **_SCAN},
    ),
    Rule(
        name="LowGPUUtilization",
        kind="profiler",
        evaluators=("own",),
        fires_when="GPU instances: the 95th percentile of a GPU's work is below `threshold_p95` percent, or the 5th "
        "below `threshold_p5`",
        parameters={
            "threshold_p95": whole(70, low=0, high=100),
            "threshold_p5": whole(10, low=0, high=100),
            "window": whole(500, low=1),
            "patience": _PATIENCE,
            **_SCAN,
        },
    ),
    Rule(
        name="MaxInitializationTime",
        kind="profiler",
        evaluators=("own",),
        fires_when="the first step comes more than `threshold` minutes after the process's start",
        parameters={"threshold": whole(20, low=0), **_SCAN},
    ),
    Rule(
        name="OverallSystemUsage",
        kind="profiler",
        evaluators=("own",),
        fires_when="never; its detail holds percentiles of the machine's utilisation",
        parameters=_SCAN,
    ),
    Rule(
        name="StepOutlier",
        kind="profiler",
        evaluators=("own",),
        fires_when="more than `n_outliers` steps are `stddev` standard deviations above the mean",
        parameters={
            # Of 5,000 steps of 1 ms on a busy machine, 75 were three deviations above the mean, and one was ten.
            "stddev": whole(3, low=0, project=10),
            "mode": choice(None, *_TRAINING_MODES),
            "n_outliers": whole(10, low=0),
            **_SCAN,
        },
    ),
    Rule(name="ProfilerReport", kind="profiler", fires_when="any other profiler rule fires"),
)

RULES: Final[dict[str, Rule]] = {rule.name: rule for rule in (*_TENSOR_RULES, *_PROFILER_RULES)}
"""Every rule by its name, in the order in which results are listed."""

DEFAULT_RULES: Final[dict[str, tuple[str, ...]]] = {
    mode: tuple(name for name, rule in RULES.items() if mode in rule.on_in) for mode in MODES
}
"""The rules that are on by default, by the hyperparameter `mode`."""

DEFAULT_PARAMETERS: Final[dict[str, dict[str, dict[str, ParameterValue]]]] = {
    mode: {name: given for name, rule in RULES.items() if (given := rule.project_defaults(mode))} for mode in MODES
}
"""This project's own defaults of parameters, by `mode` and rule, where they differ from SageMaker's."""

BLOCKING_RULES: Final = tuple(name for name, rule in RULES.items() if rule.blocks)
"""The rules that keep a model out of service when they find an issue, unless the setting `debugger.block` differs."""

NOT_APPLICABLE: Final[dict[str, dict[str, str]]] = {
    mode: {name: rule.not_applicable[mode] for name, rule in RULES.items() if mode in rule.not_applicable}
    for mode in MODES
}
"""Why a rule cannot apply to a mode of training, by `mode` and rule."""


def why_not_applicable(rule: str, *, mode: str, evaluator: Evaluator) -> str | None:
    """Return why a rule is not evaluated on a training of a mode by this evaluator; None where it is evaluated.

    Nobody is asked to evaluate such a rule, since one that finds no tensors may end as an error and so block a good
    model. It stands in the results as `NotApplicable` with the returned detail.
    """
    declared = RULES[rule]
    if mode in declared.not_applicable:
        return declared.not_applicable[mode]
    if evaluator == "managed" and declared.kind == "tensor" and evaluator not in declared.evaluators:
        return "SageMaker Debugger does not know this rule of the project's own; set debugger.mode=own to evaluate it"
    return None


def checked_parameters(rule: str, given: Mapping[str, object]) -> dict[str, ParameterValue]:
    """Return the given parameters of a rule, each in its declared type.

    Raises:
        ContractError: there is no such rule, the rule has no such parameter, or a value is of another type or outside
            its limits; the message lists what is allowed.
    """
    if rule not in RULES:
        raise ContractError(f"there is no debugger rule {rule!r}; known are {', '.join(RULES)}")
    known = RULES[rule].parameters
    checked: dict[str, ParameterValue] = {}
    for name, value in given.items():
        if name not in known:
            allowed = ", ".join(f"{key} (default {entry.default})" for key, entry in known.items()) or "none"
            raise ContractError(f"rule {rule} has no parameter {name!r}; it has {allowed}")
        try:
            checked[name] = known[name].parsed(value)
        except ContractError as error:
            raise ContractError(f"parameter {name}={value!r} of rule {rule} is wrong; {error}") from None
    return checked
