"""A target whose clients answer questions and count everything else."""

from __future__ import annotations

from typing import Any

__all__ = ["ReadOnly"]

_QUESTIONS = ("describe_", "list_", "get_", "head_", "paginate")


class ReadOnly:
    """Stands before a target: a call that is no question is refused, and remembered in `written`."""

    def __init__(self, target: Any) -> None:
        self._target = target
        self.written: list[str] = []
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    def read_outputs(self) -> dict[str, str]:
        """What a stack that is deployed answers."""
        outputs: dict[str, str] = self._target.outputs
        return outputs

    def client(self, service: str) -> Any:
        """Return the target's client, which only answers."""
        client, watcher = self._target.client(service), self

        class Watched:
            def __getattr__(self, name: str) -> Any:
                if name.startswith(_QUESTIONS):
                    watcher.asked += 1
                    return getattr(client, name)
                if not callable(getattr(client, name)):
                    return getattr(client, name)
                watcher.written.append(f"{service}.{name}")
                raise AssertionError(f"--plan called {service}.{name}")

        return Watched()
