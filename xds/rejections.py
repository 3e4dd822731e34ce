"""What clients reject, as problems: one for each content, however many nodes reject it, and bounded in number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from xds.admin.nacks import current
from xds.problems import Problem
from xds.protocol import rejected, searches
from xds.protocol.blame import foremost, objects_named_in
from xds.server.ending import clipped
from xds.wire import short_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from xds.model.view import View
    from xds.problems import Ref
    from xds.protocol import StreamInfo
    from xds.quarantine import Quarantine
    from xds.snapshot.store import SnapshotStore

PROBLEMS: Final = 100
"""Told one by one, those rejected first; the rest is counted."""
ADDRESS_TAKEN: Final = ("cannot bind", "address already in use", "duplicate address")
"""What Envoy says where not the object is at fault, but something else listens at the address."""
NAMED: Final = 3
"""Nodes and objects named in a problem that concerns many."""


def problems(
    streams: Sequence[StreamInfo], store: SnapshotStore[View], quarantine: Quarantine[View] | None = None
) -> Iterator[Problem]:
    """Return what clients reject now, and what is in quarantine."""
    entries = rejected(streams)
    for entry in entries[:PROBLEMS]:
        refs = entry.objects(current(store, entry.view, entry.type_url, entry.name))  # type: ignore[arg-type] # a View here
        ref = foremost(entry.type_url, refs)
        what = f"{short_name(entry.type_url)} {entry.name!r}"
        message = f"{_who(entry.nodes)} rejected {what}{_made_of(refs, ref)}: {_words(entry.first.error)}"
        about = f"{entry.type_url} {entry.name} {entry.version}"
        yield Problem("XDS0503", message, ref, hint=_hint(entry.nodes, ref, entry.first.error), about=about)
    if len(entries) > PROBLEMS:
        message = f"{len(entries) - PROBLEMS} more resources are rejected"
        yield Problem("XDS0503", message, hint="`xdsctl nacks` lists them", about="more")
    yield from _searches(streams)
    if quarantine:
        yield from _quarantined(quarantine)


def _searches(streams: Iterable[StreamInfo]) -> Iterator[Problem]:
    """Return a problem for each type: which resource is meant is not known yet."""
    found: dict[str, tuple[set[str], str]] = {}
    for info, type_url, status in searches(streams):
        found.setdefault(short_name(type_url), (set(), status.nack_error or ""))[0].add(info.node_id)
    for type_name, (nodes, error) in found.items():
        message = f"{_who(nodes)} rejected a response of {type_name}, of which the text names no resource: {_words(error)}"
        hint = "parts of the response are sent again until the resource is found; `xdsctl nacks` shows it then"
        yield Problem("XDS0503", message, hint=hint, about=f"search {type_name}")


def _quarantined(quarantine: Quarantine[View]) -> Iterator[Problem]:
    for position, (view, found) in enumerate(quarantine.quarantined()):
        if position == PROBLEMS:
            return
        resource = found.resource
        refs = objects_named_in(found.error, resource.origins)
        ref = foremost(resource.type_url, refs)
        instead = f"version {found.kept.version} is served instead" if found.kept else "it is left out"
        message = (
            f"{short_name(resource.type_url)} {resource.name!r}{_made_of(refs, ref)} is taken from view {view} and {instead}, "
            f"since {_who(found.nodes)} rejected it and none accepted it: {_words(found.error)}"
        )
        about = f"{view} {resource.type_url} {resource.name} {resource.version}"
        yield Problem("XDS0506", message, ref, hint="it is served again once it differs, or a node accepts it", about=about)


def _words(error: str) -> str:
    """Return a client's text in one line."""
    return clipped(" ".join(error.split()))


def _who(nodes: Collection[str]) -> str:
    if len(nodes) == 1:
        return f"node {clipped(next(iter(nodes)))!r}"
    return f"{len(nodes)} nodes"


def _made_of(refs: tuple[Ref, ...], leading: Ref | None) -> str:
    """Return the objects beside the one that the problem is about."""
    others = [str(ref) for ref in refs if ref != leading]
    if not others:
        return ""
    more = f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
    return f" ({'also ' if leading else ''}made of {', '.join(others[:NAMED])}{more})"


def _hint(nodes: Collection[str], ref: Ref | None, error: str) -> str:
    node = min(nodes)
    change = "change the object" if ref else "change the object that it comes from"
    if any(words in error.lower() for words in ADDRESS_TAKEN):
        change = (
            f"free the address, then {change} or restart the proxy: "
            "what it rejected is not sent again on its connection until it differs"
        )
    return f"{change}; `xdsctl nacks` lists who rejects it, `xdsctl snapshot show {clipped(node)}` what that node is to be sent"
