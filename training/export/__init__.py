"""From a trained network to the file that is served: ONNX, int8, and which of them it is."""
