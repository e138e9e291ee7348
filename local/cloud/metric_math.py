"""CloudWatch's metric math, as far as alarms on a ratio need it: arithmetic, comparisons, IF and FILL.

Source: CloudWatch user guide, "Using metric math". Expressions are evaluated period by period; a period in which one of
an expression's metrics has no datapoint, or that divides by zero, has none either.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Final

__all__ = ["Expression", "ExpressionError"]

_OPERATORS: Final[Mapping[type[ast.AST], Callable[[float, float], float]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_FUNCTIONS: Final = {"IF": 3, "FILL": 2}
"""The functions that are played, with the number of their arguments."""


class ExpressionError(ValueError):
    """The expression is wrong, or has what is not played here; the message says which."""


class Expression:
    """An expression such as `IF(requests >= 10, errors / requests, 0)`.

    Raises:
        ExpressionError: it cannot be evaluated here.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        try:
            self._tree = ast.parse(text.strip().replace("^", "**"), mode="eval").body
        except SyntaxError as error:
            raise ExpressionError(f"'{text}' is no expression of metric math: {error.msg}") from None
        self._check(self._tree)

    @property
    def names(self) -> set[str]:
        """The ids of the metrics and expressions that it stands on."""
        return {node.id for node in ast.walk(self._tree) if isinstance(node, ast.Name) and node.id not in _FUNCTIONS}

    def value(self, metrics: Mapping[str, float | None]) -> float | None:
        """Return its value in one period, by the metrics' values in it (None: no datapoint); None if it has none."""
        try:
            value = self._value(self._tree, metrics)
        except (ZeroDivisionError, OverflowError):
            return None
        return None if value is None or isinstance(value, complex) else float(value)

    def _check(self, node: ast.AST) -> None:
        match node:
            case ast.Constant(value=int() | float()) | ast.Name():
                return
            case ast.BinOp(left, sign, right) if type(sign) in _OPERATORS:
                parts = [left, right]
            case ast.Compare(left, [sign], [right]) if type(sign) in _OPERATORS:
                parts = [left, right]
            case ast.UnaryOp(ast.USub(), operand):
                parts = [operand]
            case ast.Call(ast.Name(name), arguments, []) if _FUNCTIONS.get(name) == len(arguments):
                parts = arguments
            case _:
                raise ExpressionError(
                    f"The local cloud cannot evaluate '{ast.unparse(node)}' in '{self._text}'; it has the operators "
                    "+ - * / ^ and comparisons, and the functions IF with three arguments and FILL with two."
                )
        for part in parts:
            self._check(part)

    def _value(self, node: ast.AST, metrics: Mapping[str, float | None]) -> float | None:
        match node:
            case ast.Constant(value=int() | float() as number):
                return float(number)
            case ast.Name(name):
                return metrics[name]
            case ast.UnaryOp(_, operand):
                value = self._value(operand, metrics)
                return None if value is None else -value
            case ast.Call(ast.Name("FILL"), [metric, filling]):
                value = self._value(metric, metrics)
                return self._value(filling, metrics) if value is None else value
            case ast.Call(ast.Name("IF"), [condition, then, otherwise]):
                value = self._value(condition, metrics)
                return None if value is None else self._value(then if value else otherwise, metrics)
            case ast.BinOp(left, sign, right) | ast.Compare(left, [sign], [right]):
                first, second = self._value(left, metrics), self._value(right, metrics)
                if first is None or second is None:
                    return None
                return _OPERATORS[type(sign)](first, second)
        raise AssertionError(f"{node} was checked")
