"""A training image for the tests: its hyperparameters say what it does."""

import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

base = Path(os.environ["SAGEMAKER_BASE_DIR"])
given = json.loads((base / "input/config/hyperparameters.json").read_text())
action = given.get("action", "train")

resources = json.loads((base / "input/config/resourceconfig.json").read_text())
host = resources["current_host"]

if action == "name":  # the host's own name, its address, and what Gloo is told
    try:
        address = socket.gethostbyname(socket.gethostname())
    except OSError:
        address = "none"
    (base / "model/seen.txt").write_text(f"{socket.gethostname()} {address} {os.environ.get('GLOO_SOCKET_IFNAME')}")
    sys.exit(0)
if action == "hosts":
    print("host", host, "of", json.dumps(resources["hosts"]), flush=True)
    files = sorted(path.name for path in (base / "input/data").rglob("*") if path.is_file())
    (base / "model" / f"files-of-{resources['hosts'].index(host) + 1}.json").write_text(json.dumps(files))
    (base / "model/shared.txt").write_text(host)
    if given.get("failing") == host:
        (base / "output/failure").write_text(f"{host} has had enough")
        sys.exit(4)
    if "failing" in given:
        time.sleep(120)
    sys.exit(0)
if action == "count":  # one step an attempt, a kill after each but the last
    steps = base / "checkpoints/steps.txt"
    done = int(steps.read_text()) if steps.exists() else 0
    print("begins at step", done, flush=True)
    steps.write_text(str(done + 1))
    if done + 1 < int(given["steps"]):
        os.kill(os.getpid(), signal.SIGKILL)
    (base / "model/steps.txt").write_text(str(done + 1))
    sys.exit(0)
if action == "save-and-wait":
    (base / "checkpoints/saved.txt").write_text("kept")
    print("waiting", flush=True)
    time.sleep(120)
if action == "train-on":  # until it is killed, or for so many seconds; it tells if it hears SIGTERM
    signal.signal(signal.SIGTERM, lambda *_: (base / "checkpoints/heard.txt").write_text("SIGTERM"))
    end = time.time() + float(given.get("seconds", "120"))
    while time.time() < end:
        unfinished = base / "checkpoints/step.tmp"
        unfinished.write_text(str(time.time()))
        unfinished.replace(base / "checkpoints/step.txt")
        time.sleep(0.02)
    (base / "model/model.txt").write_text("trained")
    sys.exit(0)
if action == "rotate":  # a new checkpoint replaces the one before, twice
    for step in ("1", "2", "3"):
        (base / f"checkpoints/{step}.txt").write_text(step)
        print("saved", step, flush=True)
        time.sleep(float(given["pause"]))
        (base / f"checkpoints/{int(step) - 1}.txt").unlink(missing_ok=True)
    sys.exit(0)
if action in ("save", "save-and-fail"):  # what Debugger's hook does
    tensors = Path(json.loads((base / "input/config/debughookconfig.json").read_text())["LocalPath"])
    (tensors / "events").mkdir(parents=True)
    (tensors / "events/0.tfevents").write_text(given.get("loss", "1.0"))
    (tensors / "events/1.tfevents.tmp").write_text("half a")
    (base / "output/data/profile.json").write_text("{}")
    if given.get("attempts") and not (base / "checkpoints/again").exists():
        (tensors / "events/first.tfevents").write_text("of the first attempt")
        (base / "checkpoints/again").write_text("")
        os.kill(os.getpid(), signal.SIGKILL)
    sys.exit(3 if action == "save-and-fail" else 0)
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
