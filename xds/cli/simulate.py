"""`xdsctl simulate`: what would become of requests if something failed, were drained, opened or rewritten."""

from __future__ import annotations

import json
import re
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xds.cli.explain import percent
from xds.cli.options import asks_server, output_option
from xds.cli.output import note, plural, print_data, print_table, say

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from xds.cli.client import Client

Json = dict[str, Any]
_HEADERS = ("SERVICE", "FROM", "TO", "BEFORE", "AFTER")


@click.command()
@click.option(
    "--down",
    multiple=True,
    metavar="WHAT",
    help="cluster=, zone= or region=NAME, or a clear NAME, its clients included; or endpoints=30%@PLACE.",
)
@click.option(
    "--drain", multiple=True, metavar="PLACE", help="cluster=, zone= or region=NAME, or a clear NAME, as `xdsctl drain` would."
)
@click.option(
    "--gate",
    "gates",
    multiple=True,
    metavar="[CLUSTER:]NAMESPACE/POLICY/TIER",
    help="A gate that is opened, as `xdsctl gate open` would.",
)
@click.option(
    "--policy",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="TrafficPolicies of the fleet, new or in place of those of their names.",
)
@click.option("--load", "loads", multiple=True, metavar="NAMESPACE/NAME=RPS", help="Requests a second to a service.")
@click.option("--all-failures", type=click.IntRange(1, 2), help="Try every zone, cluster and region; 2: and each pair.")
@click.option("--service", "services", multiple=True, metavar="NAMESPACE/NAME", help="Only this service.")
@click.option("--price", "prices", multiple=True, metavar="FROM>TO=PRICE", help="What a million requests cost, e.g. 'eu>us=20'.")
@click.option("--clusters", type=click.Path(path_type=Path), metavar="DIR", help="Ask manifests instead of a control plane.")
@output_option("text", "wide", "json", "yaml")
@asks_server
def simulate(client: Client, *, output: str, clusters: Path | None, **supposed: Any) -> int:
    """Say what would become of requests: shares before and after, for each service and client locality.

    Nothing is done; everything that is supposed holds at once, and what may be supposed several times is given again. Clients in
    a place that is down are down, too: endpoints=100%@CLUSTER takes its endpoints alone, endpoints=30%@CLUSTER/ZONE or
    @NAMESPACE/NAME a part of them. --load tells where places get more than they bear, by the annotation
    traffic.isthmus.dev/endpoint-capacity of Services.

    Exit code 1 says that something new finds nobody, gets more than it bears, or is where a policy's sovereignty forbids it: so
    this can guard a pull request.

    \b
    xdsctl simulate --down region=eu --gate shop/web/remote
    xdsctl simulate --clusters clusters --policy changed.yaml --load shop/web=900
    xdsctl simulate --clusters clusters --all-failures 2
    """  # noqa: D301 - click wants the character, not a backslash
    request = request_of(**supposed)
    if not any(request[key] for key in ("down", "drain", "open", "policies", "all_failures")):
        raise click.UsageError("nothing is supposed; give --down, --drain, --gate, --policy or --all-failures")
    found = answer(client, clusters, request)
    if output in ("text", "wide"):
        print_simulation(found, wide=output == "wide")
    else:
        print_data(found, output)
    return 0 if found["ok"] else 1


def request_of(  # noqa: PLR0913 - the fields of a message
    *,
    down: Sequence[str] = (),
    drain: Sequence[str] = (),
    gates: Sequence[str] = (),
    files: Iterable[Path] = (),
    loads: Iterable[str] = (),
    services: Sequence[str] = (),
    prices: Iterable[str] = (),
    all_failures: int | None = None,
) -> Json:
    """Return the JSON of an `isthmus.admin.v1.SimulationRequest`.

    Raises:
        UsageError: a load or a price has another form.
        PolicyFileError: a file cannot be read.
    """
    return {
        "down": [*down],
        "drain": [*drain],
        "open": [*gates],
        "policies": _policies(files),
        "loads": dict(map(_load, loads)),
        "services": [*services],
        "prices": dict(map(_price, prices)),
        "all_failures": all_failures or 0,
    }


def answer(client: Client, clusters: Path | None, request: Json, *, tells_problems: bool = True) -> Json:
    """Return the JSON of the `isthmus.admin.v1.Simulation` of a running control plane, or of a directory."""
    if clusters is None:
        return client.get("/v1/simulate", body=json.dumps(request))
    from xds.admin.answers import to_json
    from xds.admin.simulations import simulation, supposed
    from xds.cli.offline import Offline

    offline = Offline(clusters)
    if offline.reading.problems and tells_problems:
        note(f"{plural(len(offline.reading.problems), 'problem')} in the files; `xdsctl validate {clusters}` lists them")
    found: Json = json.loads(to_json(simulation(offline.fleet.told(), supposed(json.dumps(request)))))
    return found


def print_simulation(found: Json, *, wide: bool = False) -> None:
    """Print it for people: a row for each place of which the share changes; `wide`: for all of them."""
    tables = [(title, *_table(cases, wide=wide)) for title, cases in _groups(found)]
    widths = [max((len(row[column]) for _, rows, _ in tables for row in rows), default=0) for column in range(len(_HEADERS))]
    for number, (title, rows, below) in enumerate(tables):
        if title:
            say(f"\n{title}" if number else title)
        print_table(_HEADERS, rows, show_headers=not number, widths=widths, below=below)
    say(f"{chr(10) if tables else ''}{_verdict(found)}")


def _groups(found: Json) -> Iterator[tuple[str, list[Json]]]:
    """Yield cases by what is down, with what is to be said before them."""
    if found["already"]:
        yield "Before any failure:", found["already"]
    for down, cases in groupby(found["services"], lambda one: (*one["down"],)):
        yield f"With {' and '.join(down)} down:" if down else "", [*cases]


def _table(cases: Iterable[Json], *, wide: bool) -> tuple[list[tuple[str, ...]], list[str]]:
    """Return rows, and what to tell below each of them."""
    rows: list[tuple[str, ...]] = []
    below: list[str] = []
    told: set[tuple[str, str]] = set()
    for one in cases:
        problems = "\n".join(_problems(one, told))
        changes = _changes(one, wide=wide) or ([("unchanged", "", "")] if problems else [])
        rows += [(one["service"], one["from"].rstrip("/"), *change) for change in changes]
        below += [*[""] * (len(changes) - 1), problems] if changes else []
    return rows, below


def _changes(one: Json, *, wide: bool) -> list[tuple[str, str, str]]:
    """Return what each place gets before and after, as people read it, of those of which that changes."""
    places = sorted(one["before"].keys() | one["after"].keys())
    shares = [(place, one["before"].get(place, 0.0), one["after"].get(place, 0.0)) for place in places]
    shares.append(("nobody", one["unserved_before"], one["unserved_after"]))
    shares.append(("other regions", one["cross_region_before"], one["cross_region_after"]))
    found = [(place.rstrip("/"), percent(before), percent(after)) for place, before, after in shares if before or after]
    costs = (f"{one['cost_before']:g}", f"{one['cost_after']:g}")
    found += [("cost of a million", *costs)] if costs != ("0", "0") else []
    return found if wide else [(place, before, after) for place, before, after in found if before != after]


def _problems(one: Json, told: set[tuple[str, str]]) -> Iterator[str]:
    """Yield what is bad about a case; places that get too much are told with the first of a service's clients alone."""
    for problem in one["problems"]:
        if problem["kind"] == "breach":
            key = one["service"], problem["message"]
            if key in told:
                continue
            told.add(key)
        if problem["is_new"]:
            yield f"{problem['kind'].upper()}: {problem['message']}"
        elif _is_old(problem):
            yield f"{problem['kind'].upper()} as before: {problem['message']}"


def _verdict(found: Json) -> str:
    tried = f" in {plural(found['failures'], 'failure')}" if found["failures"] else ""
    still = "" if found["services"] or found["failures"] else "no request goes elsewhere, "
    return f"{plural(found['looked_at'], 'case')} looked at{tried}: {still}{_outcome(found)}"


def _outcome(found: Json) -> str:
    kept = [one["problems"] for one in found["services"]]
    new = sum(any(problem["is_new"] for problem in problems) for problems in kept)
    old = sum(any(_is_old(problem) for problem in problems) and not any(one["is_new"] for one in problems) for problems in kept)
    already = len(found["already"])
    parts = [] if found["ok"] else [f"{new} with new problems"]
    parts += [f"{old} with those of before"] if old else []
    parts += [f"{plural(already, 'case')} bad before any failure"] if already else []
    if found["ok"]:
        return ", ".join(["no new problems", *parts]) if parts else "all of them served"
    return ", ".join(parts)


def _is_old(problem: Json) -> bool:
    return problem["kind"] != "panic" and not problem["is_new"]


def _policies(files: Iterable[Path]) -> str:
    """Return the policies of manifests as a JSON array; "" if there is none."""
    import msgspec

    from xds.cli.policy_files import read_policies

    found = read_policies(files)
    return msgspec.json.encode(found).decode() if found else ""


def _load(text: str) -> tuple[str, float]:
    return _number(text, r"[^/]+/[^/]+", "load; use NAMESPACE/NAME=RPS, e.g. shop/web=250")


def _price(text: str) -> tuple[str, float]:
    return _number(text, r"[^>]+>[^>]+", "price; use FROM>TO=PRICE, two regions, e.g. 'eu>us=0.02'")


def _number(text: str, form: str, otherwise: str) -> tuple[str, float]:
    name, _, number = text.rpartition("=")
    if not re.fullmatch(form, name) or not re.fullmatch(r"\d+(\.\d+)?", number):
        raise click.UsageError(f"{text!r} is no {otherwise}")
    return name, float(number)
