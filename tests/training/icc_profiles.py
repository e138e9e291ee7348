"""Colour profiles written by hand after the ICC's specification (ICC.1:2001-04), for tests."""

from __future__ import annotations

import struct

__all__ = ["ADOBE_RGB", "DISPLAY_P3", "PROPHOTO", "cmyk_profile", "grey_profile", "rgb_profile"]

Matrix = tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]

ADOBE_RGB: Matrix = ((0.60974, 0.20528, 0.14919), (0.31111, 0.62567, 0.06322), (0.01947, 0.06087, 0.74457))
DISPLAY_P3: Matrix = ((0.51512, 0.29198, 0.15710), (0.24120, 0.69225, 0.06657), (-0.00105, 0.04189, 0.78407))
PROPHOTO: Matrix = ((0.79767, 0.13519, 0.03134), (0.28804, 0.71188, 0.00009), (0.0, 0.0, 0.82521))
"""From linear RGB to XYZ under D50."""


def rgb_profile(to_xyz: Matrix, *, gamma: float, name: str = "of a test") -> bytes:
    """Return a profile of three primaries and one gamma."""
    columns = zip(*to_xyz, strict=True)
    primaries = {f"{band}XYZ".encode(): _xyz(*column) for band, column in zip("rgb", columns, strict=True)}
    curves = {f"{band}TRC".encode(): _gamma(gamma) for band in "rgb"}
    return _profile(b"RGB ", b"XYZ ", {**primaries, **curves}, kind=b"mntr", name=name)


def grey_profile(gamma: float) -> bytes:
    """Return a profile of grey with one gamma."""
    return _profile(b"GRAY", b"XYZ ", {b"kTRC": _gamma(gamma)}, kind=b"mntr", name="grey of a test")


def cmyk_profile(cyan: tuple[int, int, int]) -> bytes:
    """Return a profile in which ink of whatever amount is black, but for cyan alone, which has the given L*, a*, b*."""
    white, black = bytes((255, 128, 128)), bytes((0, 128, 128))
    lightness, a, b = cyan
    corners = {0b0000: white, 0b1000: bytes((round(lightness * 2.55), a + 128, b + 128))}
    table = b"".join(corners.get(corner, black) for corner in range(16))
    identity = struct.pack(">9i", *(65536 if place in (0, 4, 8) else 0 for place in range(9)))
    straight = bytes(range(256))
    lut = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + identity + straight * 4 + table + straight * 3
    return _profile(b"CMYK", b"Lab ", {b"A2B0": lut}, kind=b"prtr", name="ink of a test")


def _profile(space: bytes, connection: bytes, tags: dict[bytes, bytes], *, kind: bytes, name: str) -> bytes:
    text = name.encode() + b"\0"
    described = b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(4 + 4 + 2 + 1 + 67)
    tags = {b"desc": described, b"cprt": b"text" + bytes(4) + b"none\0", b"wtpt": _xyz(0.9642, 1.0, 0.8249), **tags}
    directory, body, at = b"", b"", 128 + 4 + 12 * len(tags)
    for tag, content in tags.items():
        directory += tag + struct.pack(">II", at + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    header = struct.pack(">I4sI4s4s4s", at + len(body), b"lcms", 0x02400000, kind, space, connection)
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _s15(0.9642) + _s15(1.0) + _s15(0.8249)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + directory + body


def _s15(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def _xyz(x: float, y: float, z: float) -> bytes:
    return b"XYZ " + bytes(4) + _s15(x) + _s15(y) + _s15(z)


def _gamma(gamma: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))
