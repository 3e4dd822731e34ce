"""The intake of one live member: what stands between its API server and the model.

Its source tells what the server has, its keeper holds what would be lost by mistake, and its scoping lets pass the namespaces
that are wanted and tells the source in turn what to ask for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from xds.discovery.live.fleet_wide import MEMBERS
from xds.discovery.live.keeper import CONFIRMATION, Keeper
from xds.discovery.live.member import MemberSource
from xds.discovery.live.scope import Scoping
from xds.discovery.live.standing import Patience
from xds.model.events import FLEET
from xds.model.kinds import KINDS, Level
from xds.problems import Problem, Ref

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from xds.discovery.live.scope import Name, Scope
    from xds.model.events import Event
    from xds.model.objects import KubernetesObject, MemberCluster, MemberClusterSpec, ScopeSpec

MEMBER_KINDS: Final = tuple(kind for kind in KINDS.values() if Level.MEMBER in kind.level and kind.name != "Pod")
"""Pods are not read: all that we need of them is in EndpointSlices."""


class Intake:
    """Of one member, from before it is connected until it has left. Owned by the event loop's thread.

    Args:
        name: the member's.
        sink: gets what the model is to know.
        on_problems: called when `problems()` may have changed.
        share: of the services that may be lost at once.
        delay_s: how long more than that is held.
    """

    def __init__(
        self, name: str, sink: Callable[[list[Event]], None], on_problems: Callable[[], None], *, share: float, delay_s: float
    ) -> None:
        self.name = name
        self.source: MemberSource | None = None
        """None until it is read."""
        self._on_problems = on_problems
        self._scoping = Scoping(name, sink, self._narrow)
        self._keeper = Keeper(name, self._scoping.take, on_problems, share=share, delay_s=delay_s)

    @property
    def changes(self) -> int:
        """How many objects have changed since the start."""
        return self._keeper.changes

    @property
    def objects(self) -> Iterable[KubernetesObject]:
        """What is in force."""
        return self._keeper.objects

    @property
    def passed(self) -> Iterator[KubernetesObject]:
        """What the model knows of that."""
        return filter(self._scoping.passes, self._keeper.objects)

    @property
    def scope(self) -> ScopeSpec:
        """What is read of the member."""
        return self._scoping.spec

    @property
    def is_synced(self) -> bool:
        """Whether the member was told completely."""
        return self.source is not None and self.source.is_synced

    def restore(self, objects: Iterable[KubernetesObject]) -> None:
        """Begin with what was saved."""
        self._keeper.restore(objects)

    def open(self) -> MemberSource:
        """Return what reads the member from now on, over whatever connection; it tells what differs from what is in force."""
        source = self.source = MemberSource(self.name, MEMBER_KINDS, self._keeper.take, self._on_problems, self._keeper.objects)
        self._keeper.is_settled = lambda: source.is_settled
        source.narrow(self._scoping.scope)
        return source

    def take(self, events: list[Event]) -> None:
        """Take what is told of the member before it can be read."""
        self._keeper.take(events)

    def tick(self) -> None:
        """Let go what was held for long enough."""
        self._keeper.tick()

    def confirm(self, item: MemberCluster) -> None:
        """Let go what is held, if the member's MemberCluster says that it is meant."""
        self._keeper.confirm(item.metadata.annotations.get(CONFIRMATION, ""))

    def regard(self, spec: MemberClusterSpec, patience: Patience, evicted: str) -> None:
        """Have clients of others treat the member as it is said.

        Args:
            spec: what its MemberCluster says.
            patience: how long nothing may be heard of it, where that says nothing.
            evicted: why workloads are to leave it; "" if they are not.
        """
        own = (spec.stale.demote_after_seconds, spec.stale.remove_after_seconds)
        pairs = zip(own, patience, strict=True)
        self._keeper.judge.patience = Patience(*(given if said is None else said for said, given in pairs))
        self._keeper.judge.evicted = evicted

    def restrict(self, spec: ScopeSpec, shared: frozenset[Name], *, is_whole: bool) -> None:
        """Read no more than is wanted.

        Args:
            spec: what its MemberCluster says of that.
            shared: what is taken from clusters without an export of their own.
            is_whole: whether all of it is read, be it exported or not.
        """
        self._scoping.restrict(replace(spec, exported_only=False) if is_whole else spec, shared)

    def close(self) -> None:
        """Let nothing more pass: the member has left, or we stop."""
        self._keeper.close()

    def problems(self) -> Iterator[Problem]:
        """Yield what cannot be read, what is held, and what is wrong with the scope once all namespaces are known."""
        if self.source:
            yield from self.source.problems()
        yield from self._keeper.problems()
        if self._scoping.selects_nothing and self.is_synced:
            selector = self._scoping.spec.namespace_selector
            message = f"no namespace of cluster {self.name!r} matches {selector}, so nothing in namespaces is read of it"
            hint = "correct the selector, or label the namespaces that are meant"
            yield Problem("XDS0315", message, Ref(FLEET, MEMBERS, "", self.name), "spec.scope.namespaceSelector", hint)

    def _narrow(self, scope: Scope) -> None:
        if self.source:
            self.source.narrow(scope)
        self._keeper.withdraw(scope.wants)
