"""Ways to the same fleet: event by event, in any order, with detours."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fleet_strategies import CLUSTERS, DRAINING, READY, World, said, worlds
from hypothesis import strategies as st

from xds.model.events import FLEET, Delete, Synced, Upsert

if TYPE_CHECKING:
    from xds.model.events import Event

STEADY = (READY, {}, DRAINING)
"""States whose outcome does not depend on what was before: none that is not ready."""


@st.composite
def ways(draw: st.DrawFn) -> tuple[World, list[list[Event]]]:
    """Return a world and batches of events that lead there from nothing.

    On the way there are objects of another world, which are replaced or deleted in the end.
    """
    world, detour = draw(worlds(states=STEADY)), draw(worlds(states=STEADY))
    wanted = {(cluster, Upsert(cluster, item).key): Upsert(cluster, item) for cluster, item in world.objects}
    passing = {(cluster, Upsert(cluster, item).key): Upsert(cluster, item) for cluster, item in detour.objects}
    gone = [Delete(*identity) for identity in passing.keys() - wanted.keys()]
    gone.sort(key=lambda event: (event.cluster, event.key))
    final = draw(said())
    first = draw(st.permutations([*passing.values(), *(Synced(name) for name in (FLEET, *CLUSTERS)), *draw(said())]))
    second = draw(st.permutations([*wanted.values(), *gone, *final])) + [Synced(name) for name in CLUSTERS]
    return replace(world, said=tuple(final)), draw(batches([*first, *second]))


@st.composite
def batches(draw: st.DrawFn, events: list[Event]) -> list[list[Event]]:
    """Return the events cut into batches of one to four."""
    found = []
    while events:
        size = draw(st.integers(1, 4))
        found.append(events[:size])
        events = events[size:]
    return found
