"""The local cloud: AWS played on this machine, for `whippet demo`, `whippet up` and the tests."""
