"""A resource: named bytes with a version that follows from the bytes alone."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from xds.problems import Ref

PIECES: Final = 500
"""Of a body, that are put together at a time."""


VERSION_DIGITS: Final = 16
"""Of the SHA-256 of the bytes, in hexadecimal."""


def content_version(body: bytes) -> str:
    """Return the version of a resource: 16 hexadecimal digits of the SHA-256 of its bytes."""
    return hashlib.sha256(body).hexdigest()[:VERSION_DIGITS]


def joined(pieces: Sequence[bytes]) -> Generator[None, None, tuple[bytes, str]]:
    """Put a body together of its pieces, which may be many, and find its version; yields in between."""
    body = BytesIO()  # which gives its buffer away in the end, and does not copy it
    digest = hashlib.sha256()
    for at in range(0, len(pieces), PIECES):
        part = b"".join(pieces[at : at + PIECES])
        body.write(part)
        digest.update(part)
        yield
    return body.getvalue(), digest.hexdigest()[:VERSION_DIGITS]


@dataclass(frozen=True, slots=True)
class Resource:
    """One xDS resource, serialised once.

    Two replicas, or one before and after a restart, give equal accepted objects equal versions (R19a). `refs` and
    `origins` are not part of the content: a change of them alone never causes a push.
    """

    type_url: str
    name: str
    body: bytes
    """The deterministic bytes of the message (without the Any around it)."""
    version: str
    refs: Mapping[str, frozenset[str]] = field(default_factory=dict, compare=False)
    """Type URL -> names of the resources that this one needs, e.g. a cluster its CLA and its secrets."""
    origins: tuple[Ref, ...] = field(default=(), compare=False)
    """The source objects, e.g. to blame for a NACK."""
    ttl_s: float | None = field(default=None, compare=False)
    """How long a client that understands it keeps the resource without hearing of it, in seconds; None: for ever."""
    head: bytes = field(default=b"", compare=False, repr=False)
    """What stands in front of the body where it is told, if that was written when it was made; b"" if not."""

    @classmethod
    def of(
        cls,
        type_url: str,
        name: str,
        body: bytes,
        *,
        refs: Mapping[str, frozenset[str]] | None = None,
        origins: tuple[Ref, ...] = (),
        ttl_s: float | None = None,
    ) -> Resource:
        """Return a resource with the version of its bytes."""
        return cls(type_url, name, body, content_version(body), refs or {}, origins, ttl_s)
