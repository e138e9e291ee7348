"""What is published to a topic can be read in the state folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from local import control
from tests.local.cloud.conftest import Account

FILE = "messages.log"


def test_a_message_is_written_whoever_subscribes(account: Account, name: str) -> None:
    sns = account.client("sns")
    topic = sns.create_topic(Name=name)["TopicArn"]
    sns.publish(TopicArn=topic, Subject="run 1 failed", Message="What to do: nothing.")
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="me@example.com")
    per_protocol = json.dumps({"default": "of the others", "email": "of the e-mail"})
    entries = [{"Id": "1", "Message": per_protocol, "MessageStructure": "json"}]
    sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)

    file = account.cloud.state / FILE
    written = file.read_text()
    assert f"UTC, topic {name}: run 1 failed\n\nWhat to do: nothing.\n\n" in written
    assert f"UTC, topic {name}: (no subject)\n\nof the e-mail\n\n" in written
    assert file.stat().st_mode & 0o077 == 0, "it may hold questions for an approval"


def test_messages_can_be_read_until_the_next_start(
    own_account: Account, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sns, state = own_account.client("sns"), own_account.cloud.state
    sns.publish(TopicArn=sns.create_topic(Name="t")["TopicArn"], Message="the last word")
    control.stop(state)
    assert "the last word" in (state / FILE).read_text()

    monkeypatch.setenv("WHIPPET_ENVIRONMENTS", str(programs))
    control.start(state)
    assert not (state / FILE).exists()
