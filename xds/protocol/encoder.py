"""Responses to bytes: what one stream is sent is encoded once for all streams that need the same.

A response is put together from the resources' own bytes; nothing is parsed or serialised again. All streams of a server take
their nonces from one rising sequence, so one `bytes` object with one nonce can answer many streams, and nonces are still
unique on every stream (R16).
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from xds.protocol.layers import Ground
from xds.protocol.traits import WAITS_FOR
from xds.wire.fields import RESOURCE_ALIAS, RESOURCE_NAME, RESOURCES, any_head, resource_head, resource_names, tagged, varint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from xds.snapshot.resource import Resource
    from xds.snapshot.table import Table

NOT_FOUND = "the control plane has no such resource for this client"
"""Shown by gRPC to whoever made the call, behind the type and the name."""
CACHE_BYTES = 64 << 20
NAME_BYTES = 160
"""What a name costs in the cache beside the bytes of its response: its places in the key, the content and the set of names."""
FIRSTS = 8
"""Whole worlds of a type that are kept for clients that have nothing yet, or of which it is not known what they have."""
SHARED_REMOVALS = 1_000
"""Names that do not exist, beyond which a response is not kept: they are what one client made up, and nobody else will ask."""

# Tags of the length-delimited fields (field number << 3 | 2) in envoy/service/discovery/v3/discovery.proto.
_RESPONSE_VERSION, _RESPONSE_TYPE_URL, _RESPONSE_NONCE = b"\x0a", b"\x22", b"\x2a"
_DELTA_REMOVED, _DELTA_CONTROL_PLANE, _SOTW_CONTROL_PLANE, _SOTW_ERROR = b"\x32", b"\x3a", b"\x32", b"\x3a"
_ERROR_NAME, _ERROR_DETAIL, _NAME = b"\x0a", b"\x12", b"\x0a"
_STATUS_NOT_FOUND, _STATUS_MESSAGE = b"\x08\x05", b"\x12"
_CONTROL_PLANE_IDENTIFIER = b"\x0a"


@dataclass(frozen=True, slots=True)
class Response:
    """One response, ready to write, and what is in it; shared by all streams that are sent the same."""

    type_url: str
    version: str
    """SotW: the `version_info` of the type. Delta: a version of this response's content (`system_version_info`)."""
    resources: tuple[Resource, ...] = ()
    removed: tuple[str, ...] = ()
    """Names of what does not exist: in `removed_resources`, or SotW in `resource_errors`."""
    heartbeats: tuple[str, ...] = ()
    """Delta: names of what it says, without a body, that the client is to keep."""
    nonce: str = ""
    body: bytes = b""
    """The encoded `DeltaDiscoveryResponse` or `DiscoveryResponse`."""
    content: Mapping[str, Resource | None] = field(default_factory=dict, compare=False)
    """What it says: name -> resource, None for what does not exist."""
    names: frozenset[str] = field(default=frozenset(), compare=False)
    """Of the resources, and of what does not exist."""
    awaited: frozenset[str] = field(default=frozenset(), compare=False)
    """Names of what the client will wait for because of these resources, of the type that `WAITS_FOR` says (R20, R27)."""
    perishable: tuple[Resource, ...] = field(default=(), compare=False)
    """Those of the resources that have a time to live."""


class Encoder:
    """Makes the responses of one server, whose streams share it.

    Args:
        control_plane: who we are; goes into `control_plane.identifier`.
        cache_bytes: how much of recent responses, with all that they hold, is kept for streams that need the same.
    """

    def __init__(self, control_plane: str = "", *, cache_bytes: int = CACHE_BYTES) -> None:
        identifier = tagged(_CONTROL_PLANE_IDENTIFIER, control_plane.encode()) if control_plane else b""
        self._delta_tail = tagged(_DELTA_CONTROL_PLANE, identifier) if identifier else b""
        self._sotw_tail = tagged(_SOTW_CONTROL_PLANE, identifier) if identifier else b""
        self._last_nonce = 0
        self._cache: OrderedDict[tuple[object, ...], Response] = OrderedDict()
        self._latest: Response | None = None
        """The delta response with resources alone that was asked for last: a change that goes to many streams."""
        self._firsts: dict[tuple[str, int, frozenset[str] | None, int, str | None], tuple[Table, list[Response]]] = {}
        """(type URL, identity of what there is, what is asked for, limit, version) -> what there is, and responses with it."""
        self._wholes: WeakValueDictionary[tuple[str, str], Ground[Any]] = WeakValueDictionary()
        """(type URL, version of all of it) -> what a client holds that has that, as long as one does."""
        self._cache_bytes = cache_bytes
        self._cached_bytes = 0

    def delta(
        self, type_url: str, resources: Sequence[Resource], removed: Sequence[str], *, above: int, empty: bool = False
    ) -> Response:
        """Return a delta response whose nonce is above the last one of the stream that asks.

        Args:
            type_url: the type of all resources.
            resources: what the client is to hold; no name twice, none that is in `removed` (R29).
            removed: names of what does not exist.
            above: the last nonce of the stream, 0 for none.
            empty: say by a resource without a body what does not exist, not by `removed_resources` (VHDS). Envoy takes it
                for one only if it has an alias, too.
        """
        latest = self._latest
        if latest and not removed and latest.resources == tuple(resources) and int(latest.nonce) > above:
            return latest
        key = ("delta", empty, type_url, *[r.name for r in resources], *[r.version for r in resources], len(resources), *removed)
        found = self._shared(key, above)
        if found is not None:
            return self._as_latest(found)
        version = _content_version(resources, removed)
        parts = [tagged(_RESPONSE_TYPE_URL, type_url.encode()), tagged(_RESPONSE_VERSION, version.encode()), self._delta_tail]
        parts += [part for resource in resources for part in (resource.head or _head(resource), resource.body)]
        for name in removed:
            if empty:
                names = tagged(RESOURCE_NAME, name.encode()) + tagged(RESOURCE_ALIAS, name.encode())
                parts.append(tagged(RESOURCES, names))
            else:
                parts.append(tagged(_DELTA_REMOVED, name.encode()))
        return self._as_latest(self._finish(key, Response(type_url, version, tuple(resources), tuple(removed)), parts))

    def _as_latest(self, response: Response) -> Response:
        if response.resources and not response.removed:
            self._latest = response
        return response

    def first(
        self,
        type_url: str,
        available: Table,
        names: frozenset[str] | None,
        *,
        above: int,
        limit_bytes: int,
        version: str | None = None,
    ) -> list[Response]:
        """Return responses with all that a client asks for; nothing if some of it does not exist.

        Nothing, too, if it is more than one state-of-the-world response. All are sent it that have nothing yet, or of whom it is
        not known what they have.

        What many clients ask for is put together once: to look for a response by its content takes the longer the more is in it.

        Args:
            type_url: the type.
            available: what there is of it.
            names: what is asked for, None for everything; the same object for all that ask for the same (`interest.shared`).
            above: the last nonce of the stream.
            limit_bytes: where responses are split.
            version: `version_info` of state-of-the-world responses; None: they are to be delta responses.
        """

        def encoded(resources: Sequence[Resource]) -> Response:
            if version is None:
                return self.delta(type_url, resources, (), above=above)
            return self.sotw(type_url, resources, version, above=above)

        key = type_url, id(available), names, limit_bytes, version
        found = self._firsts.get(key)
        if found is None or found[0] is not available:  # another one, where that was
            resources = available.present(sorted(available if names is None else names))
            is_whole = names is None or len(resources) == len(names)
            pieces = [*split(resources, (), limit_bytes)] if is_whole else []
            if version is not None and len(pieces) > 1:  # one response at a time is in flight: the rest is not known yet
                pieces = []
            found = self._firsts[key] = available, [encoded(some) for some, _ in pieces]
            if len(self._firsts) > FIRSTS:
                del self._firsts[next(iter(self._firsts))]
        responses = found[1]
        for place, response in enumerate(responses):
            if int(response.nonce) <= above:
                responses[place] = encoded(response.resources)
            above = int(responses[place].nonce)
        return [*responses]

    def whole(self, type_url: str, available: Table) -> Ground[Any]:
        """Return what a client holds that has all that there is of a type; the same object for all."""
        key = type_url, available.version
        found = self._wholes.get(key)
        if found is None:
            found = self._wholes[key] = Ground(available.plain)
        return found

    def heartbeat(self, type_url: str, resources: Sequence[Resource], *, above: int) -> Response:
        """Return a delta response that tells a client to keep resources that it has (R30)."""
        key = ("heartbeat", type_url, *[r.name for r in resources], *[r.version for r in resources])
        found = self._shared(key, above)
        if found is not None:
            return found
        version = _content_version(resources, ())
        parts = [tagged(_RESPONSE_TYPE_URL, type_url.encode()), tagged(_RESPONSE_VERSION, version.encode()), self._delta_tail]
        parts += [tagged(RESOURCES, _names(resource)) for resource in resources]
        draft = Response(type_url, version, heartbeats=tuple(resource.name for resource in resources))
        return self._finish(key, draft, parts)

    def sotw(
        self, type_url: str, resources: Sequence[Resource], version: str, *, above: int, absent: Sequence[str] = ()
    ) -> Response:
        """Return a state-of-the-world response whose nonce is above the last one of the stream that asks.

        Args:
            type_url: the type of all resources.
            resources: what the client is to hold; no name twice (R29).
            version: `version_info`.
            above: the last nonce of the stream, 0 for none.
            absent: names, none of which is in `resources`, whose absence is to be said in `resource_errors` (R34).
        """
        key = ("sotw", type_url, version, *[r.name for r in resources], *[r.version for r in resources], len(resources), *absent)
        found = self._shared(key, above)
        if found is not None:
            return found
        parts = [tagged(_RESPONSE_TYPE_URL, type_url.encode()), tagged(_RESPONSE_VERSION, version.encode()), self._sotw_tail]
        for resource in resources:
            head, body = any_head(type_url, len(resource.body)), resource.body
            parts += (RESOURCES, varint(len(head) + len(body)), head, body)
        parts += [tagged(_SOTW_ERROR, _not_found(name)) for name in absent]
        return self._finish(key, Response(type_url, version, tuple(resources), tuple(absent)), parts)

    def _shared(self, key: tuple[object, ...], above: int) -> Response | None:
        found = self._cache.get(key)
        if found is None:
            return None
        self._cache.move_to_end(key)
        if int(found.nonce) > above:
            return found
        body = found.body[: -len(_nonce_field(int(found.nonce)))]
        return self._finish(key, found, [body])

    def _finish(self, key: tuple[object, ...], draft: Response, parts: list[bytes]) -> Response:
        """Return the draft with its nonce, and its bytes put together from these parts."""
        self._last_nonce += 1
        # The nonce stands last, so that a copy with another nonce is a slice and not a new encoding.
        parts.append(_nonce_field(self._last_nonce))
        resources = draft.resources
        content: Ground[Resource | None] = Ground(
            {resource.name: resource for resource in resources} | dict.fromkeys(draft.removed)
        )
        response = replace(
            draft,
            nonce=str(self._last_nonce),
            body=b"".join(parts),
            content=content,
            names=frozenset(content),
            awaited=awaited_by(draft.type_url, resources),
            perishable=tuple(resource for resource in resources if resource.ttl_s is not None),
        )
        self._keep(key, response)
        return response

    def _keep(self, key: tuple[object, ...], response: Response) -> None:
        before = self._cache.pop(key, None)
        self._cached_bytes -= _kept_bytes(before) if before else 0
        if len(response.removed) > max(SHARED_REMOVALS, len(response.resources)):
            return
        self._cache[key] = response
        self._cached_bytes += _kept_bytes(response)
        while self._cached_bytes > self._cache_bytes:
            self._cached_bytes -= _kept_bytes(self._cache.popitem(last=False)[1])


def awaited_by(type_url: str, resources: Iterable[Resource]) -> frozenset[str]:
    """Return the names of what a client waits for that is sent these resources of one type."""
    needed_url = WAITS_FOR.get(type_url)
    return frozenset().union(*[resource.refs.get(needed_url, ()) for resource in resources]) if needed_url else frozenset()


def encoded_bytes(resources: Sequence[Resource]) -> int:
    """Return roughly how large a response with these resources of one type is."""
    if not resources:
        return 0
    texts = sum([len(resource.body) + len(resource.name) for resource in resources])
    return texts + len(resources) * _beside_bytes(resources[0])


def _beside_bytes(resource: Resource) -> int:
    """Return roughly how much stands in a response beside the name and the body of a resource."""
    return len(resource.type_url) + 40


def split(
    resources: Sequence[Resource], removed: Sequence[str], limit_bytes: int
) -> Iterator[tuple[Sequence[Resource], Sequence[str]]]:
    """Cut what is to be sent into pieces below the limit of a message (R38); a larger resource goes alone."""
    if encoded_bytes(resources) + sum([len(name) + 4 for name in removed]) <= limit_bytes:
        if resources or removed:
            yield resources, removed
        return
    some: list[Resource] = []
    gone: list[str] = []
    size = 0
    beside = _beside_bytes(resources[0]) if resources else 0
    for resource in resources:
        more = len(resource.body) + len(resource.name) + beside
        if some and size + more > limit_bytes:
            yield some, ()
            some, size = [], 0
        some.append(resource)
        size += more
    for name in removed:
        if (some or gone) and size + len(name) > limit_bytes:
            yield some, gone
            some, gone, size = [], [], 0
        gone.append(name)
        size += len(name) + 4
    if some or gone:
        yield some, gone


def _kept_bytes(response: Response) -> int:
    """Return roughly what a response keeps in memory; resources belong to the snapshot, removed names to nobody else."""
    body_bytes = len(response.body)
    return body_bytes * (2 if response.removed else 1) + NAME_BYTES * len(response.names)


def _content_version(resources: Sequence[Resource], removed: Sequence[str]) -> str:
    if len(resources) == 1 and not removed:
        return resources[0].version
    there = "".join([f"{len(resource.name)}:{resource.name}{resource.version}" for resource in resources])
    gone = "".join([f"{len(name)}:{name}-" for name in removed])
    return hashlib.sha256(f"{there}{gone}".encode()).hexdigest()[:16]


def _head(resource: Resource) -> bytes:
    return resource_head(resource.type_url, len(resource.body), _names(resource))


def _names(resource: Resource) -> bytes:
    return resource_names(resource.name, resource.version, resource.ttl_s)


def _not_found(name: str) -> bytes:
    """Return a `ResourceError` (gRFC A88)."""
    status = _STATUS_NOT_FOUND + tagged(_STATUS_MESSAGE, NOT_FOUND.encode())
    return tagged(_ERROR_NAME, tagged(_NAME, name.encode())) + tagged(_ERROR_DETAIL, status)


def _nonce_field(nonce: int) -> bytes:
    return tagged(_RESPONSE_NONCE, str(nonce).encode())
