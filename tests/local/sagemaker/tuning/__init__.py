"""Tests of tuning jobs."""
