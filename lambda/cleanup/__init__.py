"""Cleanup: the custom resource that deletes what runs left, when the stack is destroyed."""
