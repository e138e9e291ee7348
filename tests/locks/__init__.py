"""The locks, and what the package index has for them on each promised platform: see `make platforms`."""
