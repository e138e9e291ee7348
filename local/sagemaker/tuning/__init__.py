"""Hyperparameter tuning jobs: their trials, the search strategies, early stopping and warm start."""
