"""ExplainRollout: says why SageMaker took a new model back during its rollout."""
