"""The live source: clusters with API servers as the members of a fleet.

A member is kept up with over one connection. When its kubeconfig changes, the new credentials are tried first; only if they work
do they take over, and go on where the old ones were, so that nothing is lost in between.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, NamedTuple

from xds.discovery.live.api_server import ApiServer, UnreachableError
from xds.discovery.live.collection import Refusal
from xds.discovery.live.keeper import Keeper
from xds.discovery.live.kubeconfig import chosen_contexts, read_kubeconfig
from xds.discovery.live.member import MemberSource
from xds.discovery.live.writing import MemberWriter
from xds.discovery.saved_world import SavedWorld
from xds.errors import ConfigurationError
from xds.model.events import FLEET, Health, MemberState, Remember, Synced
from xds.model.kinds import KINDS
from xds.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from xds.discovery.live.kubeconfig import Context, Kubeconfig
    from xds.model.events import Event
    from xds.model.objects import KubernetesObject

KEEP_S: Final = 10.0
"""How often what is held is looked at, and what changed is saved."""
LOOK_S: Final = 2.0
"""How often a kubeconfig file is looked at."""
RENEW_S: Final = 30.0
"""How often credentials that are refused are asked for again: a plugin may give others by now, a token file have others."""
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
    memory: Callable[[str], Mapping[tuple[str, str, str], frozenset[str]]] = lambda _: {}
    """Returns which endpoints of a member have been ready."""


class LiveSource:
    """Tells what API servers hold, and then what changes in it.

    Args:
        files: kubeconfigs.
        contexts: which of their contexts are members; all if there are none.
        care: what is done so that nothing is lost.

    Raises:
        ConfigurationError: a kubeconfig cannot be used.
    """

    def __init__(self, files: Sequence[Path], contexts: Iterable[str] = (), care: Care | None = None) -> None:
        self._care = care or Care()
        self._saved = SavedWorld(self._care.directory) if self._care.directory else None
        self._keepers: dict[str, Keeper] = {}
        self._saved_changes: dict[str, int] = {}
        """Member -> its changes when it was saved last."""
        self._contexts = chosen_contexts(files, contexts)
        self.names = frozenset(context.member for context in self._contexts)
        """Of the members."""
        self.members: dict[str, MemberSource] = {}
        self._credentials: dict[str, Problem] = {}
        """Member -> what is wrong with its kubeconfig."""

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

        def tell_problems() -> None:
            of_members = [problem for member in self.members.values() for problem in member.problems()]
            of_members += [problem for keeper in self._keepers.values() for problem in keeper.problems()]
            of_files = self._saved.problems.values() if self._saved else ()
            problems((*self._credentials.values(), *of_members, *of_files))

        names = [context.member for context in self._contexts]
        first: list[Event] = [Health(name, MemberState.SYNCING) for name in names]
        sink([*first, *([Synced(FLEET)] if is_alone else [])])
        for name in names:
            await self._begin(name, sink, tell_problems)
        try:
            with TemporaryDirectory(prefix="isthmus-") as scratch:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._keep())
                    for context in self._contexts:
                        tasks.create_task(self._follow(context, Path(scratch, context.member), tell_problems))
        finally:
            for keeper in self._keepers.values():
                keeper.close()
            self._save(self._unsaved())

    def confirm(self, member: str, value: str) -> None:
        """Let go what is held of a member, if the value names it (`keeper.CONFIRMATION`)."""
        if member in self._keepers:
            self._keepers[member].confirm(value)

    async def _begin(self, name: str, sink: Callable[[list[Event]], None], tell_problems: Callable[[], None]) -> None:
        """Make what keeps up with a member, and tell what was saved of it."""
        keeper = Keeper(name, sink, tell_problems, share=self._care.share, delay_s=self._care.delay_s)
        saved = await asyncio.to_thread(self._saved.load, name) if self._saved else None
        objects = saved.objects if saved else []
        if saved:
            sink([Remember(name, saved.seen)])
            keeper.restore(objects)
        member = MemberSource(name, MEMBER_KINDS, keeper.take, tell_problems, objects)
        keeper.is_settled = lambda: member.is_settled
        self._keepers[name], self.members[name] = keeper, member
        self._saved_changes[name] = keeper.changes

    async def _keep(self) -> None:
        """Let go what was held for long enough, and save what changed."""
        while True:
            await asyncio.sleep(KEEP_S)
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

    async def _follow(self, context: Context, scratch: Path, tell_problems: Callable[[], None]) -> None:
        """Keep up with one member; whenever its kubeconfig has changed and works, over a new connection."""
        member, loop = self.members[context.member], asyncio.get_running_loop()
        running: _Running | None = None
        renewed_at_s = -RENEW_S
        try:
            while True:
                problem = None
                try:
                    found = await asyncio.to_thread(read_kubeconfig, context.file)
                    is_due = member.is_unauthorized and loop.time() >= renewed_at_s + RENEW_S
                    if running is None or found.digest != running.digest or is_due:
                        renewed_at_s = loop.time()
                        server = await _connect(context, found, scratch / found.digest.hex(), is_tried=running is not None)
                        await _end(running)
                        running = _Running(found.digest, server, asyncio.create_task(member.run(server)))
                except (ConfigurationError, Refusal, UnreachableError) as error:
                    hint = "what was connected before is still used" if running else "nothing is read of this cluster"
                    problem = Problem("XDS0303", f"the kubeconfig of cluster {context.member!r}: {error}", hint=hint)
                    if running is None and isinstance(error, ConfigurationError):
                        member.cannot_begin(error)
                self._note(context.member, problem, tell_problems)
                await asyncio.sleep(LOOK_S)
                if running and running.task.done():
                    running.task.result()  # it never ends by itself: what it raises is ours to tell
        finally:
            await _end(running)

    def _note(self, member: str, problem: Problem | None, tell_problems: Callable[[], None]) -> None:
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


class _Running(NamedTuple):
    """A connection in use."""

    digest: bytes
    """Of the kubeconfig."""
    server: ApiServer
    task: asyncio.Task[None]


async def _connect(context: Context, found: Kubeconfig, scratch: Path, *, is_tried: bool) -> ApiServer:
    """Connect as a kubeconfig says.

    Raises:
        ConfigurationError: it cannot be used.
        Refusal: the server does not let its user list Services (only if this is tried).
        UnreachableError: the server cannot be reached (likewise).
    """
    await asyncio.to_thread(scratch.mkdir, parents=True, exist_ok=True)
    server = await ApiServer.connect(found.content, context=context.name, base_path=found.directory, scratch=scratch)
    if is_tried:
        try:
            await server.get("/api/v1/services", (("limit", "1"),))
        except BaseException:
            await server.close()
            raise
    return server


async def _end(running: _Running | None) -> None:
    if running is not None:
        running.task.cancel()
        await asyncio.gather(running.task, return_exceptions=True)
        await running.server.close()
