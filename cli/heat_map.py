"""A photo with the heat map of its answer over it, as one SVG or HTML file."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cli import CliError
from cli.photos import media_type
from contract import HEAT_COLOURS, heat_opacity

if TYPE_CHECKING:
    from contract import HeatMap

__all__ = ["KINDS", "check_name", "heat_map_svg", "write_heat_map"]

KINDS: Final = (".svg", ".html")

_SIDE: Final = 640
"""Side of the picture, in the units of its drawing; it is shown at any size."""


def check_name(file: Path) -> None:
    """Check that a heat map can be written to a file of this name.

    Raises:
        CliError: it has another ending, or its folder does not exist.
    """
    if file.suffix.lower() not in KINDS:
        raise CliError(f"{file} is neither an SVG nor an HTML file: give --explain a name that ends in .svg or .html")
    if not file.parent.is_dir():
        raise CliError(f"there is no folder {file.parent} for the heat map: make it, or give another name")


def write_heat_map(file: Path, *, photo: Path, heat_map: HeatMap) -> None:
    """Write the picture, as SVG or as an HTML page by the file's ending.

    Raises:
        CliError: a file cannot be read or written.
    """
    try:
        drawing = heat_map_svg(photo.read_bytes(), kind=media_type(photo), heat_map=heat_map)
        if file.suffix.lower() == ".html":
            title = escape(f"{photo.name}: {heat_map['label']}")
            style = "body{margin:0}svg{display:block;max-width:100vmin;max-height:100vh;margin:auto}"
            drawing = (
                f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{title}</title>'
                f"<style>{style}</style>\n{drawing}</html>\n"
            )
        file.write_text(drawing, encoding="utf-8")
    except OSError as error:
        raise CliError(f"the heat map cannot be written to {file} ({error.strerror}): give another name") from None


def heat_map_svg(photo: bytes, *, kind: str, heat_map: HeatMap) -> str:
    """Return the drawing: the square in the photo's centre, and on it what spoke for the label and what against it.

    Args:
        photo: the file's content.
        kind: its media type, such as image/jpeg.
        heat_map: of the photo's answer.
    """
    values, label = heat_map["values"], heat_map["label"]
    covered = _SIDE * heat_map["crop"]
    margin = (_SIDE - covered) / 2
    height, width = covered / len(values), covered / len(values[0])
    data = base64.b64encode(photo).decode("ascii")
    drawing = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_SIDE} {_SIDE + 50}" font-family="sans-serif">',
        f"<title>{escape(label)}: what speaks for it (orange) and against it (blue)</title>",
        f'<image width="{_SIDE}" height="{_SIDE}" preserveAspectRatio="xMidYMid slice" '
        f'href="data:{escape(kind)};base64,{data}"/>',
    ]
    for row, of_row in enumerate(values):
        for column, value in enumerate(of_row):
            colour = HEAT_COLOURS["for" if value > 0 else "against"]
            drawing.append(
                f'<rect x="{margin + column * width:.2f}" y="{margin + row * height:.2f}" width="{width:.2f}" '
                f'height="{height:.2f}" fill="rgb{colour}" fill-opacity="{heat_opacity(value):.3f}">'
                f"<title>{value:+.2f}</title></rect>"
            )
    drawing += [
        f'<rect x="{margin:.2f}" y="{margin:.2f}" width="{covered:.2f}" height="{covered:.2f}" fill="none" '
        'stroke="#fff" stroke-dasharray="6"/>',
        f'<text x="8" y="{_SIDE + 32}" font-size="22">{escape(label)}: orange speaks for it, blue against it</text>',
        "</svg>\n",
    ]
    return "\n".join(drawing)
