"""Stands for a training image: what it does is told by its hyperparameters."""

import json
import os
import signal
import sys
import time
from pathlib import Path

base = Path(os.environ["SAGEMAKER_BASE_DIR"])
given = json.loads((base / "input/config/hyperparameters.json").read_text())
action = given.get("action", "train")

if action == "fail":
    (base / "output/failure").write_text("the loss is not a number")
    sys.exit(3)
if action == "die":
    os.kill(os.getpid(), signal.SIGKILL)
if action == "wait":  # until it is told to stop, which it does cleanly

    def stop(*_: object) -> None:
        (base / "model/model.txt").write_text("stopped early")
        print("saved", flush=True)
        sys.exit(0)

    signal.signal(signal.SIGTERM, stop)
    print("waiting", flush=True)
    time.sleep(120)
if action == "environment":
    (base / "output/data/environment.json").write_text(json.dumps(dict(os.environ)))

files = sorted(
    str(path.relative_to(base / "input/data")) for path in (base / "input/data").rglob("*") if path.is_file()
)
print("files", json.dumps(files))
checkpoint = base / "checkpoints/epoch.txt"
print("resumed from", checkpoint.read_text() if checkpoint.exists() else "nothing")
checkpoint.write_text("7")
x = float(given.get("x", "0"))
for epoch in range(int(given.get("epochs", "3"))):
    value = given.get("constant") or str(1 - (x - 0.3) ** 2 - 0.1 / (epoch + 1))
    print(f"epoch={epoch} objective={value};", flush=True)
    time.sleep(float(given.get("pause", "0")))
(base / "model/weights").mkdir()
(base / "model/weights/model.txt").write_text(f"x={x}")
(base / "output/data/evaluation.json").write_text("{}")
