"""The end of the endpoint's automatic scaling, where a role may end it."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools import Logger
from botocore.exceptions import ClientError

import contract

from .aws_errors import is_denied

__all__ = ["end_scaling"]

logger = Logger(child=True)


def end_scaling(autoscaling: Any, *, endpoint: str) -> None:
    """Let the endpoint scale no more, where it does.

    A permission boundary that does not know Application Auto Scaling refuses the call. It refused the registration,
    too, so that nothing of this stack scales.
    """
    try:
        contract.end_scaling(autoscaling, endpoint=endpoint)
    except ClientError as error:
        if not is_denied(error):
            raise
        logger.warning("may not end the scaling of an endpoint", extra={"endpoint": endpoint, "error": str(error)})
