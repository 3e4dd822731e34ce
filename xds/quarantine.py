"""Quarantine: content that nodes of a view reject and none accepts is taken out of the view's snapshot, if that is wanted.

It stands between translation and the snapshot. Content that REJECTIONS nodes rejected, and meant, and that no node of the view
is known to have accepted, gives way to what nodes accepted last, or is left out if none ever accepted anything of that
name. It stays so until translation makes other content, or until a node accepts it after all.

Pure: it is told of NACKs, ACKs and translations, and answers with the changes that are to be published.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from xds.protocol.blame import named_in

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping

    from xds.protocol import Nack, Response
    from xds.snapshot.resource import Resource
    from xds.snapshot.store import SnapshotStore

    Changes = Mapping[str, Mapping[str, Resource | None]]
    """Type URL -> name -> the resource, or None to remove it."""

REJECTIONS: Final = 3
"""Nodes that have to reject content before it is taken from all."""
NODES: Final = 100
"""Nodes remembered that rejected the same content."""
NONCES: Final = 1024
"""Responses remembered of which it is known that they were accepted."""

Key = TypeVar("Key", bound="Hashable")


class Holders(Protocol):
    """What connected clients say they hold: they may have accepted it from another replica, or from us before a restart."""

    def __call__(self, view: Any, type_url: str, name: str) -> Iterable[str]:
        """Return the versions of a resource that clients of a view accepted, as far as it is known."""


@dataclass(slots=True)
class Suspect:
    """Content of one resource that some nodes of a view rejected and none accepted."""

    resource: Resource
    error: str
    """Of the first node, in its own words."""
    since_s: float
    """When it was rejected first, seconds since the epoch."""
    nodes: dict[str, None] = field(default_factory=dict)
    """Their ids, the first ones first."""
    quarantined: bool = False
    kept: Resource | None = None
    """What is served instead; None: nothing is."""


@dataclass(slots=True)
class _Known:
    """What is known of one view."""

    accepted: dict[tuple[str, str], Resource] = field(default_factory=dict)
    """(type URL, name) -> what a node accepted last; once that is the present content, nothing older takes its place."""
    nonces: dict[str, None] = field(default_factory=dict)
    suspects: dict[tuple[str, str], Suspect] = field(default_factory=dict)
    spared: dict[tuple[str, str], str] = field(default_factory=dict)
    """(type URL, name) -> the version that stays although it is rejected: what is used instead is unknown here."""

    def forget(self, key: tuple[str, str]) -> None:
        """Forget a resource that exists no longer."""
        self.accepted.pop(key, None)
        self.suspects.pop(key, None)
        self.spared.pop(key, None)


class Quarantine(Generic[Key]):
    """Owned by whoever publishes.

    Args:
        store: the snapshots; read, never changed.
        holders: asked before something is quarantined.
    """

    def __init__(self, store: SnapshotStore[Key], holders: Holders) -> None:
        self._store = store
        self._holders = holders
        self._views: dict[Key, _Known] = {}

    def rejected(self, view: Key, node_id: str, nack: Nack) -> Changes:
        """Take a NACK, and return what is to be published: nothing, or what takes the place of the content."""
        blamed = frozenset(nack.blamed)
        if len(blamed) > 1 and not named_in(nack.error, blamed):
            return {}  # withheld because nobody knows better, which is no reason to take it from others
        changes: dict[str, dict[str, Resource | None]] = {}
        for resource in nack.resources:
            if resource.name in blamed and self._suspect(view, node_id, resource, nack):
                found = self._views[view].suspects[resource.type_url, resource.name]
                changes.setdefault(resource.type_url, {})[resource.name] = found.kept
        return changes

    def accepted(self, view: Key, response: Response) -> Changes:
        """Take an ACK, and return what is to be published: nothing, or what is quarantined no longer.

        Streams of a view share responses, so most ACKs are of one that is known.
        """
        known = self._views.setdefault(view, _Known())
        if response.nonce in known.nonces:
            return {}
        known.nonces[response.nonce] = None
        if len(known.nonces) > NONCES:
            del known.nonces[next(iter(known.nonces))]
        freed: dict[str, Resource | None] = {}
        for resource in response.resources:
            key = resource.type_url, resource.name
            current = self._translated(view, key)
            held = known.accepted.get(key)
            if held is None or current is None or held.version != current.version:
                known.accepted[key] = resource
            suspect = known.suspects.get(key)
            if suspect and suspect.resource.version == resource.version:
                del known.suspects[key]
                if suspect.quarantined:
                    freed[resource.name] = suspect.resource
        return {response.type_url: freed} if freed else {}

    def screened(self, view: Key, changes: Changes) -> Changes:
        """Return what translation made, with what is quarantined replaced; other content of that name is a new start."""
        known = self._views.get(view)
        if known is None:
            return changes
        for type_url, made in changes.items():
            for name in [name for name, resource in made.items() if resource is None]:
                known.forget((type_url, name))
        result = dict(changes)
        for (type_url, name), suspect in list(known.suspects.items()):
            made = changes.get(type_url, {})
            if name not in made:
                continue
            resource = made[name]
            if resource is None or resource.version != suspect.resource.version:
                del known.suspects[type_url, name]
            elif suspect.quarantined:
                suspect.resource = resource  # the same content, perhaps from a newer version of its object
                result[type_url] = {**result[type_url], name: suspect.kept}
        return result

    def left_out(self, view: Key, type_url: str) -> frozenset[str]:
        """Return the names of a type that the view would have but for the quarantine."""
        known = self._views.get(view)
        suspects = known.suspects.items() if known else ()
        return frozenset(name for (url, name), found in suspects if url == type_url and found.quarantined and not found.kept)

    def quarantined(self) -> Iterator[tuple[Key, Suspect]]:
        """Return what is quarantined now, by view."""
        for view, known in self._views.items():
            for suspect in known.suspects.values():
                if suspect.quarantined:
                    yield view, suspect

    def forget(self, view: Key) -> None:
        """Forget a view that nobody uses any more."""
        self._views.pop(view, None)

    def _suspect(self, view: Key, node_id: str, resource: Resource, nack: Nack) -> bool:
        """Note that a node rejected content, and return whether that puts it into quarantine now."""
        known = self._views.setdefault(view, _Known())
        key = resource.type_url, resource.name
        current, accepted = self._translated(view, key), known.accepted.get(key)
        if current is None or current.version != resource.version or known.spared.get(key) == resource.version:
            return False
        if accepted is not None and accepted.version == resource.version:
            return False
        suspect = known.suspects.get(key)
        if suspect is None or suspect.resource.version != resource.version:
            suspect = known.suspects[key] = Suspect(current, nack.error, nack.at_s)
        if len(suspect.nodes) < NODES:
            suspect.nodes[node_id] = None
        if suspect.quarantined or len(suspect.nodes) < REJECTIONS:
            return False
        return self._decide(view, key, suspect)

    def _decide(self, view: Key, key: tuple[str, str], suspect: Suspect) -> bool:
        known, version = self._views[view], suspect.resource.version
        held = frozenset(self._holders(view, *key)) - {""}
        good = known.accepted.get(key) or self._kept(view, key, held)
        if version in held or (held and good is None):
            # Somebody has it; or something is in use that we do not have: to leave the resource out would take that away.
            known.spared[key] = version
            del known.suspects[key]
            return False
        suspect.quarantined, suspect.kept = True, good
        return True

    def _translated(self, view: Key, key: tuple[str, str]) -> Resource | None:
        """Return what translation made last."""
        suspect = self._views[view].suspects.get(key)
        if suspect and suspect.quarantined:
            return suspect.resource
        return self._store.current(view).resources(key[0]).get(key[1]) if self._store.is_live(view) else None

    def _kept(self, view: Key, key: tuple[str, str], versions: frozenset[str]) -> Resource | None:
        """Return the newest content in the view's history that has one of these versions."""
        kept = (snapshot.resources(key[0]).get(key[1]) for snapshot in reversed(self._store.history(view)))
        return next((resource for resource in kept if resource and resource.version in versions), None)
