"""Tests of what an account refuses, loses, delays and limits."""
