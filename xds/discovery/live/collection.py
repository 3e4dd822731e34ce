"""A collection: all objects of one kind in one cluster, kept up with by list and watch. No I/O, no clock.

It says which request comes next, takes what the API server answers, and gives the differences as events. The rules are those of
the Kubernetes API (https://kubernetes.io/docs/reference/using-api/api-concepts/): a list begins at the newest version, its pages
belong together, a watch goes on from a list's version, bookmarks carry the version forward, and "410 Gone" means to list anew.
Where the server can, a watch that begins with what there is (KEP-3157) takes the place of the list.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Annotated, Final, Literal, NamedTuple

import msgspec

from xds.discovery.decoding import Fault, decode, field_path
from xds.discovery.gateway_subset import STRICT_KINDS, consequence
from xds.discovery.live.scope import EVERYTHING
from xds.model.events import Delete, ObjectKey, Upsert, ref_of
from xds.problems import Problem, Ref

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xds.discovery.live.scope import Scope
    from xds.model.events import Event
    from xds.model.kinds import Kind
    from xds.model.objects import KubernetesObject

PAGE: Final = 500
"""Objects a page of a list."""
GONE: Final = 410
"""The HTTP status of a version that the server no longer has, or of a list whose pages it no longer can continue."""
UNPROCESSABLE: Final = frozenset((400, 422, 500))
"""How a server refuses a watch that begins with what there is: it does not know it, or (500) its etcd is older than 3.4.31."""
LATER: Final = frozenset((401, 403, 429, 502, 503, 504))
"""What a server may say of a good request, so that it is worth being made again as it is."""
INITIAL_EVENTS_END: Final = "k8s.io/initial-events-end"


class Phase(Enum):
    """What a collection is about to ask for."""

    STREAMED_LIST = auto()
    """A watch that begins with what there is."""
    LIST = auto()
    WATCH = auto()
    PROBE = auto()
    """Whether the server is still at the version that we know, or beyond: it may have been restored from a backup."""


class Request(NamedTuple):
    """A GET of the collection."""

    query: tuple[tuple[str, str], ...]
    is_watch: bool
    """Whether the answer is a stream of lines, to be taken by `take_line`, or one document for `take_page`."""
    is_list: bool
    """Whether the answer is to tell what there is: then the server has no reason to be silent."""


class Refusal(Exception):  # noqa: N818 - not an error of ours: what a server says
    """The API server refused a request, or ended a watch with an error.

    Args:
        status: HTTP status.
        message: the server's own words.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


class _ListMeta(msgspec.Struct, rename="camel"):
    resource_version: Annotated[str, msgspec.Meta(min_length=1)]
    continue_: str = msgspec.field(default="", name="continue")


class _Page(msgspec.Struct):
    """Nothing that matters has a default: what somebody else answers in the server's place must not be an empty list."""

    kind: Annotated[str, msgspec.Meta(pattern="List$")]
    metadata: _ListMeta
    items: list[msgspec.Raw] | None = None


class _Line(msgspec.Struct):
    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]
    object: msgspec.Raw


class _Meta(msgspec.Struct, rename="camel"):
    name: str = ""
    namespace: str = ""
    resource_version: str = ""
    annotations: dict[str, str] = {}


class _Named(msgspec.Struct):
    metadata: _Meta = msgspec.field(default_factory=_Meta)


class _Status(msgspec.Struct):
    code: int = 0
    message: str = ""


_PAGES = msgspec.json.Decoder(_Page)
_LINES = msgspec.json.Decoder(_Line)
_NAMES = msgspec.json.Decoder(_Named)
_STATUSES = msgspec.json.Decoder(_Status)


class Collection:
    """One kind in one cluster.

    Args:
        cluster: the member.
        kind: what is read.
        version: the API version it is read in, one of the kind's.
        streams_lists: whether the server may know watches that begin with what there is.
        page: objects a page of a list.
    """

    def __init__(self, cluster: str, kind: Kind, version: str, *, streams_lists: bool = True, page: int = PAGE) -> None:
        self.kind = kind
        self.served_version = version
        self.api_version = f"{kind.group}/{version}" if kind.group else version
        self.synced = False
        """Everything that there was has been told once."""
        self.objects: dict[ObjectKey, KubernetesObject] = {}
        self.scope = EVERYTHING
        """What is wanted of it."""
        self.questions = 0
        """How often something else was asked from the beginning: answers to what was asked before do not count."""
        self._cluster = cluster
        self._page = page
        self._decoder = msgspec.json.Decoder(kind.struct)
        # A typed list has the two once, its items have not. Of a key that stands twice the last one counts: an item's apiVersion
        # before the list's, and before its kind the name that we call that by.
        self._head = f'{{"apiVersion":"{self.api_version}",'.encode()
        self._tail = f',"kind":"{kind.name}"}}'.encode()
        self._problems: dict[ObjectKey, tuple[Problem, ...]] = {}
        self.problem_changes = 0
        """How often `problems` became others."""
        self._streams_lists = streams_lists
        self._phase = Phase.STREAMED_LIST if streams_lists else Phase.LIST
        self._version = ""
        """Of the collection: the watch goes on from it."""
        self._continue = ""
        self._told: set[ObjectKey] | None = None
        """What the list has told that is under way; None between lists."""

    @property
    def problems(self) -> Iterator[Problem]:
        """What is wrong with single objects."""
        for found in self._problems.values():
            yield from found

    @property
    def is_watching(self) -> bool:
        """Whether what is told is what there is."""
        return self._phase is Phase.WATCH

    @property
    def is_listing(self) -> bool:
        """Whether the server is being asked what there is."""
        return self._phase in (Phase.LIST, Phase.STREAMED_LIST)

    @property
    def version(self) -> str:
        """The collection's resourceVersion, as known last; "" if a list is due."""
        return self._version

    def request(self, timeout_s: int) -> Request:
        """Return what to ask next.

        Args:
            timeout_s: after which the server is to end a watch.
        """
        selector = self.scope.selector(self.kind)
        selected = (("labelSelector", selector),) if selector else ()
        if self._phase is Phase.PROBE:
            return Request((*selected, ("limit", "1")), is_watch=False, is_list=False)
        if self._phase is Phase.LIST:
            pages = (("continue", self._continue),) if self._continue else ()
            return Request((*selected, ("limit", str(self._page)), *pages), is_watch=False, is_list=True)
        query = [*selected, ("watch", "true"), ("allowWatchBookmarks", "true"), ("timeoutSeconds", str(timeout_s))]
        if self._phase is Phase.STREAMED_LIST:
            self._told = set()
            query += [("sendInitialEvents", "true"), ("resourceVersionMatch", "NotOlderThan")]
            return Request(tuple(query), is_watch=True, is_list=True)
        return Request((*query, ("resourceVersion", self._version)), is_watch=True, is_list=False)

    def take_page(self, body: bytes) -> list[Event]:
        """Take one page of a list; after the last one, what it did not tell is gone.

        Raises:
            msgspec.DecodeError: the body is no list.
        """
        page = _PAGES.decode(body)
        if self._phase is Phase.PROBE:
            self._probed(page.metadata.resource_version)
            return []
        if not self._continue:
            self._told = set()
        told = self._told if self._told is not None else set()
        # All is decoded before anything is taken: what a failure half-way had taken would never be told.
        items = [self._decode(raw) for raw in page.items or ()]
        events = [event for item in items for event in self._put(item, told)]
        self._continue = page.metadata.continue_
        if not self._continue:
            events += self._listed(page.metadata.resource_version)
        return events

    def take_line(self, line: bytes) -> list[Event]:
        """Take one event of a watch.

        Raises:
            Refusal: the server ended the watch with an error, for `refused`.
            msgspec.DecodeError: the line is no event.
        """
        found = _LINES.decode(line)
        if found.type == "ERROR":
            status = _STATUSES.decode(found.object)
            raise Refusal(status.code, status.message)
        meta = _NAMES.decode(found.object).metadata
        if found.type == "BOOKMARK":
            if INITIAL_EVENTS_END in meta.annotations and self._told is not None:
                return self._listed(meta.resource_version)
            if self._told is not None:
                # A server that knows such watches sends no other bookmark before; Kubernetes before 1.27 leaves the question out.
                raise Refusal(422, "a watch that begins with what there is does not end it")
            events: list[Event] = []
        elif found.type == "DELETED":
            events = self._drop(ObjectKey(self.kind.name, meta.namespace, meta.name))
        else:
            events = self._put(self._decode(found.object), self._told)
        if self._told is None:  # before the list is complete, its version means nothing
            self._version = meta.resource_version or self._version
        return events

    def refused(self, status: int, message: str) -> bool:  # noqa: ARG002 - what it says does not matter
        """Take into account that the server refused the request; return whether the same is asked in another way from now on."""
        cannot_stream = status in UNPROCESSABLE and self._phase is Phase.STREAMED_LIST
        if cannot_stream:
            self._streams_lists = False
        if cannot_stream or status == GONE or (self._continue and status not in LATER):
            self.list_anew()
        return cannot_stream

    def disconnected(self) -> None:
        """Take into account that a watch ended, or that the connection broke: what answers next may have another past.

        A server that is told to stop ends its watches properly, so that an end says no more than a broken connection.
        """
        if self._phase is Phase.WATCH:
            self._phase = Phase.PROBE
        elif self._phase is Phase.STREAMED_LIST:  # pages go on where they were; this begins from the start each time
            self._phase, self._told = Phase.LIST, None

    def list_anew(self) -> None:
        """List again from the beginning: the differences are told, equal objects are not."""
        self._phase = Phase.STREAMED_LIST if self._streams_lists else Phase.LIST
        self._continue, self._version, self._told = "", "", None

    def narrow(self, scope: Scope) -> None:
        """Want something else: what is no longer wanted is forgotten, what is wanted now has to be listed."""
        if scope.is_wider(self.scope, self.kind):
            self.questions += 1
            self.list_anew()
        self.scope = scope
        unwanted = [key for key, item in self.objects.items() if not scope.wants(item)]
        for key in (*unwanted, *(key for key in [*self._problems] if not scope.has_namespace(key.namespace))):
            self._drop(key)

    def clear(self) -> list[Event]:
        """Return that everything is gone, since the kind is; and begin anew."""
        self.list_anew()
        self.synced = True
        for key in [*self._problems]:
            self._note(key, ())
        events: list[Event] = [Delete(self._cluster, key) for key in self.objects]
        self.objects.clear()
        return events

    def _probed(self, version: str) -> None:
        """Go on watching, or list again what went back in time: a watch from its future would stay silent (KEP-5504)."""
        if version.isdecimal() and self._version.isdecimal() and int(version) < int(self._version):
            self.list_anew()
        else:
            self._phase = Phase.WATCH

    def _listed(self, version: str) -> list[Event]:
        """End a list: what it did not tell is gone."""
        told, self._told = self._told or set(), None
        self._phase, self._version, self.synced = Phase.WATCH, version, True
        return [event for key in sorted((self.objects.keys() | self._problems.keys()) - told) for event in self._drop(key)]

    def _put(self, item: KubernetesObject | ObjectKey, told: set[ObjectKey] | None) -> list[Event]:
        """Take an object as it is now; one that is not valid leaves its last good version in force."""
        if isinstance(item, ObjectKey):  # not valid
            if not self.scope.has_namespace(item.namespace):
                return self._drop(item)
            if told is not None:
                told.add(item)
            return []
        if not self.scope.wants(item):
            return self._drop(key_of(item))
        event = Upsert(self._cluster, item)
        key = event.key
        if told is not None:
            told.add(key)
        if self.objects.get(key) == item:
            return []
        self.objects[key] = item
        return [event]

    def _drop(self, key: ObjectKey) -> list[Event]:
        self._note(key, ())
        return [Delete(self._cluster, key)] if self.objects.pop(key, None) is not None else []

    def _decode(self, raw: msgspec.Raw) -> KubernetesObject | ObjectKey:
        """Return the object, or the key of one that is not valid; its problems are noted."""
        body = self._head + bytes(raw)[1:-1] + self._tail
        if self.kind.struct not in STRICT_KINDS:
            try:
                item: KubernetesObject = self._decoder.decode(body)
            except msgspec.ValidationError:
                pass  # explained below
            else:
                if self._problems:
                    self._note(key_of(item), ())
                return item
        value = msgspec.json.decode(body)
        result = decode(value, self.kind)
        if isinstance(result, Fault):
            meta = _NAMES.decode(raw).metadata
            key = ObjectKey(self.kind.name, meta.namespace, meta.name)
            in_force = "its last good version stays in force" if key in self.objects else "it is left out"
            hint = "; ".join(filter(None, (result.hint, in_force)))
            ref = Ref(self._cluster, self.kind.name, meta.namespace, meta.name, meta.resource_version)
            self._note(key, (Problem("XDS0102", result.message, ref, field_path(result.path), hint),))
            return key
        problems = tuple(self._outside_subset(result.object, path) for path in result.unsupported)
        self._note(key_of(result.object), problems)
        return result.object

    def _note(self, key: ObjectKey, problems: tuple[Problem, ...]) -> None:
        """Keep what is wrong with an object; nothing stays of one that is as it should be."""
        if self._problems.get(key, ()) == problems:
            return
        self.problem_changes += 1
        if problems:
            self._problems[key] = problems
        else:
            del self._problems[key]

    def _outside_subset(self, item: KubernetesObject, path: tuple[str | int, ...]) -> Problem:
        message = f"is outside the part of the Gateway API that is served; {consequence(item.kind, path)}"
        return Problem("XDS0402", message, ref_of(self._cluster, item), field_path(path), "do without it")


def key_of(item: KubernetesObject) -> ObjectKey:
    """Return the identity of an object inside its cluster."""
    return ObjectKey(item.kind, item.metadata.namespace, item.metadata.name)
