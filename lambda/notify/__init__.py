"""Notify: sends the message about how a run ended."""
