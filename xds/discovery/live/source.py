"""The live source: clusters with API servers as the members of a fleet.

Members come from kubeconfig files and from what the hub registers, and go with them. What stands between each and the model is
its keeper; two names of one cluster are one member.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec.structs import replace

from xds.discovery.live.access import FileAccess
from xds.discovery.live.collection import key_of
from xds.discovery.live.connection import LOOK_S, Watch, keep_connected
from xds.discovery.live.enrolment import Enrolment
from xds.discovery.live.fleet_wide import MEMBERS, FleetWide
from xds.discovery.live.hub import HubSource
from xds.discovery.live.keeper import CONFIRMATION, Keeper
from xds.discovery.live.kubeconfig import chosen_contexts
from xds.discovery.live.member import MemberSource
from xds.discovery.live.scope import Scoping
from xds.discovery.live.standing import FOREVER, Patience
from xds.discovery.live.twins import Twins
from xds.discovery.live.writing import MemberWriter
from xds.discovery.saved_world import FLEET_WIDE, SavedWorld
from xds.errors import ConfigurationError
from xds.model.events import FLEET, Aliases, Delete, Health, MemberState, Remember, Synced
from xds.model.kinds import KINDS, Level
from xds.model.objects import MemberCluster, MemberClusterSpec, ScopeSpec
from xds.model.traffic_objects import TrafficPolicy
from xds.problems import Problem, Ref

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from xds.discovery.live.access import Access
    from xds.discovery.live.api_server import ApiServer
    from xds.discovery.live.scope import Name, Scope
    from xds.discovery.registry.registrations import Registered
    from xds.model.events import Event
    from xds.model.objects import KubernetesObject

HUB: Final = ""
"""Stands for the hub where members stand by name."""
KEEP_S: Final = 10.0
"""How often what is held is looked at, and what changed is saved."""
MEMBER_KINDS: Final = tuple(kind for kind in KINDS.values() if Level.MEMBER in kind.level and kind.name != "Pod")
"""Pods are not read: all that we need of them is in EndpointSlices."""


@dataclass(frozen=True, slots=True)
class Care:
    """What is done so that nothing is lost by mistake."""

    directory: Path | None = None
    """Where what was read is saved; None: nowhere."""
    share: float = 0.5
    """Of a member's services, that may be lost at once."""
    delay_s: float = 600.0
    """How long the loss of more is held."""
    patience: Patience = FOREVER
    """How long nothing may be heard of a member, unless its MemberCluster says otherwise."""
    is_written: Callable[[str], bool] = lambda _: False
    """Returns whether we write to a member: then all of it is read, since what we wrote is exported by nobody."""
    memory: Callable[[str], Mapping[tuple[str, str, str], frozenset[str]]] = lambda _: {}
    """Returns which endpoints of a member have been ready."""
    accepted: Callable[[str], Iterable[TrafficPolicy]] = lambda _: ()
    """Returns the policies of a member, or of the fleet for FLEET, each as it was accepted last."""


class LiveSource:
    """Tells what API servers hold, and then what changes in it.

    Args:
        files: kubeconfigs.
        contexts: which of their contexts are members; all if there are none.
        care: what is done so that nothing is lost.
        hub: how to reach the API server whose registries name further members; None: there is none.
        plugins: access providers of ClusterProfiles -> `exec` of a kubeconfig's user.

    Raises:
        ConfigurationError: a kubeconfig cannot be used.
    """

    def __init__(
        self,
        files: Sequence[Path],
        contexts: Iterable[str] = (),
        care: Care | None = None,
        hub: Access | None = None,
        plugins: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self._care = care or Care()
        self._saved = SavedWorld(self._care.directory) if self._care.directory else None
        self.members: dict[str, MemberSource] = {}
        self._keepers: dict[str, Keeper] = {}
        self._scopings: dict[str, Scoping] = {}
        self._specs: dict[str, MemberClusterSpec] = {}
        """Of members that have a MemberCluster."""
        self._shared: frozenset[Name] = frozenset()
        """Services that a MultiClusterService takes from clusters, so that they need no export."""
        self._saved_states: dict[str, _State] = {}
        """Member -> as it was saved last."""
        chosen = chosen_contexts(files, contexts) if files else []
        self._files: dict[str, Access] = {context.member: FileAccess(context) for context in chosen}
        self._plugins = plugins or {}
        self._fleet_wide = FleetWide(self._tell, self._care.share, self._care.delay_s)
        self._hub = hub
        self._enrolment: Enrolment | None = None
        self._is_registered = False
        """Whether the hub has told all that it registers."""
        if hub:
            held = {"share": self._care.share, "delay_s": self._care.delay_s}
            self._enrolment = Enrolment(hub, self._files, self, self._fleet_wide, **held)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        """Of members that the hub registers."""
        self._twins = Twins(self._ranked, lambda name: name in self.members and self.members[name].is_synced)
        self._aliases: dict[str, frozenset[str]] = {}
        """What was told of them."""
        self._credentials: dict[str, Problem] = {}
        """Member -> what is wrong with its kubeconfig."""
        # While it runs:
        self._hub_source: HubSource | None = None
        self._sink: Callable[[list[Event]], None]
        self._take_problems: Callable[[tuple[Problem, ...]], None]
        self._group: asyncio.TaskGroup

    @property
    def names(self) -> frozenset[str]:
        """Of the members."""
        return frozenset(self._ranked())

    @property
    def has_hub(self) -> bool:
        """Whether there may be more members later."""
        return self._hub is not None

    @property
    def hub_failure(self) -> str:
        """Why the hub cannot be kept up with; "" if it can, or there is none."""
        return self._hub_source.failure if self._hub_source else ""

    @property
    def knows_members(self) -> bool:
        """Whether it is known who the members are: the hub has told once all that it registers."""
        return self._hub is None or self._is_registered

    def origin(self, member: str) -> str:
        """Return where it is said how to reach a member, for people; "" if it is none of ours."""
        registered = self._enrolment.accesses.get(member) if self._enrolment else None
        access = registered or self._files.get(member)
        return access.origin if access else ""

    def scope_of(self, member: str) -> ScopeSpec:
        """Return what is read of a member; the default, all, if it is none of ours."""
        scoping = self._scopings.get(member)
        return scoping.spec if scoping else ScopeSpec()

    def writer(self, member: str) -> MemberWriter:
        """Return how to write to a member, by whatever connection there is at the time."""
        return MemberWriter(lambda: self.members.get(member))

    def hub_writer(self, kind: str) -> MemberWriter:
        """Return how to write fleet-wide objects of a kind to the hub, by whatever connection there is at the time."""
        return MemberWriter(lambda: self._hub_source.source(kind) if self._hub_source else None)

    @property
    def declared_members(self) -> Iterator[MemberCluster]:
        """The MemberClusters of the hub."""
        return (item for item in self._fleet_wide.of(MEMBERS) if isinstance(item, MemberCluster))

    @property
    def fleet_policies(self) -> Iterator[TrafficPolicy]:
        """The TrafficPolicies of the hub."""
        return (item for item in self._fleet_wide.of(TrafficPolicy.__name__) if isinstance(item, TrafficPolicy))

    async def run(
        self, sink: Callable[[list[Event]], None], problems: Callable[[tuple[Problem, ...]], None], *, is_alone: bool
    ) -> None:
        """Keep up with every member until cancelled. Runs once; both callbacks are called in the event loop.

        Args:
            sink: gets batches of events, never an empty one.
            problems: gets everything that is wrong, whenever that may have changed.
            is_alone: whether no other source tells what is fleet-wide.
        """
        self._sink, self._take_problems = sink, problems
        first: list[Event] = [Health(name, MemberState.SYNCING) for name in self._files]
        first += [Synced(FLEET)] if is_alone and not self._hub else []
        if first:
            sink(first)
        try:
            async with asyncio.TaskGroup() as self._group:
                self._group.create_task(self._keep())
                for name, access in self._files.items():
                    self._group.create_task(self._join(name, access))
                if self._hub and self._enrolment:
                    self._group.create_task(self._follow_hub(self._hub, self._enrolment))
        finally:
            for keeper in self._keepers.values():
                keeper.close()
            self._save(self._unsaved())

    async def _follow_hub(self, access: Access, enrolment: Enrolment) -> None:
        """Keep up with what the hub registers, beginning with what was saved of that."""
        if self._saved:
            if (saved := await asyncio.to_thread(self._saved.load, FLEET_WIDE)) is not None:
                self._tell([Remember(FLEET, accepted=tuple(saved.accepted))])
                self._fleet_wide.restore(saved.objects)
                self._saved_states[FLEET_WIDE] = _State(self._fleet_wide.changes, tuple(saved.accepted))
            for name in await asyncio.to_thread(self._saved.names):
                if name not in self._files:
                    await self._prepare(name)
                    enrolment.remember(name)
                    self._keepers[name].take([Health(name, MemberState.STALE, "the hub has not said yet how to reach it")])
        hub = HubSource(self._fleet_wide, self._hub_is_told, self._take_registered, self._tell_problems, self._plugins)
        self._hub_source = hub
        await keep_connected(access, hub, Watch(partial(self._note, HUB)))

    # What is said of members

    def declared(self, member: str, item: MemberCluster | None) -> None:
        """Take into account what a member's MemberCluster says; None: there is none any more."""
        self._specs[member] = item.spec if item else MemberClusterSpec()
        self.regard(member)
        if item and (keeper := self._keepers.get(member)):
            keeper.confirm(item.metadata.annotations.get(CONFIRMATION, ""))

    def shared(self, names: Iterable[Name]) -> None:
        """Take into account which Services are taken from clusters without an export of their own."""
        self._shared = frozenset(names)
        for member in self._keepers:
            self.regard(member)

    def regard(self, name: str) -> None:
        """Treat a member as what is said of it now demands."""
        spec = self._specs.get(name, MemberClusterSpec())
        if keeper := self._keepers.get(name):
            pairs = zip((spec.stale.demote_after_seconds, spec.stale.remove_after_seconds), self._care.patience, strict=True)
            keeper.judge.patience = Patience(*(given if own is None else own for own, given in pairs))
            access = self._enrolment.accesses.get(name) if self._enrolment else None
            keeper.judge.evicted = access.registration.evicted if access else ""
            is_whole = self._care.is_written(name)
            self._scopings[name].restrict(replace(spec.scope, exported_only=False) if is_whole else spec.scope, self._shared)

    # What the hub registers

    def _hub_is_told(self) -> None:
        self._tell([Synced(FLEET)])

    def _take_registered(self, found: Registered, is_complete: bool) -> None:  # noqa: FBT001 - a callback
        assert self._enrolment
        self._enrolment.take(found, is_complete=is_complete)
        if is_complete and not self._is_registered:
            self._is_registered = True
            self._hub_is_told()  # perhaps again: whoever waits for the members needs to hear it

    def begin(self, name: str, access: Access) -> None:
        """Keep up with a member that is registered."""
        self.regard(name)  # it may be there since our start
        keeper = self._keepers.get(name)
        (keeper.take if keeper else self._tell)([Health(name, MemberState.SYNCING)])
        self._tasks[name] = self._group.create_task(self._join(name, access))

    def end(self, name: str) -> None:
        """Tell that nothing of a member is left: it was taken out of the fleet."""
        if task := self._tasks.pop(name, None):
            task.cancel()
        self._credentials.pop(name, None)
        self._twins.forget(name)
        self._withdraw(name, "no longer registered")
        self._tell_aliases()
        self._tell_problems()

    def _withdraw(self, name: str, why: str) -> None:
        """Tell that nothing of a name is left."""
        keeper, scoping = self._keepers.pop(name, None), self._scopings.pop(name, None)
        self.members.pop(name, None)
        objects = [item for item in keeper.objects if scoping.passes(item)] if keeper and scoping else []
        if keeper:
            keeper.close()
        if self._saved:
            self._saved.forget(name)
        self._tell([*(Delete(name, key_of(item)) for item in objects), Health(name, MemberState.LOST, why)])

    # Names of one cluster

    def _ranked(self) -> list[str]:
        """Return the names of members, those first that count first."""
        return [*self._files, *(self._enrolment.names if self._enrolment else ())]

    def _tell_aliases(self) -> None:
        """Tell by which other names members go."""
        found = self._twins.aliases(self.members)
        events: list[Event] = [
            Aliases(name, found.get(name, frozenset()))
            for name in sorted(found.keys() | self._aliases.keys())
            if found.get(name) != self._aliases.get(name)
        ]
        self._aliases = found
        self._tell(events)

    def _same_clusters(self) -> Iterator[Problem]:
        for first, others in sorted(self._aliases.items()):
            for name in sorted(others):
                where, there = self.origin(name), self.origin(first)
                message = f"{name!r} ({where}) is another name of cluster {first!r} ({there}), and read under that one alone"
                yield Problem("XDS0309", message, hint="both names may be used; register it once to be rid of this")

    def _empty_scopes(self) -> Iterator[Problem]:
        """Yield what is wrong with scopes of members of which all namespaces are known."""
        for name, scoping in sorted(self._scopings.items()):
            if scoping.selects_nothing and name in self.members and self.members[name].is_synced:
                selector = scoping.spec.namespace_selector
                message = f"no namespace of cluster {name!r} matches {selector}, so nothing in namespaces is read of it"
                hint = "correct the selector, or label the namespaces that are meant"
                yield Problem("XDS0315", message, Ref(FLEET, MEMBERS, "", name), "spec.scope.namespaceSelector", hint)

    # One member

    async def _join(self, name: str, access: Access) -> None:
        """Keep up with a member until cancelled; while another name counts for its cluster, wait."""
        while True:
            digest = await self._keep_up(name, access)
            first = self._twins.first(name, told=False)
            self._withdraw(name, f"the same cluster as {first}")
            self._tell_aliases()
            self._tell_problems()
            while True:
                await asyncio.sleep(LOOK_S)
                if self._twins.first(name, told=False) == name or await _digest(access) != digest:
                    break
            self._twins.forget(name)
            self._tell_aliases()

    async def _prepare(self, name: str) -> None:
        """Begin with what was saved of a member."""

        def narrow(scope: Scope) -> None:
            if name in self.members:
                self.members[name].narrow(scope)
            keeper.withdraw(scope.wants)

        saved = await asyncio.to_thread(self._saved.load, name) if self._saved else None
        scoping = Scoping(name, self._tell, narrow)
        keeper = Keeper(name, scoping.take, self._tell_problems, share=self._care.share, delay_s=self._care.delay_s)
        self._keepers[name], self._scopings[name] = keeper, scoping
        if saved:
            self._tell([Remember(name, saved.seen, tuple(saved.accepted))])
            keeper.restore(saved.objects)
        self._saved_states[name] = _State(keeper.changes, tuple(saved.accepted) if saved else ())
        self.regard(name)

    async def _keep_up(self, name: str, access: Access) -> bytes:
        """Keep up with a member as long as its name counts, and return the digest of the credentials that led to it."""
        if name not in self._keepers:
            await self._prepare(name)
        keeper = self._keepers[name]
        member = MemberSource(name, MEMBER_KINDS, keeper.take, self._tell_problems, keeper.objects)
        keeper.is_settled = lambda: member.is_settled
        self.members[name] = member
        member.narrow(self._scopings[name].scope)

        async def connected(server: ApiServer) -> None:
            await self._twins.identify(name, server)
            self._tell_aliases()

        async def looked(server: ApiServer) -> None:
            if member.told_at_s and not self._twins.has_asked(name):  # it was down, and is there by now
                await connected(server)

        def is_wanted() -> bool:
            return self._twins.first(name, told=member.is_synced) == name

        watch = Watch(partial(self._note, name), connected, looked, is_wanted)
        return await keep_connected(access, member, watch)

    async def _keep(self) -> None:
        """Let go what was held for long enough, and save what changed."""
        while True:
            await asyncio.sleep(KEEP_S)
            if released := self._fleet_wide.tick():
                self._tell_problems()
            if self._enrolment:
                self._enrolment.expect(key.name for key in released if key.kind == MEMBERS)
                self._enrolment.tick()
            for keeper in self._keepers.values():
                keeper.tick()
            if due := self._unsaved():
                await asyncio.to_thread(self._save, due)

    def _unsaved(self) -> list[_Unsaved]:
        """Return what has to be saved: what was told completely and changed since."""
        if self._saved is None:
            return []
        now_s, found = time.time(), []
        for name, member in self.members.items():
            keeper = self._keepers[name]
            state = _State(keeper.changes, self._accepted(name))
            if member.is_synced and state != self._saved_states[name]:
                self._saved_states[name] = state
                found.append(_Unsaved(name, list(keeper.objects), dict(self._care.memory(name)), now_s, state.accepted))
        state = _State(self._fleet_wide.changes, self._accepted(FLEET))
        if self._hub_source and self._hub_source.is_synced and state != self._saved_states.get(FLEET_WIDE):
            self._saved_states[FLEET_WIDE] = state
            found.append(_Unsaved(FLEET_WIDE, self._fleet_wide.saved, {}, now_s, state.accepted))
        return found

    def _accepted(self, cluster: str) -> tuple[TrafficPolicy, ...]:
        """Return what was accepted last of the policies that API servers told: what has no uid, is of a file."""
        return tuple(item for item in self._care.accepted(cluster) if item.metadata.uid)

    def _save(self, due: list[_Unsaved]) -> None:
        for one in due:
            if self._saved:
                self._saved.save(one.name, one.objects, one.seen, one.at_s, accepted=one.accepted)
                if one.name != FLEET_WIDE and one.name not in self._keepers:  # it has left meanwhile
                    self._saved.forget(one.name)

    # Telling

    def _tell(self, events: list[Event]) -> None:
        if events:
            self._sink(events)

    def _tell_problems(self) -> None:
        of_members = [problem for member in self.members.values() for problem in member.problems()]
        of_members += [problem for keeper in self._keepers.values() for problem in keeper.problems()]
        of_files = self._saved.problems.values() if self._saved else ()
        of_hub = [*self._hub_source.problems(), *self._fleet_wide.problems()] if self._hub_source else []
        of_hub += self._enrolment.problems() if self._enrolment else ()
        self._take_problems(
            (*self._credentials.values(), *self._same_clusters(), *self._empty_scopes(), *of_members, *of_files, *of_hub)
        )

    def _note(self, member: str, error: Exception | None, is_used: bool) -> None:  # noqa: FBT001
        """Remember what is wrong with a member's credentials."""
        hint = "what was connected before is still used" if is_used else "nothing is read of this cluster"
        problem = Problem("XDS0303", f"the kubeconfig of {_described(member)}: {error}", hint=hint) if error else None
        if self._credentials.get(member) != problem:
            if problem is None:
                del self._credentials[member]
            else:
                self._credentials[member] = problem
            self._tell_problems()


class _State(NamedTuple):
    """What has changed if a member has to be saved again."""

    changes: int
    accepted: tuple[TrafficPolicy, ...]


class _Unsaved(NamedTuple):
    """A member that has to be saved."""

    name: str
    objects: list[KubernetesObject]
    seen: dict[tuple[str, str, str], frozenset[str]]
    at_s: float
    accepted: tuple[TrafficPolicy, ...]


def _described(name: str) -> str:
    return f"cluster {name!r}" if name != HUB else "the hub"


async def _digest(access: Access) -> bytes:
    """Return what changes with the credentials; nothing if there are none."""
    try:
        return (await access.credentials()).digest
    except ConfigurationError:
        return b""
