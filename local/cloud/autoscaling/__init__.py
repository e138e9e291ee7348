"""Application Auto Scaling of SageMaker's endpoints: the service, what it asks of its callers, and target tracking."""
