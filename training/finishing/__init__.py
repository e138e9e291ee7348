"""Finishing the head: logistic regression on the stored features, its settings by cross-validation."""
