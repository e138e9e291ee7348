"""The endpoint: a SageMaker container's HTTP interface around an ONNX model."""

import os

# ONNX Runtime reports its use to Microsoft unless it is told not to before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
