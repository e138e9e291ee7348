"""The report's function is imported with a region and credentials that lead nowhere."""

from __future__ import annotations

import os

os.environ.setdefault("AWS_DEFAULT_REGION", "eu-west-1")
os.environ.setdefault("POWERTOOLS_LOG_LEVEL", "CRITICAL")
