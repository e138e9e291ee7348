"""The settings of the API: who may call it, from which web pages, and how often."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator

from infra.settings.section import Section

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
    cors_origins: tuple[_Origin, ...] = Field(
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

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: object) -> object:
        """`-c api.cors_origins=https://a.example` is a list of one, `-c api.cors_origins=` an empty one."""
        if value is None:
            return ()
        return [value] if isinstance(value, str) else value
