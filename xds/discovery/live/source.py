"""The live source: clusters with API servers as the members of a fleet.

Members come from kubeconfig files and from what the hub registers, and go with them. What stands between each and the model is
its intake; two names of one cluster are one member.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from xds.discovery.live.access import FileAccess
from xds.discovery.live.collection import key_of
from xds.discovery.live.connection import LOOK_S, Watch, keep_connected
from xds.discovery.live.enrolment import Enrolment
from xds.discovery.live.fleet_wide import MEMBERS, FleetWide
from xds.discovery.live.hub import HubSource
from xds.discovery.live.intake import Intake
from xds.discovery.live.kubeconfig import chosen_contexts
from xds.discovery.live.saving import Saving
from xds.discovery.live.standing import FOREVER, Patience
from xds.discovery.live.twins import Twins
from xds.discovery.live.writing import MemberWriter
from xds.discovery.saved_world import FLEET_WIDE
from xds.errors import ConfigurationError
from xds.model.events import FLEET, Delete, Health, MemberState, Remember, Synced
from xds.model.objects import MemberCluster, MemberClusterSpec, ScopeSpec
from xds.model.traffic_objects import TrafficPolicy
from xds.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from xds.discovery.live.access import Access
    from xds.discovery.live.api_server import ApiServer
    from xds.discovery.live.member import MemberSource
    from xds.discovery.live.scope import Name
    from xds.discovery.registry.registrations import Registered
    from xds.model.events import Event

HUB: Final = ""
"""Stands for the hub where members stand by name."""
KEEP_S: Final = 10.0
"""How often what is held is looked at, and what changed is saved."""


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
        self._saving = Saving(self._care.directory, self._care.memory, self._care.accepted)
        self._intakes: dict[str, Intake] = {}
        self._specs: dict[str, MemberClusterSpec] = {}
        """Of members that have a MemberCluster."""
        self._shared: frozenset[Name] = frozenset()
        """Services that a MultiClusterService takes from clusters, so that they need no export."""
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
        self._twins = Twins(self._ranked, lambda name: name in self._intakes and self._intakes[name].is_synced)
        self._credentials: dict[str, Problem] = {}
        """Member -> what is wrong with its kubeconfig."""
        # While it runs:
        self._hub_source: HubSource | None = None
        self._sink: Callable[[list[Event]], None]
        self._take_problems: Callable[[tuple[Problem, ...]], None]
        self._group: asyncio.TaskGroup
        self._scratch: Path

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
        intake = self._intakes.get(member)
        return intake.scope if intake else ScopeSpec()

    def writer(self, member: str) -> MemberWriter:
        """Return how to write to a member, by whatever connection there is at the time."""
        return MemberWriter(lambda: self._source(member))

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
            with TemporaryDirectory(prefix="isthmus-") as directory:
                self._scratch = Path(directory)
                async with asyncio.TaskGroup() as self._group:
                    self._group.create_task(self._keep())
                    for name, access in self._files.items():
                        self._group.create_task(self._join(name, access))
                    if self._hub and self._enrolment:
                        self._group.create_task(self._follow_hub(self._hub, self._enrolment))
        finally:
            for intake in self._intakes.values():
                intake.close()
            self._offer()
            self._saving.write_now()

    async def _follow_hub(self, access: Access, enrolment: Enrolment) -> None:
        """Keep up with what the hub registers, beginning with what was saved of that."""
        if (saved := await self._saving.load(FLEET_WIDE)) is not None:
            self._tell([Remember(FLEET, accepted=tuple(saved.accepted))])
            self._fleet_wide.restore(saved.objects)
            self._saving.begin(FLEET_WIDE, self._fleet_wide.changes, saved)
        for name in await self._saving.names():
            if name not in self._files:
                intake = await self._prepare(name)
                enrolment.remember(name)
                intake.take([Health(name, MemberState.STALE, "the hub has not said yet how to reach it")])
        hub = HubSource(self._fleet_wide, self._hub_is_told, self._take_registered, self._tell_problems, self._plugins)
        self._hub_source = hub
        await keep_connected(access, hub, self._scratch / ".hub", Watch(partial(self._note, HUB)))

    # What is said of members

    def declared(self, member: str, item: MemberCluster | None) -> None:
        """Take into account what a member's MemberCluster says; None: there is none any more."""
        self._specs[member] = item.spec if item else MemberClusterSpec()
        self.regard(member)
        if item and (intake := self._intakes.get(member)):
            intake.confirm(item)

    def shared(self, names: Iterable[Name]) -> None:
        """Take into account which Services are taken from clusters without an export of their own."""
        self._shared = frozenset(names)
        for member in self._intakes:
            self.regard(member)

    def regard(self, name: str) -> None:
        """Treat a member as what is said of it now demands."""
        spec = self._specs.get(name, MemberClusterSpec())
        if intake := self._intakes.get(name):
            access = self._enrolment.accesses.get(name) if self._enrolment else None
            intake.regard(spec, self._care.patience, access.registration.evicted if access else "")
            intake.restrict(spec.scope, self._shared, is_whole=self._care.is_written(name))

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
        intake = self._intakes.get(name)
        (intake.take if intake else self._tell)([Health(name, MemberState.SYNCING)])
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
        intake = self._intakes.pop(name, None)
        objects = [*intake.passed] if intake else []
        if intake:
            intake.close()
        self._saving.forget(name)
        self._tell([*(Delete(name, key_of(item)) for item in objects), Health(name, MemberState.LOST, why)])

    # Names of one cluster

    def _ranked(self) -> list[str]:
        """Return the names of members, those first that count first."""
        return [*self._files, *(self._enrolment.names if self._enrolment else ())]

    def _tell_aliases(self) -> None:
        """Tell by which other names members go."""
        self._tell([*self._twins.look({name for name in self._intakes if self._source(name)})])

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

    def _source(self, name: str) -> MemberSource | None:
        """Return what reads a member; None if it is not read."""
        intake = self._intakes.get(name)
        return intake.source if intake else None

    async def _prepare(self, name: str) -> Intake:
        """Begin with what was saved of a member."""
        saved = await self._saving.load(name)
        intake = Intake(name, self._tell, self._tell_problems, share=self._care.share, delay_s=self._care.delay_s)
        self._intakes[name] = intake
        if saved:
            self._tell([Remember(name, saved.seen, tuple(saved.accepted))])
            intake.restore(saved.objects)
        self._saving.begin(name, intake.changes, saved)
        self.regard(name)
        return intake

    async def _keep_up(self, name: str, access: Access) -> bytes:
        """Keep up with a member as long as its name counts, and return the digest of the credentials that led to it."""
        member = (self._intakes.get(name) or await self._prepare(name)).open()

        async def connected(server: ApiServer) -> None:
            await self._twins.identify(name, server)
            self._tell_aliases()

        async def looked(server: ApiServer) -> None:
            if member.told_at_s and not self._twins.has_asked(name):  # it was down, and is there by now
                await connected(server)

        def is_wanted() -> bool:
            return self._twins.first(name, told=member.is_synced) == name

        watch = Watch(partial(self._note, name), connected, looked, is_wanted)
        return await keep_connected(access, member, self._scratch / name, watch)

    async def _keep(self) -> None:
        """Let go what was held for long enough, and save what changed."""
        while True:
            await asyncio.sleep(KEEP_S)
            if released := self._fleet_wide.tick():
                self._tell_problems()
            if self._enrolment:
                self._enrolment.expect(key.name for key in released if key.kind == MEMBERS)
                self._enrolment.tick()
            for intake in self._intakes.values():
                intake.tick()
            self._offer()
            await self._saving.write()

    def _offer(self) -> None:
        """Have saved what was told completely."""
        for name, intake in self._intakes.items():
            if intake.is_synced:
                self._saving.offer(name, intake.changes, intake.objects)
        if self._hub_source and self._hub_source.is_synced:
            self._saving.offer(FLEET_WIDE, self._fleet_wide.changes, self._fleet_wide.saved)

    # Telling

    def _tell(self, events: list[Event]) -> None:
        if events:
            self._sink(events)

    def _tell_problems(self) -> None:
        of_members = [problem for intake in self._intakes.values() for problem in intake.problems()]
        of_hub = [*self._hub_source.problems(), *self._fleet_wide.problems()] if self._hub_source else []
        of_hub += self._enrolment.problems() if self._enrolment else ()
        credentials = self._credentials.values()
        self._take_problems((*credentials, *self._twins.problems(self.origin), *of_members, *self._saving.problems(), *of_hub))

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


def _described(name: str) -> str:
    return f"cluster {name!r}" if name != HUB else "the hub"


async def _digest(access: Access) -> bytes:
    """Return what changes with the credentials; nothing if there are none."""
    try:
        return (await access.credentials()).digest
    except ConfigurationError:
        return b""
