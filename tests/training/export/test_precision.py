from __future__ import annotations

import pytest

import contract
from training.export.precision import Choice, choose


def file(accuracy: float, milliseconds: float, precision: contract.Precision) -> contract.ModelFile:
    return {"precision": precision, "test_accuracy": accuracy, "bytes": 1, "milliseconds": milliseconds}


def classes(*recalls: float) -> list[contract.ClassScores]:
    return [
        {"name": name, "images": 100, "precision": 1.0, "recall": recall, "f1": 1.0}
        for name, recall in zip("abc", recalls, strict=False)
    ]


def chosen(
    *,
    int8_accuracy: float = 0.9,
    int8_milliseconds: float = 2.0,
    int8_recalls: tuple[float, ...] = (0.9, 0.9),
) -> Choice:
    return choose(
        file(0.9, 6.0, "fp32"),
        file(int8_accuracy, int8_milliseconds, "int8"),
        fp32_classes=classes(0.9, 0.9),
        int8_classes=classes(*int8_recalls),
    )


@pytest.mark.parametrize("accuracy", [0.895, 0.9, 0.95])
def test_int8_is_served_when_it_loses_no_more_than_half_a_point(accuracy: float) -> None:
    choice = chosen(int8_accuracy=accuracy)
    assert choice.precision == "int8"
    assert f"{accuracy:.4f} against 0.9000" in choice.reason


def test_fp32_is_served_when_int8_loses_more() -> None:
    choice = chosen(int8_accuracy=0.8949)
    assert choice.precision == "fp32"
    assert "0.8949 against 0.9000" in choice.reason


def test_fp32_is_served_when_one_class_suffers() -> None:
    assert chosen(int8_recalls=(0.93, 0.87)).precision == "int8"
    choice = chosen(int8_recalls=(0.95, 0.8699))
    assert choice.precision == "fp32"
    assert "class 'b'" in choice.reason


@pytest.mark.parametrize("milliseconds", [2.0, 5.9, 6.1, 60.0])
def test_the_time_on_the_training_machine_decides_nothing(milliseconds: float) -> None:
    """The endpoint is another machine."""
    assert chosen(int8_milliseconds=milliseconds) == chosen(int8_milliseconds=2.0)
    assert chosen(int8_milliseconds=milliseconds, int8_accuracy=0.8949).precision == "fp32"


def test_the_limits_are_the_contracts() -> None:
    assert (contract.INT8_ACCURACY_LOSS, contract.INT8_CLASS_LOSS) == (0.005, 0.03)
