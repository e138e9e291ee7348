"""A request checked against botocore's model of a service: types, required members, and what botocore leaves out."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StringShape, StructureShape
from botocore.validate import ParamValidator


@cache
def _model(service: str) -> ServiceModel:
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


def problems(call: str, payload: dict[str, Any], *, service: str = "sagemaker") -> list[str]:
    """Everything that is wrong with a request; `call` as Step Functions writes it, `service` as botocore names it."""
    shape = _model(service).operation_model(call[0].upper() + call[1:].removesuffix(".sync")).input_shape
    assert shape is not None
    report = ParamValidator().validate(payload, shape)
    return ([report.generate_report()] if report.has_errors() else []) + _constraints(shape, payload, call)


def _constraints(shape: Shape, value: Any, place: str) -> list[str]:
    found: list[str] = []
    if isinstance(shape, StructureShape):
        for name, item in value.items():
            if name in shape.members:
                found += _constraints(shape.members[name], item, f"{place}.{name}")
    elif isinstance(shape, ListShape):
        found += _size(shape, len(value), place)
        for index, item in enumerate(value):
            found += _constraints(shape.member, item, f"{place}[{index}]")
    elif isinstance(shape, MapShape):
        found += _size(shape, len(value), place)
        for key, item in value.items():
            found += _constraints(shape.key, key, f"{place} key")
            found += _constraints(shape.value, item, f"{place}.{key}")
    elif isinstance(shape, StringShape):
        found += _size(shape, len(value), place)
        pattern = shape.metadata.get("pattern")
        if pattern and not re.fullmatch(_in_python(pattern), value):
            found.append(f"{place}={value!r} does not match {pattern}")
        if shape.enum and value not in shape.enum:
            found.append(f"{place}={value!r} is none of the allowed values")
    elif shape.type_name in ("integer", "long", "float"):
        found += _size(shape, value, place)
    return found


def _size(shape: Shape, size: float, place: str) -> list[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if (low is not None and size < low) or (high is not None and size > high):
        return [f"{place}: {size} is outside {low} to {high}"]
    return []


def _in_python(pattern: str) -> str:
    """Python's regular expressions have no Unicode properties; these cover what the model's own need."""
    # characters outside of the basic plane are one range in Python, and two of surrogates in Java
    pattern = pattern.replace(r"\uD800\uDC00-\uDBFF\uDFFF", r"\U00010000-\U0010FFFF")
    for java, python in (
        (r"\p{L}", r"\w"),
        (r"\p{M}", ""),
        (r"\p{N}", r"\d"),
        (r"\p{Z}", r"\s"),
        (r"\p{Print}", "[ -~]"),
    ):
        pattern = pattern.replace(java, python)
    pattern = pattern.replace(r"\p{S}", r"$+<=>^`|~").replace(r"\p{P}", r"!-/:-@\[-_{}")
    return re.sub(r"\$\{\d+,\d+\}$", "", pattern)  # a length after the end, which "min" and "max" tell, too
