from __future__ import annotations

import json

from inference.metrics import Metrics


def test_prometheus_text_adds_up() -> None:
    metrics = Metrics()
    for wait in (0.001, 0.03, 20.0):
        metrics.took(wait=wait, decode=0.004, model=0.012)
        metrics.count(200)
    metrics.count(503)
    metrics.worker_ended()
    lines = metrics.prometheus(waiting=4, busy=2).splitlines()
    assert 'whippet_requests_total{status="503"} 1' in lines
    assert "whippet_queue_length 4" in lines
    assert "whippet_worker_ends_total 1" in lines
    assert 'whippet_wait_seconds_bucket{le="0.005"} 1' in lines
    assert 'whippet_wait_seconds_bucket{le="0.05"} 2' in lines
    assert 'whippet_wait_seconds_bucket{le="10.0"} 2' in lines
    assert 'whippet_wait_seconds_bucket{le="+Inf"} 3' in lines
    assert "whippet_wait_seconds_count 3" in lines


def test_a_line_of_the_log_holds_what_happened_since_the_last_one() -> None:
    metrics = Metrics()
    assert metrics.embedded("dev") is None
    for _ in range(150):
        metrics.took(wait=0.5, decode=0.004, model=0.012)
        metrics.count(200)
    metrics.queued(3)
    metrics.count(503)
    metrics.count(500)

    line = json.loads(metrics.embedded("dev") or "")
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Dimensions"] == [["EndpointName"]]
    assert line["EndpointName"] == "dev"
    assert (line["Requests"], line["Refused"], line["Errors"], line["LongestQueue"]) == (152, 1, 1, 3)
    assert line["ModelTime"] == [12.0] * 100
    units = {metric["Name"]: metric["Unit"] for metric in directive["Metrics"]}
    assert units["WaitTime"] == "Milliseconds"
    assert units.keys() <= line.keys()
    assert metrics.embedded("dev") is None


def test_the_share_of_unknown_photos_waits_for_enough_answers() -> None:
    """One unknown photo of two is not half of the photos."""
    metrics = Metrics()
    for unknown in [True] * 5 + [False] * 10:
        metrics.count(200)
        metrics.answered(unknown=unknown)
    line = json.loads(metrics.embedded("dev") or "")
    assert "UnknownShare" not in line
    assert line["Unknown"] == 5

    for _ in range(5):
        metrics.count(200)
        metrics.answered(unknown=False)
    line = json.loads(metrics.embedded("dev") or "")
    assert line["UnknownShare"] == 25.0
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert {"Name": "UnknownShare", "Unit": "Percent"} in directive["Metrics"]

    # the next share begins anew
    for _ in range(20):
        metrics.count(200)
        metrics.answered(unknown=False)
    assert json.loads(metrics.embedded("dev") or "")["UnknownShare"] == 0.0
