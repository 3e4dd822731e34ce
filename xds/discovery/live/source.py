"""The live source: clusters with API servers as the members of a fleet.

A member is kept up with over one connection. When its kubeconfig changes, the new credentials are tried first; only if they work
do they take over, and go on where the old ones were, so that nothing is lost in between.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, NamedTuple

from xds.discovery.live.api_server import ApiServer, UnreachableError
from xds.discovery.live.collection import Refusal
from xds.discovery.live.kubeconfig import chosen_contexts, read_kubeconfig
from xds.discovery.live.member import MemberSource
from xds.discovery.live.writing import MemberWriter
from xds.errors import ConfigurationError
from xds.model.events import FLEET, Health, MemberState, Synced
from xds.model.kinds import KINDS
from xds.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from xds.discovery.live.kubeconfig import Context, Kubeconfig
    from xds.model.events import Event

LOOK_S: Final = 2.0
"""How often a kubeconfig file is looked at."""
MEMBER_KINDS: Final = tuple(kind for kind in KINDS.values() if not kind.fleet_wide and kind.name != "Pod")
"""Pods are not read: all that we need of them is in EndpointSlices."""


class LiveSource:
    """Tells what API servers hold, and then what changes in it.

    Args:
        files: kubeconfigs.
        contexts: which of their contexts are members; all if there are none.

    Raises:
        ConfigurationError: a kubeconfig cannot be used.
    """

    def __init__(self, files: Sequence[Path], contexts: Iterable[str] = ()) -> None:
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
            problems((*self._credentials.values(), *of_members))

        names = [context.member for context in self._contexts]
        first: list[Event] = [Health(name, MemberState.SYNCING) for name in names]
        sink([*first, *([Synced(FLEET)] if is_alone else [])])
        self.members = {name: MemberSource(name, MEMBER_KINDS, sink, tell_problems) for name in names}
        with TemporaryDirectory(prefix="isthmus-") as scratch:
            async with asyncio.TaskGroup() as tasks:
                for context in self._contexts:
                    tasks.create_task(self._follow(context, Path(scratch, context.member), tell_problems))

    async def _follow(self, context: Context, scratch: Path, tell_problems: Callable[[], None]) -> None:
        """Keep up with one member; whenever its kubeconfig has changed and works, over a new connection."""
        member = self.members[context.member]
        running: _Running | None = None
        try:
            while True:
                problem = None
                try:
                    found = await asyncio.to_thread(read_kubeconfig, context.file)
                    if running is None or found.digest != running.digest:
                        server = await _connect(context, found, scratch / found.digest.hex(), is_tried=running is not None)
                        await _end(running)
                        running = _Running(found.digest, server, asyncio.create_task(member.run(server)))
                except (ConfigurationError, Refusal, UnreachableError) as error:
                    hint = "what was connected before is still used" if running else "nothing is read of this cluster"
                    problem = Problem("XDS0303", f"the kubeconfig of cluster {context.member!r}: {error}", hint=hint)
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
