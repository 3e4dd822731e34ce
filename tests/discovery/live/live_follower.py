"""Applies what a live source tells."""

from __future__ import annotations

import asyncio

from xds.model.events import Delete, Health, Synced, Upsert


class LiveFollower:
    """Keeps the objects, the states and the problems that were told; remembers everything."""

    def __init__(self) -> None:
        self.objects: dict = {}
        self.events: list = []
        self.states: list = []
        """(member, state) as told, without repetitions."""
        self.synced: list = []
        self.problems: tuple = ()
        self.changed = asyncio.Event()
        self.member = self.source = None
        self._task = None

    def watch_over(self, task) -> None:
        self._task = task
        task.add_done_callback(lambda _: self.changed.set())

    def take(self, events: list) -> None:
        assert events
        self.events += events
        for event in events:
            match event:
                case Upsert():
                    assert self.objects.get((event.cluster, event.key)) != event.object, "told twice"
                    self.objects[event.cluster, event.key] = event.object
                case Delete():
                    del self.objects[event.cluster, event.key]
                case Synced():
                    self.synced.append(event.cluster)
                case Health():
                    if [*self.states[-1:]] != [(event.cluster, event.state)]:
                        self.states.append((event.cluster, event.state))
        self.changed.set()

    def report(self, problems: tuple) -> None:
        self.problems = problems
        self.changed.set()

    async def until(self, condition, *, within_s: float = 60) -> None:
        async with asyncio.timeout(within_s):
            while not condition():
                if self._task.done():
                    self._task.result()
                    raise AssertionError("the source has ended")
                self.changed.clear()
                await self.changed.wait()

    async def until_synced(self, *members: str) -> None:
        await self.until(lambda: {*(members or ("east",))} <= {*self.synced})

    def state(self, member: str = "east"):
        return next((state for name, state in reversed(self.states) if name == member), None)

    def names(self, kind: str = "Service", member: str = "east") -> set[str]:
        return {key.name for cluster, key in self.objects if (cluster, key.kind) == (member, kind)}

    def addresses(self, member: str = "east") -> list[str]:
        slices = [
            item
            for (cluster, key), item in sorted(self.objects.items(), key=str)
            if (cluster, key.kind) == (member, "EndpointSlice")
        ]
        return [address for one in slices for endpoint in one.endpoints or () for address in endpoint.addresses]

    def found(self) -> dict:
        """Return code -> problem of those that stand now."""
        problems = self.member.problems() if self.member else self.problems
        return {problem.code: problem for problem in problems}

    def told_deletes(self) -> list:
        return [event.key.name for event in self.events if isinstance(event, Delete)]
