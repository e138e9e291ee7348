"""What several Lambda functions use; every function's zip carries it."""
