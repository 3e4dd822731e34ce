"""The live source: clusters with API servers as the members of a fleet.

Members come from kubeconfig files and from what the hub registers, and go with them. What stands between each and the model is
its keeper; two names of one cluster are one member.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec.structs import replace

from xds.discovery.live.access import FileAccess, RegisteredAccess
from xds.discovery.live.collection import key_of
from xds.discovery.live.connection import LOOK_S, Watch, keep_connected
from xds.discovery.live.hub import HubSource
from xds.discovery.live.keeper import CONFIRMATION, Keeper
from xds.discovery.live.kubeconfig import chosen_contexts
from xds.discovery.live.member import MemberSource
from xds.discovery.live.scope import Scoping
from xds.discovery.live.standing import FOREVER, Patience
from xds.discovery.live.twins import Twins
from xds.discovery.live.writing import MemberWriter
from xds.discovery.saved_world import SavedWorld
from xds.errors import ConfigurationError
from xds.model.events import FLEET, Aliases, Delete, Health, MemberState, Remember, Synced, Upsert
from xds.model.kinds import KINDS
from xds.model.objects import MemberCluster, MemberClusterSpec, ObjectMeta
from xds.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence

    from xds.discovery.live.access import Access
    from xds.discovery.live.api_server import ApiServer
    from xds.discovery.live.scope import Name, Scope
    from xds.discovery.registry.registrations import Registered, Registration
    from xds.model.events import Event
    from xds.model.objects import KubernetesObject

HUB: Final = ""
"""Stands for the hub where members stand by name."""
OWN_REGISTRIES: Final = frozenset(("MemberCluster", "Secret"))
"""Kinds that say nothing of a cluster's place, or say it themselves."""
KEEP_S: Final = 10.0
"""How often what is held is looked at, and what changed is saved."""
MEMBER_KINDS: Final = tuple(kind for kind in KINDS.values() if not kind.fleet_wide and kind.name != "Pod")
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
        self._keepers: dict[str, Keeper] = {}
        self._scopings: dict[str, Scoping] = {}
        self._specs: dict[str, MemberClusterSpec] = {}
        """Of members that have a MemberCluster."""
        self._shared: frozenset[Name] = frozenset()
        """Services that a MultiClusterService takes from clusters, so that they need no export."""
        self._saved_changes: dict[str, int] = {}
        """Member -> its changes when it was saved last."""
        chosen = chosen_contexts(files, contexts) if files else []
        self._files: dict[str, Access] = {context.member: FileAccess(context) for context in chosen}
        self._hub = hub
        self._plugins = plugins or {}
        self._registered: dict[str, tuple[RegisteredAccess, asyncio.Task[None]]] = {}
        """Members that the hub registers."""
        self._missing: dict[str, float] = {}
        """Those among them that went all at once -> since when, by the loop's clock: perhaps the hub has lost its data."""
        self._declared: dict[str, MemberCluster] = {}
        """What was told as a MemberCluster in the place of another registry's object."""
        self.members: dict[str, MemberSource] = {}
        self._ranked: list[str] = [*self._files]
        """Names of members, those first that count first."""
        self._twins = Twins(lambda: self._ranked, lambda name: name in self.members and self.members[name].is_synced)
        self._aliases: dict[str, frozenset[str]] = {}
        """What was told of them."""
        self._credentials: dict[str, Problem] = {}
        """Member -> what is wrong with its kubeconfig."""

    @property
    def names(self) -> frozenset[str]:
        """Of the members."""
        return frozenset((*self._files, *self._registered))

    @property
    def has_hub(self) -> bool:
        """Whether there may be more members later."""
        return self._hub is not None

    def origin(self, member: str) -> str:
        """Return where it is said how to reach a member, for people; "" if it is none of ours."""
        registered = self._registered.get(member)
        access = registered[0] if registered else self._files.get(member)
        return access.origin if access else ""

    def writer(self, member: str) -> MemberWriter:
        """Return how to write to a member, by whatever connection there is at the time."""
        return MemberWriter(lambda: self.members.get(member))

    async def run(
        self, sink: Callable[[list[Event]], None], problems: Callable[[tuple[Problem, ...]], None], *, is_alone: bool
    ) -> None:
        """Keep up with every member until cancelled. Runs once; both callbacks are called in the event loop.

        Args:
            sink: gets batches of events, never an empty one.
            problems: gets everything that is wrong, whenever that may have changed.
            is_alone: whether no other source tells what is fleet-wide.
        """
        hub: HubSource | None = None

        def tell_problems() -> None:
            of_members = [problem for member in self.members.values() for problem in member.problems()]
            of_members += [problem for keeper in self._keepers.values() for problem in keeper.problems()]
            of_files = self._saved.problems.values() if self._saved else ()
            of_hub = (*hub.problems(), *self._held_registrations()) if hub else ()
            problems((*self._credentials.values(), *self._same_clusters(), *of_members, *of_files, *of_hub))

        first: list[Event] = [Health(name, MemberState.SYNCING) for name in self._files]
        first += [Synced(FLEET)] if is_alone and not self._hub else []
        if first:
            sink(first)
        try:
            with TemporaryDirectory(prefix="isthmus-") as directory:
                scratch = Path(directory)
                async with asyncio.TaskGroup() as tasks:
                    join = partial(self._join, scratch=scratch, sink=sink, tell_problems=tell_problems)
                    tasks.create_task(self._keep(sink))
                    for name, access in self._files.items():
                        tasks.create_task(join(name, access))
                    if self._hub:
                        take = partial(self._take_registered, tasks, join, sink)
                        hub = HubSource(sink, take, tell_problems, self._plugins)
                        failed = partial(self._note, HUB, tell_problems)
                        tasks.create_task(keep_connected(self._hub, hub, scratch / ".hub", Watch(failed)))
        finally:
            for keeper in self._keepers.values():
                keeper.close()
            self._save(self._unsaved())

    def declared(self, member: str, item: MemberCluster | None) -> None:
        """Take into account what a member's MemberCluster says; None: there is none any more."""
        self._specs[member] = item.spec if item else MemberClusterSpec()
        self._regard(member)
        if item and (keeper := self._keepers.get(member)):
            keeper.confirm(item.metadata.annotations.get(CONFIRMATION, ""))

    def shared(self, names: Iterable[Name]) -> None:
        """Take into account which Services are taken from clusters without an export of their own."""
        self._shared = frozenset(names)
        for member in self._keepers:
            self._regard(member)

    def _regard(self, member: str) -> None:
        """Treat a member as what is said of it now demands."""
        spec = self._specs.get(member, MemberClusterSpec())
        if keeper := self._keepers.get(member):
            pairs = zip((spec.stale.demote_after_seconds, spec.stale.remove_after_seconds), self._care.patience, strict=True)
            keeper.judge.patience = Patience(*(given if own is None else own for own, given in pairs))
            keeper.judge.evicted = self._registered[member][0].registration.evicted if member in self._registered else ""
            is_whole = self._care.is_written(member)
            self._scopings[member].restrict(replace(spec.scope, exported_only=False) if is_whole else spec.scope, self._shared)

    def _take_registered(
        self,
        tasks: asyncio.TaskGroup,
        join: Callable[[str, Access], Coroutine[None, None, None]],
        sink: Callable[[list[Event]], None],
        found: Registered,
    ) -> None:
        """Begin with members that are registered, and end with those that are no longer."""
        assert self._hub
        wanted = {name: one for name, one in found.clusters.items() if name not in self._files}
        # Whoever replaces a Secret deletes it first, or makes a mistake: a member stays until its registration itself is gone.
        for name, (access, _) in self._registered.items():
            if (name, str(access.registration.origin)) in found.unusable:
                wanted.setdefault(name, access.registration)
        gone = self._registered.keys() - wanted.keys()
        if len(gone) > max(1, self._care.share * len(self._registered)):
            now_s = asyncio.get_running_loop().time()
            self._missing = {name: self._missing.get(name, now_s) for name in gone}
        else:
            for name in gone - self._missing.keys():
                self._leave(name, sink)
        self._ranked = [*self._files, *wanted, *(self._registered.keys() - wanted.keys())]
        for name, registration in wanted.items():
            self._missing.pop(name, None)
            if name in self._registered:
                self._registered[name][0].registration = registration
                self._regard(name)
            else:
                access = RegisteredAccess(registration, self._hub)
                sink([Health(name, MemberState.SYNCING)])
                self._registered[name] = access, tasks.create_task(join(name, access))
        self._declare([one for name, one in wanted.items() if name not in found.declared], sink)

    def _held_registrations(self) -> list[Problem]:
        if not self._missing:
            return []
        names = ", ".join(sorted(self._missing))
        message = f"the registrations of clusters {names} went all at once; they stay members for now"
        hint = f"register them again; if that was meant, wait {self._care.delay_s / 60:.0f} min"
        return [Problem("XDS0308", message, hint=hint)]

    def _declare(self, registrations: Iterable[Registration], sink: Callable[[list[Event]], None]) -> None:
        """Tell where clusters stand that other registries than ours name: as a MemberCluster would."""
        declared = {one.name: _as_member_cluster(one) for one in registrations if one.origin.kind not in OWN_REGISTRIES}
        events: list[Event] = [Upsert(FLEET, item) for name, item in declared.items() if self._declared.get(name) != item]
        events += [Delete(FLEET, Upsert(FLEET, self._declared[name]).key) for name in self._declared.keys() - declared.keys()]
        self._declared = declared
        if events:
            sink(events)

    def _leave(self, name: str, sink: Callable[[list[Event]], None]) -> None:
        """Tell that nothing of a member is left: it was taken out of the fleet."""
        _, task = self._registered.pop(name)
        task.cancel()
        self._missing.pop(name, None)
        self._credentials.pop(name, None)
        self._twins.forget(name)
        self._ranked = [other for other in self._ranked if other != name]
        self._withdraw(name, "no longer registered", sink)
        self._tell_aliases(sink)

    def _withdraw(self, name: str, why: str, sink: Callable[[list[Event]], None]) -> None:
        """Tell that nothing of a name is left."""
        keeper = self._keepers.pop(name, None)
        self.members.pop(name, None)
        scoping = self._scopings.pop(name, None)
        objects = [item for item in keeper.objects if scoping.passes(item)] if keeper and scoping else []
        if keeper:
            keeper.close()
        sink([*(Delete(name, key_of(item)) for item in objects), Health(name, MemberState.LOST, why)])

    def _tell_aliases(self, sink: Callable[[list[Event]], None]) -> None:
        """Tell by which other names members go."""
        found = self._twins.aliases(self.members)
        events: list[Event] = [
            Aliases(name, found.get(name, frozenset()))
            for name in sorted(found.keys() | self._aliases.keys())
            if found.get(name) != self._aliases.get(name)
        ]
        self._aliases = found
        if events:
            sink(events)

    def _same_clusters(self) -> Iterator[Problem]:
        for first, others in sorted(self._aliases.items()):
            for name in sorted(others):
                where, there = self.origin(name), self.origin(first)
                message = f"{name!r} ({where}) is the same cluster as {first!r} ({there}), and read under that name alone"
                yield Problem("XDS0309", message, hint="both names may be used; register it once to be rid of this")

    async def _join(
        self,
        name: str,
        access: Access,
        *,
        scratch: Path,
        sink: Callable[[list[Event]], None],
        tell_problems: Callable[[], None],
    ) -> None:
        """Keep up with a member until cancelled; while another name counts for its cluster, wait."""
        while True:
            await self._keep_up(name, access, scratch / name, sink, tell_problems)
            first = self._twins.first(name, told=False)
            self._withdraw(name, f"the same cluster as {first}", sink)
            self._tell_aliases(sink)
            tell_problems()
            digest = await _digest(access)
            while True:
                await asyncio.sleep(LOOK_S)
                if self._twins.first(name, told=False) == name or await _digest(access) != digest:
                    break
            self._twins.forget(name)
            self._tell_aliases(sink)

    async def _keep_up(
        self,
        name: str,
        access: Access,
        scratch: Path,
        sink: Callable[[list[Event]], None],
        tell_problems: Callable[[], None],
    ) -> None:
        """Keep up with a member as long as its name counts, beginning with what was saved of it."""

        def narrow(scope: Scope) -> None:
            if name in self.members:
                self.members[name].narrow(scope)

        scoping = Scoping(name, sink, narrow)
        keeper = Keeper(name, scoping.take, tell_problems, share=self._care.share, delay_s=self._care.delay_s)
        saved = await asyncio.to_thread(self._saved.load, name) if self._saved else None
        objects = saved.objects if saved else []
        if saved:
            sink([Remember(name, saved.seen)])
            keeper.restore(objects)
        member = MemberSource(name, MEMBER_KINDS, keeper.take, tell_problems, objects, keeper.withdraw)
        keeper.is_settled = lambda: member.is_settled
        self._keepers[name], self._scopings[name] = keeper, scoping
        self._regard(name)
        member.narrow(scoping.scope)
        self.members[name] = member
        self._saved_changes[name] = keeper.changes

        async def connected(server: ApiServer) -> None:
            await self._twins.identify(name, server)
            self._tell_aliases(sink)

        def is_wanted() -> bool:
            return self._twins.first(name, told=member.is_synced) == name

        await keep_connected(access, member, scratch, Watch(partial(self._note, name, tell_problems), connected, is_wanted))

    async def _keep(self, sink: Callable[[list[Event]], None]) -> None:
        """Let go what was held for long enough, and save what changed."""
        while True:
            await asyncio.sleep(KEEP_S)
            now_s = asyncio.get_running_loop().time()
            for name in [name for name, since_s in self._missing.items() if now_s >= since_s + self._care.delay_s]:
                self._leave(name, sink)
            for keeper in self._keepers.values():
                keeper.tick()
            if due := self._unsaved():
                await asyncio.to_thread(self._save, due)

    def _unsaved(self) -> list[_Unsaved]:
        """Return what has to be saved: members that told everything and changed since."""
        if self._saved is None:
            return []
        now_s, found = time.time(), []
        for name, keeper in self._keepers.items():
            if self.members[name].is_synced and keeper.changes != self._saved_changes[name]:
                self._saved_changes[name] = keeper.changes
                found.append(_Unsaved(name, list(keeper.objects), dict(self._care.memory(name)), now_s))
        return found

    def _save(self, due: list[_Unsaved]) -> None:
        for one in due:
            if self._saved:
                self._saved.save(*one)

    def _note(self, member: str, tell_problems: Callable[[], None], error: Exception | None, is_used: bool) -> None:  # noqa: FBT001
        """Remember what is wrong with a member's credentials."""
        hint = "what was connected before is still used" if is_used else "nothing is read of this cluster"
        problem = Problem("XDS0303", f"the kubeconfig of {_described(member)}: {error}", hint=hint) if error else None
        if self._credentials.get(member) != problem:
            if problem is None:
                del self._credentials[member]
            else:
                self._credentials[member] = problem
            tell_problems()


class _Unsaved(NamedTuple):
    """A member that has to be saved."""

    name: str
    objects: list[KubernetesObject]
    seen: dict[tuple[str, str, str], frozenset[str]]
    at_s: float


def _described(name: str) -> str:
    return f"cluster {name!r}" if name != HUB else "the hub"


def _as_member_cluster(registration: Registration) -> MemberCluster:
    meta = ObjectMeta(name=registration.name, resource_version=registration.origin.resource_version)
    spec = MemberClusterSpec(region=registration.region, zones=list(registration.zones))
    return MemberCluster(api_version="traffic.isthmus.dev/v1alpha1", kind="MemberCluster", metadata=meta, spec=spec)


async def _digest(access: Access) -> bytes:
    """Return what changes with the credentials; nothing if there are none."""
    try:
        return (await access.credentials()).digest
    except ConfigurationError:
        return b""
