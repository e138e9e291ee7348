"""Writes a tiny ONNX file without the onnx package, which the endpoint's environment does not have.

The model answers the colour a picture has most of: softmax of the mean red, green and blue. As its distance it gives
the mean of all values over 127.5, so that bright pictures are unknown. Field numbers are those of ONNX's protobuf
definition (onnx.proto3).
"""

from __future__ import annotations

import struct
from pathlib import Path

FLOAT, UINT8, INT64 = 1, 2, 7


def varint(value: int) -> bytes:
    encoded = b""
    while value > 0x7F:
        encoded += bytes([value & 0x7F | 0x80])
        value >>= 7
    return encoded + bytes([value])


def field(number: int, value: int | str | bytes) -> bytes:
    """One protobuf field: a number, or anything with a length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    content = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(content)) + content


def node(operator: str, inputs: list[str], output: str, *attributes: bytes) -> bytes:
    parts = [field(1, name) for name in inputs] + [field(2, output), field(4, operator)]
    return field(1, b"".join([*parts, *(field(5, attribute) for attribute in attributes)]))


def whole_number(name: str, value: int) -> bytes:
    return field(1, name) + field(3, value) + field(20, 2)


def whole_numbers(name: str, values: list[int]) -> bytes:
    return field(1, name) + b"".join(field(8, value) for value in values) + field(20, 7)


def tensor_type(name: str, kind: int, sides: list[int | str]) -> bytes:
    shape = b"".join(field(1, field(2, side) if isinstance(side, str) else field(1, side)) for side in sides)
    return field(1, name) + field(2, field(1, field(1, kind) + field(2, shape)))


def write_colour_model(
    file: Path, *, image_size: int, classes: int = 3, distance: bool = True, evidence: bool = True
) -> None:
    """Input `image`, outputs `probabilities` and, unless it is a file of an earlier release, `distance` and `evidence`.

    The evidence is how much redder each pixel is than 127.5.
    """
    nodes = [
        node("Cast", ["image"], "pixels", whole_number("to", FLOAT)),
        node("ReduceMean", ["pixels"], "means", whole_numbers("axes", [1, 2]), whole_number("keepdims", 0)),
        node("Mul", ["means", "factor"], "scores"),
        node("Softmax", ["scores"], "probabilities", whole_number("axis", 1)),
    ]
    outputs = [field(12, tensor_type("probabilities", FLOAT, ["n", classes]))]
    if distance:
        axes = whole_numbers("axes", [1, 2, 3])
        nodes += [
            node("ReduceMean", ["pixels"], "brightness", axes, whole_number("keepdims", 0)),
            node("Div", ["brightness", "threshold"], "distance"),
        ]
        outputs.append(field(12, tensor_type("distance", FLOAT, ["n"])))
    if evidence:
        nodes += [
            node("Slice", ["pixels", "first", "second", "channels"], "reds"),
            node("Squeeze", ["reds", "channels"], "red"),
            node("Sub", ["red", "threshold"], "evidence"),
        ]
        outputs.append(field(12, tensor_type("evidence", FLOAT, ["n", image_size, image_size])))
    constants = [_constant("factor", 0.05), _constant("threshold", 127.5)]
    constants += [_index("first", 0), _index("second", 1), _index("channels", 3)]
    image = field(11, tensor_type("image", UINT8, ["n", image_size, image_size, 3]))
    graph = b"".join([*nodes, field(2, "colour"), *constants, image, *outputs])
    file.write_bytes(field(1, 8) + field(8, field(1, "") + field(2, 13)) + field(7, graph))


def _constant(name: str, value: float) -> bytes:
    return field(5, field(1, 1) + field(2, FLOAT) + field(8, name) + field(9, struct.pack("<f", value)))


def _index(name: str, value: int) -> bytes:
    return field(5, field(1, 1) + field(2, INT64) + field(8, name) + field(9, struct.pack("<q", value)))
