"""What Lambda gives a function: an environment without real credentials, and a context.

Import it before a function's modules, which make their clients as they are imported.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

os.environ.setdefault("AWS_DEFAULT_REGION", "eu-west-1")
os.environ.setdefault("ENDPOINT_NAME", "whippet-dev")
os.environ.setdefault("SERVING_MODE", "realtime")
os.environ.setdefault("API_AUTH", "api_key")
os.environ.setdefault("CORS_ORIGINS", "")
os.environ.setdefault("UPLOADS_BUCKET", "data")
os.environ.setdefault("FEEDBACK_DAYS", "0")
os.environ.setdefault("SLEEP_RECORD", "")
os.environ.setdefault("ENVIRONMENT", "dev")
os.environ.setdefault("POWERTOOLS_LOG_LEVEL", "CRITICAL")


@dataclass
class Context:
    """What Lambda hands a function of itself."""

    function_name: str = "function"
    memory_limit_in_mb: int = 256
    invoked_function_arn: str = "arn:aws:lambda:eu-west-1:123456789012:function:function"
    aws_request_id: str = "request"
    log_group_name: str = "/aws/lambda/function"
    log_stream_name: str = "stream"
    remaining: int = 900_000

    def get_remaining_time_in_millis(self) -> int:
        return self.remaining
