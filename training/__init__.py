"""The jobs: embedding photos, tuning and training, evaluating rules; and the preprocessing that serving shares."""

import os

# ONNX Runtime reports its use to Microsoft unless it is told not to before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
