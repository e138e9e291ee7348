"""AWS's own SageMaker SDK, driven against the local SageMaker as its users drive it: see `make conformance`."""
