"""The settings of the API: who may call it, from which web pages, and how often."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from infra.settings.section import ONE_OR_MORE, Section

__all__ = ["ApiAuth", "ApiSettings"]

ApiAuth = Literal["api_key", "iam", "none"]

_Origin = Annotated[str, StringConstraints(pattern=r"^(\*|https?://[a-z0-9.-]{1,253}(:[0-9]{1,5})?)$")]


class ApiSettings(Section):
    """Who may call the API, and how often."""

    auth: ApiAuth = Field(
        default="api_key",
        description="Whom the API answers: who sends its key (api_key), IAM identities that may call it and sign their "
        "requests (iam), or everybody (none).",
    )
    cors_origins: Annotated[tuple[_Origin, ...], ONE_OR_MORE] = Field(
        default=(),
        max_length=10,
        description="Origins of the web pages whose scripts may call the API, such as https://photos.example.com, or * "
        "for all; empty: none but the API's own page.",
    )
    rate: float = Field(
        default=10, gt=0, le=10_000, description="Requests per second that the API, and each of its keys, may get."
    )
    burst: int = Field(
        default=20, ge=1, le=5_000, description="Requests that the API, and each of its keys, may get at once."
    )
    daily_quota: int = Field(
        default=10_000,
        ge=1,
        le=1_000_000_000,
        description="Requests that an API key may make in a day; without keys (api.auth) there is no such limit.",
    )
    feedback: bool = Field(
        default=False,
        description="Whether callers may send a photo with its right label where the answer was wrong: it is kept for "
        "`whippet feedback`. Needs a bucket of the stack's own.",
    )
    feedback_days: int = Field(
        default=90, ge=1, le=3650, description="Days after which feedback is deleted that nobody has reviewed."
    )
