"""Tests of the `whippet` command."""
