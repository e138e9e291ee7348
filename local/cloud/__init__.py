"""This machine as the cloud: ministack with a SageMaker of ours, and every touch on ministack's internals."""
