"""Stands for the image of Debugger's rules: LossNotDecreasing fires above its limit, Broken breaks, Slow never ends."""

import json
import os
import sys
import time
from pathlib import Path

tensors, output, results = map(Path, sys.argv[1:])
rules = json.loads(os.environ["RULES"])
print("files", json.dumps(sorted(str(path.relative_to(tensors)) for path in tensors.rglob("*") if path.is_file())))
invoked = {name: parameters["rule_to_invoke"] for name, parameters in rules.items()}
if "Broken" in invoked.values():
    sys.exit(5)
if "Slow" in invoked.values():
    (output.parent.parent.parent / "evaluating").write_text(str(os.getpid()))
    time.sleep(120)
found = {}
saved = tensors / "events/0.tfevents"
for name, rule in invoked.items():
    if rule == "LossNotDecreasing":
        if not saved.exists():
            found[name] = ("Error", "no tensors")
        elif float(saved.read_text()) > float(rules[name].get("limit", "2")):
            found[name] = ("IssuesFound", f"{rule}: {saved.read_text()}")
        else:
            found[name] = ("NoIssuesFound", "")
    elif rule == "Profile":
        found[name] = ("NoIssuesFound", "read" if (output / "profile.json").exists() else "nothing to read")
    elif rule == "Kept":
        found[name] = ("NoIssuesFound", " ".join(sorted(path.name for path in tensors.rglob("*.tfevents"))))
(results / "found.json").write_text(json.dumps(found))
