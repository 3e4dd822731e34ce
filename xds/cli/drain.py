"""`xdsctl drain` and `undrain`: a place gets no requests, at once or step by step, and gets them back."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from xds.cli.client import UnreachableError
from xds.cli.drains import Drain, ElsewhereError, Walk, drains_of
from xds.cli.options import Duration, asks_server, checked, time_text
from xds.cli.output import note, say
from xds.cli.override_store import keeps_overrides, store_of
from xds.errors import XdsError
from xds.policy.places import NoPlaceError, find_place

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from xds.cli.carrying import World
    from xds.cli.client import Client
    from xds.policy.places import Place

STEPS = 10
"""Of a ramp, unless --steps says otherwise."""
_STEPS = click.IntRange(2, 1000)
_CHECK = checked(r"[^/\s]+/[^/\s]+", "use NAMESPACE/NAME")
RAMP = click.option("--ramp", "ramp_s", type=Duration(), metavar="TIME", help="Step by step over so long, e.g. 10m.")


class CannotCarryError(XdsError):
    """The rest could not carry what the place gives up."""


def _services(context: click.Context, option: click.Parameter, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted({_CHECK(context, option, name) for name in names}))


@click.command()
@click.argument("place", metavar="CLUSTER|ZONE|REGION")
@RAMP
@click.option("--steps", type=_STEPS, metavar="N", help=f"How many steps a ramp has.  [default: {STEPS}]")
@click.option("--service", "services", multiple=True, metavar="NAMESPACE/NAME", callback=_services, help="Only this service.")
@click.option("--load", "loads", multiple=True, metavar="NAMESPACE/NAME=RPS", help="Requests a second to a service.")
@click.option("--force", "is_forced", is_flag=True, help="Even if the rest cannot carry it, or nobody can tell.")
@click.option("--reason", default="", metavar="TEXT", help="For whoever looks at it later.")
@keeps_overrides
@asks_server
def drain(client: Client, *, hub: str, clusters: Path | None, **options: Any) -> None:
    """Have a cluster, zone or region get no requests. Say cluster=NAME and the like where a name alone is not clear.

    First it is rehearsed (`xdsctl simulate`): if requests would find nobody, or a place would get more than it bears, nothing is
    done, and the exit code is 1. Loads are those of --load, or else what clients report to the control plane.

    With --ramp it makes one step after the other and waits in between. Ctrl-C leaves it where it is: the same command goes on
    from there, without --ramp it makes all steps that are left, and `xdsctl undrain` takes them back.
    """
    from xds.cli.carrying import World

    if options["steps"] and options["ramp_s"] is None:
        raise click.UsageError("--steps are those of a ramp; give --ramp, too", click.get_current_context())
    wish = Wish(**options)
    store = store_of(hub, clusters)
    world = World(client, clusters)
    place = _place(world, wish)
    wanted = Drain(store, place, wish.services)
    found = wanted.found()
    if found is not None and found.is_complete:
        say(f"{found} is drained already (TrafficOverride {found.name} in {store.title}); undo: {found.command('undrain')}")
        return
    begun = found or replace(wanted, name=wanted.default_name)
    _drain(replace(begun, reason=wish.reason or begun.reason), world, wish)


@dataclass(frozen=True, slots=True)
class Wish:
    """The options of `drain`."""

    place: str
    ramp_s: float | None
    steps: int | None
    services: tuple[str, ...]
    loads: tuple[str, ...]
    is_forced: bool
    reason: str


def _place(world: World, wish: Wish) -> Place:
    """Return the place that is meant; only for a name alone is anybody asked."""
    if "=" in wish.place:
        return find_place(wish.place, ())
    try:
        return find_place(wish.place, world.places())
    except UnreachableError as error:
        raise UnreachableError(
            f"{error}; unchecked, it is done with --force and cluster=NAME, zone=NAME or region=NAME"
        ) from error


def _drain(begun: Drain, world: World, wish: Wish) -> None:
    check = _Check(world, wish)
    walk = Walk(begun, check)
    if wish.ramp_s is None:
        walk.make(replace(begun, step=begun.steps))
    else:
        ramp = replace(begun, steps=begun.steps if begun.step else wish.steps or STEPS)
        walk.at = ramp
        if begun.step:
            note(f"{ramp} goes on from step {ramp.step} of {ramp.steps}")
        if begun.step and wish.steps not in (None, ramp.steps):
            note(f"its {ramp.steps} steps stay, since that is what is recorded; undrain it for others")
        pause_s = wish.ramp_s / max(1, ramp.steps - 1)
        with _left_there(walk, "drain", wish.ramp_s, wish.loads):
            walk.to(ramp.steps, pause_s)
    done = walk.at
    say(f"{done} is drained (TrafficOverride {done.name} in {done.store.title}); undo: {done.command('undrain')}")


class _Check:
    """Objects to a step if the rest could not carry all of the drain."""

    def __init__(self, world: World, wish: Wish) -> None:
        self._world = world
        self._wish = wish
        self._has_warned = False
        self._loads: list[str] | None = None

    def __call__(self, drain: Drain) -> None:
        from xds.cli.carrying import as_options, listed, objections

        try:
            if self._loads is None:
                is_measured = not (self._wish.loads or self._wish.is_forced)
                self._loads = as_options(self._measured()) if is_measured else [*self._wish.loads]
            found = self._world.simulate(drain=[drain.place.text], services=drain.services, loads=self._loads)
        except UnreachableError as error:
            if not self._wish.is_forced:
                raise UnreachableError(f"{error}; --force drains unchecked") from error
            if not self._has_warned:
                note(f"not checked: {error}")
            self._has_warned = True
            return
        lines = objections(found)
        if not lines:
            if not (self._loads or self._wish.is_forced or self._has_warned):
                note("no loads are known: somebody serves, but nobody tells whether places can bear it; --load does")
                self._has_warned = True
            return
        more = listed(lines, self._world.command("--drain", drain.place.text, services=drain.services, loads=self._loads))
        if self._wish.is_forced:
            if not self._has_warned:
                note(f"warning: the rest could not carry it:\n{more}")
            self._has_warned = True
            return
        raise CannotCarryError(f"{drain} is not drained, the rest could not carry it:\n{more}\n--force does it nevertheless")

    def _measured(self) -> dict[str, float]:
        try:
            return self._world.measured()
        except KeyboardInterrupt:
            note("nothing has been changed")
            raise


@contextmanager
def _left_there(walk: Walk, word: str, ramp_s: float, loads: Iterable[str] = ()) -> Iterator[None]:
    """Say how to go on with `drain` or `undrain` if a walk ends before its end, checked by the same loads."""
    try:
        yield
    except ElsewhereError:
        raise
    except (KeyboardInterrupt, XdsError):
        at, other = walk.at, "undrain" if word == "drain" else "drain"
        if at.step:
            note(f"{at} stays at step {at.step} of {at.steps}, where it {at.gets}")
            by = [text for load in loads for text in ("--load", load)]
            note(f"  go on:   {at.command(word, *by, '--ramp', time_text(ramp_s))}")
            note(f"  finish:  {at.command(word, *by)}")
            note(f"  undo:    {at.command(other)}")
        raise


@click.command()
@click.argument("place", metavar="CLUSTER|ZONE|REGION")
@RAMP
@click.option("--steps", type=_STEPS, metavar="N", help=f"Of one that was drained at once.  [default: {STEPS}]")
@keeps_overrides
@asks_server
def undrain(client: Client, place: str, *, ramp_s: float | None, steps: int | None, hub: str, clusters: Path | None) -> None:
    """Have a place get its requests back: every drain of the cluster, zone or region goes, whichever services it is about.

    With --ramp, the steps are taken back one after the other. What is not drained stays so; the control plane is asked only then,
    whether there is such a place at all.
    """
    if steps and ramp_s is None:
        raise click.UsageError("--steps are those of a ramp; give --ramp, too", click.get_current_context())
    store = store_of(hub, clusters)
    kept = drains_of(store)
    drained = {one.place for one in kept}
    try:
        meant = find_place(place, drained)
    except NoPlaceError:
        meant = _known(place, drained, client, clusters)
    if meant not in drained:
        _known(meant.text, drained, client, clusters)
        names = ", ".join(sorted(map(str, drained)))
        say(f"{meant} is not drained{f'; drained are: {names}' if names else ''}")
    found = [one for one in kept if one.place == meant]
    for one in found:
        if ramp_s is None:
            Walk(one).make(replace(one, step=0))
        else:
            _undrain_slowly(one, ramp_s, steps or STEPS)
        say(f"{one} gets its requests again (TrafficOverride {one.name} in {store.title} is deleted)")


def _known(text: str, drained: set[Place], client: Client, clusters: Path | None) -> Place:
    """Return a place that there is, though it is not drained.

    Raises:
        NoPlaceError: there is none.
        UnreachableError: nobody tells.
    """
    from xds.cli.carrying import World

    try:
        places = World(client, clusters).places() | drained
    except UnreachableError as error:
        raise UnreachableError(f"nothing drains {text}, and nobody tells whether there is such a place: {error}") from error
    found = find_place(text, places)
    found.must_be_one_of(places)
    return found


def _undrain_slowly(found: Drain, ramp_s: float, steps: int) -> None:
    at = replace(found, steps=steps, step=steps) if found.steps == 1 else found
    walk = Walk(at)
    with _left_there(walk, "undrain", ramp_s):
        walk.to(0, ramp_s / max(1, at.steps - 1))
