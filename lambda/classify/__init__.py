"""Classify: the Lambda behind the HTTPS API."""
