"""What clients reject now, over all streams: one entry for each content, however many nodes reject it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from xds.protocol.blame import objects_named_in
from xds.protocol.holdings import version_of
from xds.protocol.ledger import State

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator

    from xds.problems import Ref
    from xds.protocol.holdings import Rejection
    from xds.protocol.ledger import StreamInfo, TypeStatus
    from xds.snapshot.resource import Resource


@dataclass(slots=True)
class Rejected:
    """One content of one resource, and who rejects it."""

    type_url: str
    name: str
    version: str
    """Empty if it is a removal that was rejected."""
    view: Hashable
    """Of the first stream; the same content may be rejected in others."""
    first: Rejection
    """The oldest of the rejections: clients say the same in other words, and whoever comes later must not change ours."""
    nodes: set[str] = field(default_factory=set)

    @property
    def resource(self) -> Resource | None:
        """What was rejected; None for a removal."""
        return self.first.resource

    def objects(self, current: Resource | None = None) -> tuple[Ref, ...]:
        """Return the source objects to look at, as few as the error text allows.

        Args:
            current: what there is of the name now; if it is the same content, its objects are newer.
        """
        origins = self.resource.origins if self.resource else ()
        if current is not None and current.version == self.version:
            origins = current.origins
        return objects_named_in(self.first.error, origins)


def rejected(streams: Iterable[StreamInfo]) -> list[Rejected]:
    """Return what is rejected now, the oldest first. What costs is pairs of stream and rejected resource, nothing else."""
    found: dict[tuple[str, str, str], Rejected] = {}
    seen: dict[int | str, Rejected] = {}
    """The same by the identity of the resource, which streams share: there may be many pairs."""
    for info in streams:
        for type_url, status in info.types.items():
            if status.state is not State.ERROR:
                continue
            for name, rejection in info.withheld(type_url).items():
                resource = rejection.resource
                identity = f"{type_url} {name}" if resource is None else id(resource)
                entry = seen.get(identity)
                if entry is None:
                    version = version_of(resource) or ""
                    new = Rejected(type_url, name, version, info.view, rejection)
                    entry = seen[identity] = found.setdefault((type_url, name, version), new)
                if rejection.at_s < entry.first.at_s:
                    entry.first = rejection
                entry.nodes.add(info.node_id)
    return sorted(found.values(), key=lambda entry: (entry.first.at_s, entry.type_url, entry.name, entry.version))


def searches(streams: Iterable[StreamInfo]) -> Iterator[tuple[StreamInfo, str, TypeStatus]]:
    """Return the types whose last answer was a NACK that blamed nothing: (stream, type URL, how the type stands).

    The error named nothing, and what it means is found by sending parts of the response again.
    """
    for info in streams:
        for type_url, status in info.types.items():
            if status.nack_error is None or status.nack_blamed or status.state is State.SYNCED:
                continue
            if not status.acked_nonce or int(status.nacked_nonce) > int(status.acked_nonce):
                yield info, type_url, status
