"""The API as a client sees it: its limits, its key, and its answers when something fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import urllib3

if TYPE_CHECKING:
    from tests.local.cloud.conftest import Account

http = urllib3.PoolManager()


class Api:
    def __init__(self, url: str) -> None:
        self._url = url

    def post(
        self, path: str, body: bytes = b"photo", key: str | None = None, content_type: str | None = "image/jpeg"
    ) -> urllib3.BaseHTTPResponse:
        sent = {"Accept": "*/*"} | ({"x-api-key": key} if key else {})
        sent |= {"Content-Type": content_type} if content_type else {}
        return http.request("POST", self._url + path, body=body, headers=sent, timeout=60)


@pytest.fixture
def api(account: Account, front_door: dict[str, str]) -> Api:
    return Api(account.cloud.api_url(front_door["Api"], "v1"))


@pytest.mark.parametrize("content_type", ["image/jpeg", "application/x-www-form-urlencoded", "text/plain", None])
def test_bytes_pass_through_unchanged_both_ways(api: Api, content_type: str | None) -> None:
    everything = bytes(range(256)) * 100
    answer = api.post("open", everything, content_type=content_type)
    assert (answer.status, answer.data) == (200, everything[::-1])
    assert answer.headers["Content-Type"] == "application/octet-stream"


@pytest.mark.parametrize("headers", [{"Origin": "https://photos.example"}, {"Sec-Fetch-Site": "cross-site"}])
def test_a_web_page_of_another_origin_reaches_the_api_which_decides_itself(
    account: Account, front_door: dict[str, str], headers: dict[str, str]
) -> None:
    url = account.cloud.api_url(front_door["Api"], "v1") + "open"
    answer = http.request("POST", url, body=b"photo", headers=headers | {"Content-Type": "image/jpeg"})
    assert (answer.status, answer.data) == (200, b"otohp")


@pytest.mark.parametrize("key", [None, "another"])
def test_a_missing_or_unknown_key_is_refused_in_the_words_of_the_template(api: Api, key: str | None) -> None:
    answer = api.post("guarded", key=key)
    assert (answer.status, answer.json()) == (403, {"title": "no key", "detail": "Forbidden"})
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_the_key_opens_the_door_until_the_plan_is_used_up(api: Api) -> None:
    answers = [api.post("guarded", key="a-key-of-the-front-door") for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[-1].json() == {"title": "refused", "detail": "Too Many Requests"}


def test_a_body_over_10_mib_is_refused_by_the_gateway(api: Api) -> None:
    answer = api.post("open", bytes(10 * 1024 * 1024 + 1))
    assert answer.status == 413
    assert answer.json() == {"title": "too large", "detail": "HTTP content length exceeded 10485760 bytes."}


def test_a_body_over_what_lambda_takes_is_refused_and_one_below_is_not(api: Api) -> None:
    """6 MiB of request is about 4.7 MB of photo, as base64 takes a third more."""
    assert api.post("open", bytes(5_000_000)).status == 413
    fits = bytes(4_500_000)
    assert api.post("open", fits).data == fits


def test_an_exception_in_the_function_is_a_502_that_tells_nothing_of_it(api: Api) -> None:
    answer = api.post("raise")
    assert (answer.status, answer.json()) == (502, {"title": "failed", "detail": "Internal server error"})


def test_an_answer_that_is_no_proxy_response_is_a_502(api: Api) -> None:
    assert api.post("malformed").status == 502


def test_a_path_the_api_does_not_have_is_answered_in_the_words_of_the_template(api: Api) -> None:
    answer = api.post("nowhere")
    assert (answer.status, answer.json()["detail"]) == (403, "Missing Authentication Token")


def test_the_address_is_on_this_machine(account: Account, front_door: dict[str, str]) -> None:
    url = account.cloud.api_url(front_door["Api"], "v1")
    assert url == f"http://127.0.0.1:{account.cloud.port}/_aws/execute-api/{front_door['Api']}/v1/"
