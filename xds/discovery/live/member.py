"""One member: its API server's collections, each kept up with by a task of its own, and how fresh they are.

What a member's server says of a kind stays in force whatever happens to the connection: only the server itself takes it back.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Final, TypeVar

import structlog
from msgspec import DecodeError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from xds.discovery.live.api_server import UnreachableError
from xds.discovery.live.collection import Collection, Refusal
from xds.discovery.live.resources import find_served
from xds.model.events import Health, MemberState, Synced
from xds.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from xds.discovery.live.api_server import ApiServer
    from xds.discovery.live.resources import Served
    from xds.model.events import Event
    from xds.model.kinds import Kind

WATCH_S: Final = (240, 360)
"""A watch is ended by the server after a time between these, so that it goes to another replica of the server now and then."""
SILENCE_S: Final = 100.0
"""Bookmarks come once a minute; a watch without a byte for so long is dead."""
RELIST_S: Final = 900.0
"""A watch may have missed something (istio#54997): from time to time all is listed again, and only differences are told."""
PULSE_S: Final = 5.0
"""How often the server is asked whether it is there: a watch says nothing of that."""
LOOK_S: Final = 10.0
"""How often we look for kinds that it did not have."""
BACK_OFF_S: Final = 30.0
FORBIDDEN: Final = 403

T = TypeVar("T")
_log = structlog.get_logger()


class MemberSource:
    """Keeps up with one member.

    Args:
        cluster: its name.
        kinds: what is read where the server has it.
        sink: gets batches of events, in the event loop, never an empty one.
        on_problems: called when `problems()` may have changed.
    """

    def __init__(
        self, cluster: str, kinds: tuple[Kind, ...], sink: Callable[[list[Event]], None], on_problems: Callable[[], None]
    ) -> None:
        self.cluster = cluster
        self.collections: dict[str, Collection] = {}
        """Kind -> what there is of it."""
        self.state = MemberState.SYNCING
        self.since_s = time.time()
        """Since when it is in that state."""
        self.told_at_s = 0.0
        """When its server was heard last."""
        self._kinds = kinds
        self._sink = sink
        self._on_problems = on_problems
        self._failures: dict[str, str] = {}
        """Kind, or "" for the server itself -> why it cannot be kept up with."""
        self._refused: dict[str, Refusal] = {}
        """Kind -> why we may not read it."""
        self._looked = False
        self._synced = False
        self._reason = ""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with the member and its objects."""
        if self.state is MemberState.STALE:
            since = time.strftime("%H:%M:%S UTC", time.gmtime(self.since_s))
            message = f"cluster {self.cluster!r} cannot be kept up with since {since}: {self._reason}"
            hint = "what was read of it stays in force" if self._synced else "nothing was read of it yet; the rest is served"
            yield Problem("XDS0301", message, hint=hint, about=f"{self.cluster} {self._reason}")
        for kind, refusal in sorted(self._refused.items()):
            message = f"cluster {self.cluster!r} does not let us read {kind}: {refusal.message}"
            yield Problem("XDS0302", message, hint="let the control plane's user list and watch it; the rest is served")
        for collection in self.collections.values():
            yield from collection.problems

    async def run(self, server: ApiServer) -> None:
        """Keep up over one connection until cancelled, going on from what an earlier one has told."""
        self._failures = {}
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._feel_pulse(server))
            tasks.create_task(self._look_for_kinds(server, tasks))

    async def _look_for_kinds(self, server: ApiServer, tasks: asyncio.TaskGroup) -> None:
        """Begin with each kind as soon as the server has it."""
        begun: set[str] = set()
        while True:
            missing = [kind for kind in self._kinds if kind.name not in begun]
            served = await self._patiently("", find_served, server, missing)
            for kind in missing:
                if kind.name in served:
                    begun.add(kind.name)
                    tasks.create_task(self._keep_up(server, kind, served[kind.name]))
            for kind in missing:
                if kind.name not in served and kind.name in self.collections:  # gone while we were away
                    self._tell(self.collections.pop(kind.name).clear())
            self._looked = True
            self._settle()
            await asyncio.sleep(LOOK_S * random.uniform(0.8, 1.2))  # noqa: S311 - not for secrets

    async def _keep_up(self, server: ApiServer, kind: Kind, served: Served) -> None:
        collection = self.collections.get(kind.name)
        if collection is None or not collection.api_version.endswith(served.version):
            known = collection.objects if collection else {}
            collection = self.collections[kind.name] = Collection(self.cluster, kind, served.version)
            collection.objects.update(known)
        else:
            collection.disconnected()
        listed_at_s = time.monotonic()
        while True:
            await self._patiently(kind.name, self._ask, server, collection, served)
            if time.monotonic() - listed_at_s > RELIST_S:
                listed_at_s = time.monotonic()
                collection.list_anew()

    async def _ask(self, server: ApiServer, collection: Collection, served: Served) -> None:
        """Make one request of a collection, and take the answer."""
        request = collection.request(random.randint(*WATCH_S))  # noqa: S311 - not for secrets
        heard = False
        try:
            if request.is_watch:
                async for line in server.lines(served.path, request.query, silence_s=SILENCE_S):
                    heard = True
                    self._heard(collection.kind.name)
                    self._tell(collection.take_line(line))
            else:
                body = await server.get(served.path, request.query)
                self._heard(collection.kind.name)
                self._tell(collection.take_page(body))
        except Refusal as error:
            collection.refused(error.status, error.message)
            if error.status == FORBIDDEN:
                self._refused[collection.kind.name] = error
                self._on_problems()
                self._settle()
            raise
        except UnreachableError:
            collection.disconnected()
            if not heard:
                raise
        except DecodeError as error:
            collection.list_anew()
            raise UnreachableError(f"what {server.url}{served.path} answers is not what an API server says: {error}") from error
        self._settle()

    async def _patiently(self, what: str, call: Callable[..., Awaitable[T]], *arguments: object) -> T:
        """Return what a call gives, made again and again until it succeeds; remember meanwhile why it does not."""

        def note(attempt: RetryCallState) -> None:
            error = attempt.outcome.exception() if attempt.outcome else None
            _log.debug("api server", cluster=self.cluster, about=what, error=str(error), wait_s=round(attempt.upcoming_sleep, 2))
            if what not in self._refused:
                self._failures[what] = str(error)
                self._settle()

        retrying = AsyncRetrying(
            wait=wait_random_exponential(multiplier=0.2, max=BACK_OFF_S),
            retry=retry_if_exception_type((Refusal, UnreachableError)),
            before_sleep=note,
        )
        result: T = await retrying(call, *arguments)
        self._works(what)
        return result

    async def _feel_pulse(self, server: ApiServer) -> None:
        while True:
            await self._patiently("", server.get, "/version")
            self.told_at_s = time.time()
            await asyncio.sleep(PULSE_S)

    def _heard(self, kind: str) -> None:
        self.told_at_s = time.time()
        self._works(kind)

    def _works(self, what: str) -> None:
        known = self._failures.pop(what, None) or self._refused.pop(what, None)
        if known is not None:
            self._settle()

    def _tell(self, events: list[Event]) -> None:
        if events:
            self._sink(events)

    def _settle(self) -> None:
        """Tell the state if it is another one by now, and once that everything has been told."""
        events: list[Event] = []
        waiting = [one for one in self.collections.values() if not one.synced and one.kind.name not in self._refused]
        if self._looked and not waiting and not self._synced:
            self._synced = True
            events.append(Synced(self.cluster))
        state, reason = MemberState.CONNECTED if self._synced else MemberState.SYNCING, ""
        if self._failures:
            what = min(self._failures)
            state, reason = MemberState.STALE, f"{what}: {self._failures[what]}" if what else self._failures[what]
        if (state, reason) != (self.state, self._reason) or events:
            if state is not self.state:
                self.since_s = time.time()
            self.state, self._reason = state, reason
            events.append(Health(self.cluster, state, reason))
            self._on_problems()
        self._tell(events)
