"""Documents: the plain values that a manifest file holds, and what can be wrong with its text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xds.errors import XdsError

if TYPE_CHECKING:
    from collections.abc import Iterable

DocumentPath = tuple[str | int, ...]
"""Index of the document in its file, then keys and indices: `(0, "spec", "ports", 1)`."""


class DocumentError(XdsError):
    """A file whose text is not what it should be.

    Attributes:
        code: XDS0101 or XDS0104.
        line: 1-based; 0 if unknown.
        hint: the remedy.
    """

    def __init__(self, message: str, *, line: int = 0, hint: str = "", code: str = "XDS0101") -> None:
        super().__init__(message)
        self.code = code
        self.line = line
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file."""

    index: int
    line: int
    value: Any
    """dict, list, str, int, float, bool or None. Aliases share values: do not change them."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """The documents of a text; those that are null are left out."""

    documents: tuple[Document, ...] = ()
    aliased_nodes: int = 0
    """What aliases add, counted as if each were written out."""


def text_of(content: bytes) -> str:
    """Return the text of a file, without a byte order mark.

    Raises:
        DocumentError: it is not UTF-8.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        found = "UTF-16 text" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else f"byte 0x{content[error.start]:02x}"
        line = content.count(b"\n", 0, error.start) + 1
        raise DocumentError(f"found {found}; expected UTF-8 text", line=line, hint="save the file as UTF-8") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DocumentError("found a NUL byte; expected UTF-8 text", line=line, hint="save the file as UTF-8")
    return text


def first_twice(keys: Iterable[str]) -> str:
    """Return the first key that occurs a second time; there must be one."""
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            return key
        seen.add(key)
    raise AssertionError("no key appears twice")
