"""Test results: scores, calibration, confidence intervals, tables and plots."""
