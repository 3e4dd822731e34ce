"""The log of NACKs: who rejects what, and of which objects; once a minute for the same content, whoever rejects it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from xds.protocol.blame import objects_named_in
from xds.server.ending import clipped
from xds.wire import short_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from xds.protocol import Nack
    from xds.snapshot.resource import Resource

AGAIN_S: Final = 60.0
"""How long further rejections of the same content are told at debug alone."""
KNOWN: Final = 1_000
"""Contents remembered."""
OBJECTS: Final = 5
"""Objects named in a line."""


@dataclass(slots=True)
class _Told:
    at_s: float
    silenced: int = 0


class NackLog:
    """Shared by all streams of a server.

    Args:
        clock: seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._told: dict[bytes, _Told] = {}

    def tell(self, nack: Nack, log: Any) -> None:
        """Log a NACK with the logger of its stream, which knows the node."""
        names = frozenset(nack.blamed)
        blamed = [resource for resource in nack.resources if resource.name in names] or list(nack.resources)
        fields = {"type": short_name(nack.type_url), "names": clipped(_names(nack)), "error": clipped(nack.error)}
        if not nack.blamed:
            fields["culprit"] = "not named: parts of the response are sent again until it is found"
        elif objects := _objects(blamed, nack.error):
            fields["objects"] = objects
        before = self._told.get(key := _key(nack, blamed))
        now_s = self._clock()
        if before and now_s < before.at_s + AGAIN_S:
            before.silenced += 1
            log.debug("response rejected", **fields)
            return
        more = {"silenced": before.silenced} if before and before.silenced else {}
        log.warning("response rejected", **fields, **more)
        self._told.pop(key, None)
        self._told[key] = _Told(now_s)
        if len(self._told) > KNOWN:
            del self._told[next(iter(self._told))]


def _key(nack: Nack, blamed: Sequence[Resource]) -> bytes:
    """Return what stands for the content that is rejected: a digest, since the names of one response may take megabytes."""
    content = [nack.type_url, nack.removed, [(found.name, found.version) for found in blamed]]
    # JSON, so that names, which are the client's, do not run together into those of another response.
    return hashlib.blake2b(json.dumps(content).encode(), digest_size=16).digest()


def _names(nack: Nack) -> str:
    return ", ".join(nack.blamed or (*(resource.name for resource in nack.resources), *nack.removed))


def _objects(blamed: list[Resource], error: str) -> str:
    found = list(dict.fromkeys(ref for resource in blamed for ref in objects_named_in(error, resource.origins)))
    shown = ", ".join(f"{ref} ({ref.resource_version})" if ref.resource_version else str(ref) for ref in found[:OBJECTS])
    return f"{shown} and {len(found) - OBJECTS} more" if len(found) > OBJECTS else shown
