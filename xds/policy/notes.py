"""What is said of other systems' objects."""

from __future__ import annotations

from typing import Final, NamedTuple

DIFFERS: Final = "XDS0610"
NOT_FOLLOWED: Final = "XDS0611"
KEPT: Final = "XDS0612"
NO_TARGET: Final = "XDS0602"


class Note(NamedTuple):
    """One thing to be said of a foreign object."""

    code: str
    field: str
    message: str
    hint: str = ""
