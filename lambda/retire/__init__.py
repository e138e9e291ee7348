"""Retire: deletes models that are out of service for good."""
