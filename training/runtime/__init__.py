"""What SageMaker gives a job: folders, processes, signals, checkpoints; and the observer's protocol."""
