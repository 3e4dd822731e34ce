"""What is read of a member: the namespaces that its MemberCluster selects, and where that is wished only what it exports.

Which namespaces and exports there are follows from what is in force, so that what the guard holds narrows nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from xds.model.events import Delete, ObjectKey, Upsert
from xds.model.exports import EXPORTS
from xds.model.objects import EndpointSlice, ScopeSpec, Service
from xds.model.slices import SERVICE_NAME_LABEL, owner_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from xds.model.events import Event
    from xds.model.kinds import Kind
    from xds.model.objects import KubernetesObject

Name = tuple[str, str]
"""(namespace, name) of a Service."""

NAMESPACE: Final = "Namespace"
EXPORT: Final = "ServiceExport"
"""Begins the name of each system's kind."""
DECIDING: Final = frozenset((NAMESPACE, *EXPORTS))
"""Kinds from which follows what is read of the others."""
BY_NAME: Final = frozenset(("Service", "EndpointSlice"))
"""Kinds of which only what is exported may be wanted."""
MAX_SELECTOR_BYTES: Final = 6_000
"""What is in the way of a request may take no longer paths than 8 KiB."""
NOTHING: Final = f"{SERVICE_NAME_LABEL},!{SERVICE_NAME_LABEL}"
"""A selector that nothing meets."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What is wanted of a member."""

    namespaces: frozenset[str] | None = None
    """None: all."""
    names: frozenset[Name] | None = None
    """Services, by what other clusters get of them; None: all."""

    @property
    def deciding(self) -> frozenset[str]:
        """The kinds that have to be read before the others."""
        return DECIDING if self.namespaces is not None or self.names is not None else frozenset()

    def has_namespace(self, namespace: str) -> bool:
        """Return whether anything in a namespace is wanted; what is in none always is."""
        return not namespace or self.namespaces is None or namespace in self.namespaces

    def wants(self, item: KubernetesObject) -> bool:
        """Return whether an object is wanted."""
        namespace = item.metadata.namespace
        if not self.has_namespace(namespace):
            return False
        if self.names is None:
            return True
        if isinstance(item, Service):
            return (namespace, item.metadata.name) in self.names
        return not isinstance(item, EndpointSlice) or (namespace, owner_of(item).service) in self.names

    def selector(self, kind: Kind) -> str:
        """Return the labels by which an API server is to choose the objects of a kind; "" for all."""
        if kind.name != "EndpointSlice" or self.names is None:
            return kind.selector
        names = sorted({name for namespace, name in self.names if self.has_namespace(namespace)})
        found = f"{SERVICE_NAME_LABEL} in ({','.join(names)})" if names else NOTHING
        return found if len(found) <= MAX_SELECTOR_BYTES else ""

    def is_wider(self, other: Scope, kind: Kind) -> bool:
        """Return whether objects of a kind may be wanted that another scope does not want."""
        if not kind.namespaced:
            return False
        wider = _is_wider(self.namespaces, other.namespaces)
        return wider or (kind.name in BY_NAME and _is_wider(self.names, other.names))


EVERYTHING: Final = Scope()


def _is_wider(mine: frozenset[object] | None, theirs: frozenset[object] | None) -> bool:
    return theirs is not None and (mine is None or not mine <= theirs)


class Scoping:
    """Of one member, between its keeper and the model: passes everything on but namespaces that are not selected.

    Args:
        cluster: the member.
        sink: gets the events.
        on_scope: gets another scope.
    """

    def __init__(self, cluster: str, sink: Callable[[list[Event]], None], on_scope: Callable[[Scope], None]) -> None:
        self.scope = EVERYTHING
        self._cluster = cluster
        self._sink = sink
        self._on_scope = on_scope
        self._spec = ScopeSpec()
        self._shared: frozenset[Name] = frozenset()
        self._namespaces: dict[str, KubernetesObject] = {}
        self._told: set[str] = set()
        """Those among them that the model knows."""
        self._exports: dict[Name, set[str]] = {}
        """Name -> kinds of its exports: each system has one of its own."""

    @property
    def spec(self) -> ScopeSpec:
        """What it is restricted to."""
        return self._spec

    @property
    def selects_nothing(self) -> bool:
        """Whether no namespace that the cluster has is selected."""
        return self._spec.namespace_selector is not None and bool(self._namespaces) and not self._told

    def restrict(self, spec: ScopeSpec, shared: frozenset[Name]) -> None:
        """Read no more than this.

        Args:
            spec: what its MemberCluster says.
            shared: what is taken from clusters without an export of their own.
        """
        if (spec, shared) != (self._spec, self._shared):
            self._spec, self._shared = spec, shared
            events = list(self._namespace_events(self._namespaces))
            if events:
                self._sink(events)
            self._decide()

    def take(self, events: list[Event]) -> None:
        """Take what passes the keeper."""
        passing: list[Event] = []
        decides = False
        for event in events:
            if not isinstance(event, (Upsert, Delete)):
                passing.append(event)
            elif event.key.kind == NAMESPACE:
                decides = True
                passing += self._take_namespace(event)
            else:
                passing.append(event)
                if event.key.kind.startswith(EXPORT):
                    decides = True
                    self._take_export(event)
        if passing:
            self._sink(passing)
        if decides:
            self._decide()

    def passes(self, item: KubernetesObject) -> bool:
        """Return whether the model knows an object that is in force."""
        return item.kind != NAMESPACE or item.metadata.name in self._told

    def _take_namespace(self, event: Upsert | Delete) -> Iterable[Event]:
        name = event.key.name
        if isinstance(event, Upsert):
            self._namespaces[name] = event.object
            if self._selects(event.object):
                self._told.discard(name)  # it is told as it is now
        else:
            self._namespaces.pop(name, None)
        return self._namespace_events((name,))

    def _namespace_events(self, names: Iterable[str]) -> Iterable[Event]:
        """Yield what makes the model know the selected ones among some namespaces, and no other."""
        for name in names:
            item = self._namespaces.get(name)
            if item is not None and self._selects(item):
                if name not in self._told:
                    self._told.add(name)
                    yield Upsert(self._cluster, item)
            elif name in self._told:
                self._told.discard(name)
                yield Delete(self._cluster, ObjectKey(NAMESPACE, "", name))

    def _selects(self, namespace: KubernetesObject) -> bool:
        selector = self._spec.namespace_selector
        return selector is None or selector.matches(namespace.metadata.labels)

    def _take_export(self, event: Upsert | Delete) -> None:
        key = event.key
        kinds = self._exports.setdefault((key.namespace, key.name), set())
        (kinds.add if isinstance(event, Upsert) else kinds.discard)(key.kind)
        if not kinds:
            del self._exports[key.namespace, key.name]

    def _decide(self) -> None:
        selected = None if self._spec.namespace_selector is None else frozenset(self._told)
        names = frozenset((*self._exports, *self._shared)) if self._spec.exported_only else None
        found = Scope(selected, names)
        if found != self.scope:
            self.scope = found
            self._on_scope(found)
