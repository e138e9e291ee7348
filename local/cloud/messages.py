"""SNS: what is published to a topic is written into a file of the state folder, as nothing here sends an e-mail.

Every message is written, whoever subscribes to the topic: the account's owner reads what would have been sent.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from local import clock
from local.cloud import seam

__all__ = ["FILE", "apply"]

FILE: Final = "messages.log"
"""The file's name. It begins anew with each start, as the topics do."""


def apply(state: Path) -> None:
    """Wrap the call by which ministack's SNS hands a published message to the topic's subscribers.

    Args:
        state: the folder of the server's files, where the messages are written.

    Raises:
        SeamError: ministack's SNS is not the expected one.
    """
    sns = seam.module("services.sns")
    hand_out = seam.expect(sns, "_fanout", "topic_arn", "msg_id", "message", "subject", "message_structure")
    text_for = seam.expect(sns, "_resolve_message_for_protocol", "message", "message_structure", "protocol")
    file = state / FILE
    file.unlink(missing_ok=True)

    def write_and_hand_out(
        topic_arn: str, msg_id: str, message: str, subject: str, message_structure: str = "", *more: Any, **named: Any
    ) -> None:
        text = text_for(message, message_structure, "email")
        _append(file, _page(topic_arn.rpartition(":")[2], subject, text))
        hand_out(topic_arn, msg_id, message, subject, message_structure, *more, **named)

    sns._fanout = write_and_hand_out


def _page(topic: str, subject: str, text: str) -> str:
    """Return a message as it is written: when, to which topic, about what, and its text."""
    when = datetime.fromtimestamp(clock.time(), UTC)
    return f"== {when:%Y-%m-%d %H:%M:%S} UTC, topic {topic}: {subject or '(no subject)'}\n\n{text.strip()}\n\n"


def _append(file: Path, page: str) -> None:
    """Add a page to a file that only this user may read, in one write."""
    number = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(number, page.encode())
    finally:
        os.close(number)
