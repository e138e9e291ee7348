"""A training environment that answers at once: with findings on the photos that it is told to suspect, or previews."""

from __future__ import annotations

import base64
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

__all__ = ["install"]

_PROGRAM = """#!{python}
import json, pathlib, sys
request = json.loads(pathlib.Path(sys.argv[3]).read_text())
answer = json.loads(pathlib.Path({answer!r}).read_text())
pathlib.Path({asked!r}).write_text(json.dumps(request))
print(json.dumps({{"stage": "reading photos", "done": 1, "total": 1}}))
if answer["error"]:
    print("RuntimeError: " + answer["error"], file=sys.stderr)
    sys.exit(1)
if sys.argv[2] == "training.preview_photos":
    contents = {{path: pathlib.Path(request["folder"], path).read_bytes() for path in request["photos"]}}
    previews = {{
        "thumbnails": {{path: {picture!r} for path, content in contents.items() if b"damaged" not in content}},
        "unreadable": {{path: "it is cut short" for path, content in contents.items() if b"damaged" in content}},
    }}
    pathlib.Path(request["output"]).write_text(json.dumps(previews))
    sys.exit()
labels = {{photo["path"]: photo for photo in request["photos"]}}
findings = []
for finding in answer["findings"]:
    photo = labels[finding["path"]]
    suggested = finding.pop("looks_like", None)
    findings.append({{
        "score": 1.0, "reason": "a reason", "other": None, "group": None, "label": photo["label"],
        "split": photo["split"], "suggested": None if suggested is None else request["classes"].index(suggested),
        **finding,
    }})
check = {{
    "classes": request["classes"], "photos": len(request["photos"]), "findings": findings, "remarks": answer["remarks"],
}}
output = pathlib.Path(request["output"])
(output / "check.json").write_text(json.dumps(check))
(output / "thumbnails.json").write_text(json.dumps({{finding["path"]: {picture!r} for finding in findings}}))
"""


def install(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *findings: dict[str, Any],
    remarks: tuple[str, ...] = (),
    error: str = "",
) -> Path:
    """Install the environment below a folder; return the file in which it leaves what it was asked.

    Args:
        folder: where it is written.
        monkeypatch: which makes it the environment that is used.
        findings: `kind` and `path`, `looks_like` for a suggested class, and other fields of `PhotoFinding`.
        remarks: on the whole data set.
        error: what the check fails with, if not empty.
    """
    program = folder / "training" / "bin" / "python"
    program.parent.mkdir(parents=True, exist_ok=True)
    answer, asked = folder / "answer.json", folder / "asked.json"
    answer.write_text(json.dumps({"findings": findings, "remarks": remarks, "error": error}))
    program.write_text(_PROGRAM.format(python=sys.executable, answer=str(answer), asked=str(asked), picture=_picture()))
    program.chmod(0o755)
    monkeypatch.setenv("WHIPPET_ENVIRONMENTS", str(folder))
    return asked


def _picture() -> str:
    file = io.BytesIO()
    Image.new("RGB", (32, 24), "teal").save(file, "JPEG")
    return base64.b64encode(file.getvalue()).decode()
