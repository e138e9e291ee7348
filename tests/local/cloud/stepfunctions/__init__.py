"""Tests of the state machine's interpreter."""
