"""Names of classes: what can be a label, and which names a person cannot tell apart."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable

from contract.dataset import FolderError

__all__ = ["check_class_names", "is_class_name", "look", "shown"]

_LONGEST = 256
"""Longest name of a class, in characters."""

_UNREADABLE = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
"""Unicode categories of characters that show nothing, or change how others are shown, such as U+202E and U+200B."""

_VARIATION_SELECTORS = "\ufe0e\ufe0f"

_NAMED = 5


def check_class_names(names: Iterable[str]) -> None:
    """Check that the names can be told apart and read.

    Raises:
        FolderError: names differ only in case, in invisible characters, in spaces or in how Unicode composes a letter
            (NFC and NFD); or a name is empty, too long or holds what cannot be read.
    """
    alike: dict[str, list[str]] = defaultdict(list)
    for name in sorted(names):
        alike[look(name)].append(name)

    if same := [" and ".join(map(_as_code, group)) for group in alike.values() if len(group) > 1]:
        raise FolderError(
            f"class folders whose names look the same: {'; '.join(same[:_NAMED])}{_more(same)}; they differ in case, "
            "spaces, invisible characters or the form of an accent only (é as one character or as two): put the photos "
            "of each class into one folder, or give them names that differ to the eye"
        )
    invalid = [_as_code(name) for group in alike.values() for name in group if _is_invalid(name)]
    if invalid:
        raise FolderError(
            f"class folders with names that cannot be labels: {', '.join(invalid[:_NAMED])}{_more(invalid)}; rename "
            f"them to readable text of at most {_LONGEST} characters, without control or invisible characters and "
            "without spaces at the ends"
        )


def is_class_name(name: str) -> bool:
    """Return whether a class folder may have this name, as far as a single name tells."""
    return not _is_invalid(name) and "/" not in name


def shown(name: str) -> str:
    """Return a name as a message shows it: as it is, or in ASCII where it holds what nobody can see."""
    return ascii(name) if any(map(_is_unreadable, name)) or name != name.strip() else name


def look(name: str) -> str:
    """Return the same text for all names that a person cannot tell apart."""
    seen = "".join(
        character
        for character in unicodedata.normalize("NFC", name)
        if character not in _VARIATION_SELECTORS and (character.isspace() or not _is_unreadable(character))
    )
    return unicodedata.normalize("NFC", " ".join(seen.split()).casefold())


def _is_invalid(name: str) -> bool:
    return not name or len(name) > _LONGEST or name != name.strip() or any(map(_is_unreadable, name))


def _is_unreadable(character: str) -> bool:
    return unicodedata.category(character) in _UNREADABLE or character == "\ufffd"


def _as_code(name: str) -> str:
    """Write a name in ASCII, with the code points that nobody can see in it."""
    unreadable = sorted({f"U+{ord(character):04X}" for character in name if _is_unreadable(character)})
    return f"{name!a} ({', '.join(unreadable)})" if unreadable else ascii(name)


def _more(names: list[str]) -> str:
    return f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
