"""What happens in the demo, phase by phase, and whether traffic went as the policy says."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xds.cli.demo.arithmetic import expected_shares
from xds.cli.demo.places import Place, in_cluster, in_zone
from xds.cli.demo.traffic import Answer, Client, shares_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from xds.cli.demo.lab import Lab

MEASURED_REQUESTS = 4000
"""Requests a client makes in a phase once traffic has moved: enough for three percentage points to be significant."""
MEASURING_S = 7.0
"""The longest that a slow machine measures."""
MOVING_S = 8.0
"""Traffic must have moved by then."""
QUIET_S = 0.5
"""Traffic has moved when a place that lost its share has answered nothing for that long."""
UNNOTICED_S = 1.0
"""How long a crash is known to nobody but the proxies."""
TOLERANCE = 0.03


@dataclass(frozen=True, slots=True)
class Phase:
    """One thing that happens."""

    name: str
    title: str
    change: Callable[[Lab], Awaitable[None]]
    """Makes it happen; the time until traffic has moved is counted from its start."""
    after: Callable[[Lab], None] | None = None
    """What follows once traffic has moved, e.g. that pods which nobody uses any more stop."""


@dataclass(frozen=True, slots=True)
class ClientResult:
    """How one client fared in one phase."""

    name: str
    requests: int
    failures: tuple[Answer, ...]
    measured: int
    """Requests behind the shares: those made after traffic had moved."""
    shares: dict[str, float]
    expected: dict[str, float]
    moved_s: float | None
    """From the change until the last answer of a place that lost its share, or the first of one that won some; whichever
    is later. None: traffic has not moved in time."""

    def faults(self) -> list[str]:
        """Return what did not go as the policy says, one sentence each."""
        found = []
        if self.failures:
            first = self.failures[0]
            found.append(f"{self.name}: {len(self.failures)} requests failed, the first with {first.status} {first.detail}")
        if self.moved_s is None:
            found.append(f"{self.name}: traffic has not moved within {MOVING_S:g} s")
        for place in sorted(self.shares.keys() | self.expected.keys()):
            share, expected = self.shares.get(place, 0.0), self.expected.get(place, 0.0)
            if abs(share - expected) > tolerance(expected, self.measured):
                found.append(f"{self.name}: {place} served {share:.1%}, expected {expected:.1%}")
        return found


@dataclass(frozen=True, slots=True)
class PhaseResult:
    """How one phase went."""

    phase: Phase
    clients: tuple[ClientResult, ...]

    @property
    def ok(self) -> bool:
        """True if everything went as the policy says."""
        return not any(client.faults() for client in self.clients)


async def _nothing(_: Lab) -> None:
    """Change nothing."""


async def _drain_zone(lab: Lab) -> None:
    lab.turn_not_ready(in_zone(Place("east", "east-a")))


async def _crash_region(lab: Lab) -> None:
    lab.kill(in_cluster("east"))
    await asyncio.sleep(UNNOTICED_S)
    lab.turn_not_ready(in_cluster("east"))


async def _restore(lab: Lab) -> None:
    await lab.restore()


PHASES = (
    Phase("steady", "everything is up", _nothing),
    Phase(
        "zone-stopped",
        "zone east-a turns not ready, then stops",
        _drain_zone,
        lambda lab: lab.stop(in_zone(Place("east", "east-a"))),
    ),
    Phase("region-stopped", "the rest of eu-east crashes; manifests say so a second later", _crash_region),
    Phase("restored", "new pods come up in eu-east", _restore),
)


async def play(lab: Lab, on_phase: Callable[[Phase], None]) -> AsyncIterator[PhaseResult]:
    """Play every phase under the traffic that is already running; yields each result when its phase ends.

    Raises:
        ChildError: a process ended on its own.
    """
    before = _expectations(lab)
    for phase in PHASES:
        on_phase(phase)
        yield (result := await _play(lab, phase, before))
        before = {client.name: client.expected for client in result.clients}


def tolerance(expected: float, requests: int) -> float:
    """Return how far a measured share may be off: three points, or four standard deviations where requests were few."""
    return max(TOLERANCE, 4 * math.sqrt(expected * (1 - expected) / max(1, requests)))


def summary(results: Sequence[PhaseResult]) -> dict[str, Any]:
    """Return what `--json` prints.

    A phase's own numbers are those of the first client, the sidecar in the region that fails; `clients` has those of every
    client.
    """
    phases = []
    for result in results:
        clients = {client.name: _numbers(client) for client in result.clients}
        story = clients[result.clients[0].name]
        phases.append({"name": result.phase.name, **story, "clients": clients})
    return {"phases": phases, "ok": len(results) == len(PHASES) and all(result.ok for result in results)}


def _numbers(client: ClientResult) -> dict[str, Any]:
    return {
        "requests": client.requests,
        "failed": len(client.failures),
        "shares": {place: round(share, 4) for place, share in client.shares.items()},
        "moved_s": None if client.moved_s is None else round(client.moved_s, 3),
    }


def _expectations(lab: Lab) -> dict[str, dict[str, float]]:
    return {proxy.name: expected_shares(lab.world, proxy.place.cluster) for proxy in lab.proxies}


async def _play(lab: Lab, phase: Phase, before: dict[str, dict[str, float]]) -> PhaseResult:
    began_s = time.monotonic()
    firsts = {client.name: len(client.answers) for client in lab.clients}
    await phase.change(lab)
    after = _expectations(lab)
    moves = [_Move(client, firsts[client.name], began_s, before[client.name], after[client.name]) for client in lab.clients]
    while not all(move.over() for move in moves) and time.monotonic() < began_s + MOVING_S:
        await _pause(lab)
    if phase.after:
        phase.after(lab)
    settled_s, places = time.monotonic(), [str(place) for place in lab.world.places]
    while any(len(move.measured(settled_s)) < MEASURED_REQUESTS for move in moves) and time.monotonic() < settled_s + MEASURING_S:
        await _pause(lab)
    return PhaseResult(phase, tuple(move.result(settled_s, places) for move in moves))


async def _pause(lab: Lab) -> None:
    lab.check()
    await asyncio.sleep(0.1)


@dataclass(frozen=True, slots=True)
class _Move:
    """Traffic of one client on its way from one set of shares to the next."""

    client: Client
    first: int
    """Index of the first answer of the phase."""
    began_s: float
    before: dict[str, float]
    after: dict[str, float]

    def answers(self) -> list[Answer]:
        return self.client.answers[self.first :]

    def moved_at_s(self) -> float | None:
        """Return when traffic had moved as far as is known by now; None while a place that won a share has not answered."""
        answers = self.answers()
        times = [self.began_s]
        for place in self.after.keys() - self.before.keys():
            found = next((answer.at_s for answer in answers if answer.place == place), None)
            if found is None:
                return None
            times.append(found)
        lost = self.before.keys() - self.after.keys()
        times += [answer.at_s for answer in answers if answer.place in lost]
        return max(times)

    def over(self) -> bool:
        moved_at_s = self.moved_at_s()
        return moved_at_s is not None and time.monotonic() > moved_at_s + QUIET_S

    def measured(self, settled_s: float) -> list[Answer]:
        return [answer for answer in self.answers() if answer.at_s - answer.took_s >= settled_s]

    def result(self, settled_s: float, places: Sequence[str]) -> ClientResult:
        answers, measured = self.answers(), self.measured(settled_s)
        moved_at_s = self.moved_at_s()
        in_time = moved_at_s is not None and moved_at_s < settled_s
        return ClientResult(
            name=self.client.name,
            requests=len(answers),
            failures=tuple(answer for answer in answers if not answer.ok),
            measured=len(measured),
            shares=dict.fromkeys(places, 0.0) | shares_of(measured),
            expected=self.after,
            moved_s=moved_at_s - self.began_s if moved_at_s is not None and in_time else None,
        )
