"""Tests of training and processing jobs, and of Debugger."""
