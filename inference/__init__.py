"""The endpoint: a SageMaker container's HTTP interface around an ONNX model."""
