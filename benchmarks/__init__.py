"""Benchmarks: each part of the project beside what a user would choose instead."""
