"""Put into an environment what stands in for the packages that locks/training.excludes leaves out of it.

`make setup` runs this file with the environment's own Python after it has installed the lock. A job on the local
SageMaker runs `pip install -r requirements.txt` there, as AWS's image does. PyTorch's metadata demands the packages
that are left out, so pip would download them then. An entry of the same version tells it that they are there.
"""

from __future__ import annotations

import shutil
import sysconfig
from pathlib import Path
from typing import Final

LEFT_OUT: Final = {"cuda-bindings": "13.5.0", "nvidia-cusolver": "12.0.4.66", "triton": "3.7.1"}
"""The versions that the locked PyTorch demands; tests/training/test_requirements.py asks pip whether they are right."""

LOCAL_VERSION: Final = "left.out"
"""Shown behind the version, as in `triton 3.7.1+left.out`, so that nobody takes the entry for the package."""


def install(folder: Path) -> None:
    """Copy the toolkit's extension and write the packages' entries into a site-packages folder."""
    shutil.copy(Path(__file__).with_name("gethostname.py"), folder)

    for name, version in LEFT_OUT.items():
        entry = folder / f"{name.replace('-', '_')}-{version}+{LOCAL_VERSION}.dist-info"
        entry.mkdir(exist_ok=True)
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}+{LOCAL_VERSION}\n"
        (entry / "METADATA").write_text(metadata, encoding="utf-8")
        (entry / "INSTALLER").write_text("whippet\n", encoding="utf-8")
        # the list of the entry's files, by which installers remove it
        files = "".join(f"{entry.name}/{file},,\n" for file in ("METADATA", "INSTALLER", "RECORD"))
        (entry / "RECORD").write_text(files, encoding="utf-8")


if __name__ == "__main__":
    install(Path(sysconfig.get_path("purelib")))
