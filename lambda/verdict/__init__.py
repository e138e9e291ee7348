"""Verdict: decides whether a model may go into service."""
