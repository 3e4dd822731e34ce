"""What decoding raises of a text from outside that is not what it should be."""

from __future__ import annotations

from typing import Final

from msgspec import DecodeError

UNDECODABLE: Final = (DecodeError, UnicodeDecodeError, RecursionError)
"""The last one: it is nested too deeply."""
