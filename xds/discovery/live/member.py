"""One member: its API server's collections, each kept up with by a task of its own, and how fresh they are.

What a member's server says of a kind stays in force whatever happens to the connection: only the server itself takes it back.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from contextlib import aclosing
from typing import TYPE_CHECKING, Final, TypeVar

import structlog
from msgspec import DecodeError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from xds.discovery.live.api_server import UnreachableError
from xds.discovery.live.collection import Collection, Refusal, key_of
from xds.discovery.live.pace import Pace
from xds.discovery.live.resources import NOT_FOUND, find_served
from xds.discovery.live.scope import EVERYTHING, NAMESPACE
from xds.model.events import Delete, Health, MemberState, Synced
from xds.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

    from xds.discovery.live.api_server import ApiServer
    from xds.discovery.live.collection import Request
    from xds.discovery.live.resources import Served
    from xds.discovery.live.scope import Scope
    from xds.errors import ConfigurationError
    from xds.model.events import Event, ObjectKey
    from xds.model.kinds import Kind
    from xds.model.objects import KubernetesObject

SILENCE_S: Final = 100.0
"""Bookmarks come once a minute; a watch without a byte for so long is dead."""
LIST_SILENCE_S: Final = 10.0
"""A server that is to tell what there is has no reason to be silent for so long, unless it does not know how to end."""
PULSE_S: Final = 5.0
"""How often the server is asked whether it is there, and how long it may take to answer: a watch says nothing of that."""
LOOK_S: Final = 10.0
"""How often we look for kinds that it did not have."""
BACK_OFF_S: Final = 30.0
PATIENCE_S: Final = 2.0
"""What has failed for less is asked again and nothing else: whoever starts waits for a member unless it is stale."""
UNAUTHORIZED: Final = 401
FORBIDDEN: Final = 403

_PULSE, _DISCOVERY, _KUBECONFIG = "", "API discovery", "kubeconfig"
"""What may fail, beside each kind."""

T = TypeVar("T")
_log = structlog.get_logger()


class _SilentError(UnreachableError):
    """A watch that was to begin with what there is says nothing: perhaps its server does not know how to end the list."""


class MemberSource:
    """Keeps up with one member.

    Args:
        cluster: its name.
        kinds: what is read where the server has it.
        sink: gets batches of events, in the event loop, never an empty one.
        on_problems: called when `problems()` may have changed.
        saved: what is in force from before: only what differs from it is told.
    """

    def __init__(
        self,
        cluster: str,
        kinds: tuple[Kind, ...],
        sink: Callable[[list[Event]], None],
        on_problems: Callable[[], None],
        saved: Iterable[KubernetesObject] = (),
    ) -> None:
        self.cluster = cluster
        self.scope = EVERYTHING
        """What is wanted of it."""
        self.collections: dict[str, Collection] = {}
        """Kind -> what there is of it."""
        self.state = MemberState.SYNCING
        self.since_s = time.time()
        """Since when it is in that state."""
        self.server: ApiServer | None = None
        """The connection in use."""
        self.served: dict[str, Served] = {}
        """Kind -> how the server has it."""
        self.told_at_s = 0.0
        """When its server was heard last."""
        self._saved: dict[str, dict[ObjectKey, KubernetesObject]] = defaultdict(dict)
        """Kind -> what is in force of a kind that was not listed yet."""
        for item in saved:
            self._saved[item.kind][key_of(item)] = item
        self._kinds = kinds
        self._sink = sink
        self._on_problems = on_problems
        self._kept: set[str] = set()
        """Kinds that a task keeps up with."""
        self._failures: dict[str, Exception] = {}
        """Kind, or what else is asked -> why there is no answer."""
        self._heard_s: dict[str, float] = {}
        """Kind -> when the loop's clock said that something of it was heard last."""
        self._refused: dict[str, Refusal] = {}
        """Kind -> why we may not read it."""
        self._limits: dict[str, asyncio.Timeout] = {}
        """Kind -> what ends its watch."""
        self._settled = asyncio.Event()
        """Set whenever something may be known that others wait for."""
        self._unread: dict[str, list[str]] = {}
        """Kind -> the versions in which the server has it, none of which we read."""
        self._looked = False
        self._synced = False
        self._reason = ""
        self._error = ""
        """The reason without what was asked: what several kinds have in common."""

    @property
    def is_synced(self) -> bool:
        """Whether everything was told once."""
        return self._synced

    @property
    def failure(self) -> str:
        """Why it cannot be kept up with; "" if it can."""
        return self._error if self.state is MemberState.STALE else ""

    @property
    def is_settled(self) -> bool:
        """Whether no kind is being listed, so that what is gone is known of all."""
        return all(collection.is_watching for collection in self.collections.values())

    @property
    def is_unauthorized(self) -> bool:
        """Whether the server does not accept our credentials: they may have expired."""
        return any(isinstance(error, Refusal) and error.status == UNAUTHORIZED for error in self._failures.values())

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with the member and its objects."""
        if self.state is MemberState.STALE and _KUBECONFIG not in self._failures:  # that one is told by who reads it
            since = time.strftime("%H:%M:%S UTC", time.gmtime(self.since_s))
            message = f"cluster {self.cluster!r} cannot be kept up with since {since}: {self._reason}"
            hint = "what was read of it stays in force" if self._synced else "nothing was read of it yet; the rest is served"
            yield Problem("XDS0301", message, hint=hint, about=f"{self.cluster} {self._error}")
        if self._refused:
            kinds = sorted(self._refused)
            message = f"cluster {self.cluster!r} does not let us read {', '.join(kinds)}: {self._refused[kinds[0]].message}"
            yield Problem("XDS0302", message, hint="let the control plane's user list and watch that; the rest is served")
        for one in self._kinds:
            if versions := self._unread.get(one.name):
                offered, read = ", ".join(versions), ", ".join(one.versions)
                message = f"cluster {self.cluster!r} has {one.name} in {offered} alone; read are {read}"
                hint = "serve one of those in its CustomResourceDefinition, or update the control plane; the rest is served"
                yield Problem("XDS0314", message, hint=hint)
        for collection in self.collections.values():
            yield from collection.problems

    def cannot_begin(self, error: ConfigurationError) -> None:
        """Take into account that there is no way to connect: nobody needs to wait for this member."""
        self._failures = {_KUBECONFIG: error}
        self._settle()

    def narrow(self, scope: Scope) -> None:
        """Read another part of the member from now on; that nothing else is in force is up to who keeps it."""
        self.scope = scope
        for known in self._saved.values():
            for key in [key for key, item in known.items() if not scope.wants(item)]:
                del known[key]
        for name, collection in self.collections.items():
            before = collection.questions
            collection.narrow(scope)
            if collection.questions != before and (limit := self._limits.get(name)) and not limit.expired():
                limit.reschedule(asyncio.get_running_loop().time())  # what it watches is not what is wanted
        self._settled.set()
        self._on_problems()

    async def run(self, server: ApiServer) -> None:
        """Keep up over one connection until cancelled, going on from what an earlier one has told."""
        self.server = server
        self._failures, self._kept = {}, set()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._feel_pulse(server))
            tasks.create_task(self._look_for_kinds(server, tasks))

    async def _feel_pulse(self, server: ApiServer) -> None:
        async def ask() -> None:
            try:
                await server.get("/version", read_s=PULSE_S)
            except Refusal as error:
                if error.status not in (FORBIDDEN, NOT_FOUND):  # who says that is there; what it is, discovery finds out
                    raise

        while True:
            await self._patiently(_PULSE, ask)
            self.told_at_s = time.time()
            await asyncio.sleep(PULSE_S)

    async def _look_for_kinds(self, server: ApiServer, tasks: asyncio.TaskGroup) -> None:
        """Begin with each kind as soon as the server has it."""
        absent: set[str] = set()
        while True:
            missing = [kind for kind in self._kinds if kind.name not in self._kept]
            # Before anything known is taken to be gone, the server has to have what every server has.
            is_known = any(self._knows(kind) for kind in missing)
            served, unread = await self._patiently(_DISCOVERY, find_served, server, self._kinds if is_known else missing)
            self.served |= served
            if unread != self._unread:
                self._unread = unread
                self._on_problems()
            for kind in missing:
                if kind.name in served:
                    self._kept.add(kind.name)
                    collection = self._collection(kind, served[kind.name])  # here: from now on it is waited for
                    tasks.create_task(self._keep_up(server, collection, served[kind.name].path))
                elif kind.name in absent and self._knows(kind):
                    self._forget(kind)
            # Only twice is gone, since a server that starts does not know its custom kinds at once.
            absent = {kind.name for kind in missing} - served.keys()
            self._looked = True
            self._settle()
            await asyncio.sleep(LOOK_S * random.uniform(0.8, 1.2))  # noqa: S311 - not for secrets

    def _knows(self, kind: Kind) -> bool:
        """Return whether objects of a kind may be in force, be it from before our start."""
        return kind.name in self.collections or kind.name in self._saved

    def _forget(self, kind: Kind) -> None:
        collection, saved = self.collections.pop(kind.name, None), self._saved.pop(kind.name, {})
        self._tell(collection.clear() if collection else [Delete(self.cluster, key) for key in saved])
        self._failures.pop(kind.name, None)
        self._refused.pop(kind.name, None)
        self._on_problems()

    async def _keep_up(self, server: ApiServer, collection: Collection, path: str) -> None:
        """Keep up with a kind until the server does not have it any more, at least not in this version."""
        loop = asyncio.get_running_loop()
        while self._is_undecided(collection.kind):
            self._settled.clear()
            await self._settled.wait()
        pace = Pace(loop.time())
        while True:
            began_s, is_watch = loop.time(), collection.request(0).is_watch
            if not await self._patiently(collection.kind.name, self._ask, server, collection, path, pace):
                break
            if is_watch:
                await asyncio.sleep(pace.rest_s(loop.time() - began_s))
        self._kept.discard(collection.kind.name)

    def _is_undecided(self, kind: Kind) -> bool:
        """Return whether it is not known yet what is wanted of a kind: of each namespace, then of what is exported."""
        first = [] if kind.name == NAMESPACE else [NAMESPACE] if kind.name in self.scope.deciding else [*self.scope.deciding]
        due = (self.collections[name] for name in first if name in self.collections and name not in self._refused)
        return bool(self.scope.deciding) and any(not one.synced for one in due)

    def _collection(self, kind: Kind, served: Served) -> Collection:
        """Return the kind's collection, about to list: this may be another server than the one that told what is known."""
        collection = self.collections.get(kind.name)
        if collection is None or collection.served_version != served.version:
            known = collection.objects if collection else self._saved.pop(kind.name, {})
            collection = self.collections[kind.name] = Collection(self.cluster, kind, served.version)
            collection.objects.update(known)
            collection.narrow(self.scope)
        collection.list_anew()
        return collection

    async def _ask(self, server: ApiServer, collection: Collection, path: str, pace: Pace) -> bool:
        """Make one request of a collection and take the answer; return whether the server has the kind."""
        now_s = asyncio.get_running_loop().time()
        if pace.is_list_due(now_s):
            collection.list_anew()
        request = collection.request(pace.watch_s(now_s))
        if request.is_list:
            pace.lists(now_s)
        try:
            await (self._watch if request.is_watch else self._get)(server, collection, path, request)
        except Refusal as error:
            if error.status == FORBIDDEN:
                await _see_that_it_is_ready(server, error)
            return self._accept_refusal(collection, error)
        except _SilentError:
            collection.disconnected()  # that another way is tried is no failure
        except UnreachableError:
            collection.disconnected()
            pace.broke(now_s)
            if request.is_list or not request.is_watch:  # after a watch comes a question, and that one tells
                raise
        except DecodeError as error:
            collection.list_anew()
            raise UnreachableError(f"what {server.url}{path} answers is not what an API server says: {error}") from error
        return True

    def _accept_refusal(self, collection: Collection, error: Refusal) -> bool:
        """Return whether the server has the kind, if a refusal says no more than that, or that it has to be asked otherwise.

        Raises:
            Refusal: it says more.
        """
        if collection.refused(error.status, error.message):
            return True  # nothing is wrong with a server for which there is another way
        if error.status == NOT_FOUND:
            return False
        if error.status == FORBIDDEN:
            self._forbidden(collection.kind, error)
        raise error

    async def _get(self, server: ApiServer, collection: Collection, path: str, request: Request) -> None:
        """Take a page, unless something else is wanted by the time it comes."""
        asked = collection.questions
        page = await server.get(path, request.query)
        if collection.questions == asked:
            self._take(collection, collection.take_page, (page,))

    async def _watch(self, server: ApiServer, collection: Collection, path: str, request: Request) -> None:
        """Take the lines of a watch until it ends."""
        loop, name, asked = asyncio.get_running_loop(), collection.kind.name, collection.questions
        lines = server.lines(path, request.query, silence_s=SILENCE_S)
        try:
            async with asyncio.timeout(LIST_SILENCE_S if request.is_list else None) as limit, aclosing(lines) as batches:
                self._limits[name] = limit
                async for batch in batches:
                    if collection.questions != asked:
                        return
                    self._take(collection, collection.take_line, batch)
                    limit.reschedule(loop.time() + LIST_SILENCE_S if collection.is_listing else None)
        except TimeoutError as error:
            if collection.questions == asked:
                raise _SilentError(f"{server.url} does not say what there is") from error
        finally:
            self._limits.pop(name, None)
        if collection.questions != asked:
            return
        if collection.is_listing:
            raise UnreachableError(f"{server.url} ended a watch before it had said what there is")
        collection.disconnected()

    def _take(self, collection: Collection, take: Callable[[bytes], list[Event]], parts: Sequence[bytes]) -> None:
        """Take an answer; what its parts tell is told even if the next one is an error."""
        kind, changes, was_synced = collection.kind.name, collection.problem_changes, collection.synced
        events: list[Event] = []
        try:
            for part in parts:
                events += take(part)
            self.told_at_s = time.time()
            self._heard_s[kind] = asyncio.get_running_loop().time()
            self._works(kind)
        finally:
            self._tell(events)
            if collection.problem_changes != changes:
                self._on_problems()
            if collection.synced is not was_synced:
                self._settle()

    def _forbidden(self, kind: Kind, refusal: Refusal) -> None:
        self._failures.pop(kind.name, None)
        self._refused[kind.name] = refusal
        self._on_problems()
        self._settle()

    async def _patiently(self, what: str, call: Callable[..., Awaitable[T]], *arguments: object) -> T:
        """Return what a call gives, made again and again until it succeeds; once that takes long, remember why."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()

        def note(attempt: RetryCallState) -> None:
            error = attempt.outcome.exception() if attempt.outcome else None
            _log.debug("api server", cluster=self.cluster, about=what, error=str(error), wait_s=round(attempt.upcoming_sleep, 2))
            failing_s = loop.time() - max(began_s, self._heard_s.get(what, began_s))
            if (
                isinstance(error, (Refusal, UnreachableError))
                and error is not self._refused.get(what)
                and failing_s >= PATIENCE_S
            ):
                self._failures[what] = error
                self._settle()

        retrying = AsyncRetrying(
            wait=wait_random_exponential(multiplier=0.2, max=BACK_OFF_S),
            retry=retry_if_exception_type((Refusal, UnreachableError)),
            before_sleep=note,
        )
        result: T = await retrying(call, *arguments)
        self._works(what)
        return result

    def _works(self, what: str) -> None:
        was_refused = self._refused.pop(what, None) is not None
        if self._failures.pop(what, None) is not None or was_refused:
            self._settle()
        if was_refused:
            self._on_problems()

    def _tell(self, events: list[Event]) -> None:
        if events:
            self._sink(events)

    def _settle(self) -> None:
        """Tell the state if it is another one by now, and once that everything has been told."""
        self._settled.set()
        events: list[Event] = []
        waiting = [one for one in self.collections.values() if not one.synced and one.kind.name not in self._refused]
        if self._looked and not waiting and not self._synced:
            self._synced = True
            events.append(Synced(self.cluster))
        state, reason = MemberState.CONNECTED if self._synced else MemberState.SYNCING, ""
        if self._synced and self.collections and self._refused.keys() >= self.collections.keys():
            reason = "nothing of it may be read (XDS0302)"
        if self._failures:
            what = min(self._failures)
            self._error = str(self._failures[what])
            state, reason = MemberState.STALE, ": ".join(filter(None, (what, self._error)))
        if (state, reason) != (self.state, self._reason) or events:
            if state is not self.state:
                self.since_s = time.time()
            self.state, self._reason = state, reason
            events.append(Health(self.cluster, state, reason))
        if events:
            self._tell(events)
            self._on_problems()


async def _see_that_it_is_ready(server: ApiServer, refusal: Refusal) -> None:
    """Return if the server means what it forbids: one that starts forbids everything until it has its roles.

    Raises:
        UnreachableError: it is not ready, or cannot be asked.
    """
    try:
        await server.get("/readyz", read_s=PULSE_S)
    except Refusal as error:
        if error.status not in {FORBIDDEN, NOT_FOUND, UNAUTHORIZED}:  # those do not say whether it is ready
            raise UnreachableError(f"{server.url} is not ready, and says {refusal}") from error
