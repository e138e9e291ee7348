"""A deployed system, driven by the `whippet` command and through its API as a person does it."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import contract
from tests.system.system import System, run_of

__all__ = ["Driver", "Ran"]

INPUT: Final[dict[str, Any]] = {"image_size": 64, "views": 0, "epochs": 2, "quantize": False}


@dataclass(frozen=True)
class Ran:
    """A run, and the data set as its jobs got it."""

    ended: str
    summary: contract.DatasetSummary
    paths: list[str]
    logs: str

    @property
    def photos(self) -> dict[str, int]:
        """The number of photos of each class."""
        return {each["name"]: each["train"] + each["validation"] + each["test"] for each in self.summary["classes"]}

    @property
    def unreadable(self) -> list[str]:
        """Photos of the manifest that the logs name as left out."""
        return [path for path in self.paths if f"left out: {path}: " in self.logs]


@dataclass(frozen=True)
class Driver:
    """A deployed system, driven as a person does."""

    system: System

    def tell(self, *arguments: str) -> tuple[int, str]:
        """Return a command's exit status and all that it says, as one line."""
        result = self.system.whippet(*arguments, check=False)
        said = result.stdout + result.stderr
        print(f"$ whippet {' '.join(arguments)}\n{said}", file=sys.stderr, flush=True)
        if "Traceback" in said and arguments[0] != "logs":
            raise RuntimeError(f"whippet {' '.join(arguments)} ended with a traceback:\n{said}")
        return result.returncode, " ".join(said.split())

    def start(self, **overrides: Any) -> tuple[int, str]:
        return self.tell("run", "--input", json.dumps(INPUT | overrides))

    def run(self, **overrides: Any) -> Ran:
        status, said = self.start(**overrides)
        s3, bucket, run = self.system.client("s3"), self.system.bucket, run_of(self.system.last_execution())
        manifest = s3.get_object(Bucket=bucket, Key=f"runs/{run}/manifest/{contract.Artefact.MANIFEST}")["Body"]
        return Ran(
            ended="released" if status == 0 else said[said.find("error:") :],
            summary=self.system.document(run, f"manifest/{contract.Artefact.DATASET_SUMMARY}"),
            paths=[json.loads(line)["path"] for line in manifest.iter_lines()],
            logs=self.tell("logs", run)[1],
        )

    def sync(self, folder: Path) -> None:
        """Replace the data set by every file of a folder, as `aws s3 sync --delete` does."""
        s3, bucket = self.system.client("s3"), self.system.bucket
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="dataset/"):
            for item in page.get("Contents", []):
                s3.delete_object(Bucket=bucket, Key=item["Key"])
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            s3.upload_file(str(file), bucket, f"dataset/{file.relative_to(folder).as_posix()}")

    def classify(self, body: bytes, media_type: str) -> tuple[int, dict[str, Any]]:
        answer = self.system.api("POST", "classify", body, x_api_key=self.system.key(), content_type=media_type)
        return answer.status, answer.json()
