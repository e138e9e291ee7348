"""The environment of all tests."""

from __future__ import annotations

import os

# The local clouds of the tests run side by side, whatever port a developer has chosen for one.
os.environ.pop("WHIPPET_PORT", None)
