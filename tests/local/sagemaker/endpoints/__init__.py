"""Tests of models and endpoints."""
