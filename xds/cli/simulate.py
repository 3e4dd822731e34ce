"""`xdsctl simulate`: what would become of requests if something failed, were drained, opened or rewritten."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xds.cli.explain import largest_first, percent
from xds.cli.options import asks_server, output_option
from xds.cli.output import note, plural, print_data, print_table, say

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from xds.cli.client import Client

Json = dict[str, Any]


@click.command()
@click.option(
    "--down",
    multiple=True,
    metavar="WHAT",
    help="cluster=NAME, zone=NAME or region=NAME, its clients included; or endpoints=30%@PLACE.",
)
@click.option("--drain", multiple=True, metavar="PLACE", help="cluster=NAME, zone=NAME or region=NAME, as `xdsctl drain` would.")
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
@output_option("text", "json", "yaml")
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
    if output == "text":
        print_simulation(found)
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


def print_simulation(found: Json) -> None:
    """Print it for people."""
    tried = f" in {plural(found['failures'], 'failure')}" if found["failures"] else ""
    rows = [_row(one) for one in found["services"]]
    if rows:
        down = ("DOWN",) if found["failures"] else ()
        headers = (*down, "SERVICE", "FROM", "BEFORE", "AFTER", "CROSS-REGION", "PROBLEMS")
        print_table(headers, rows, below=[*_breaches(found["services"])])
    looked = f"{plural(found['looked_at'], 'case')} looked at{tried}"
    still = "" if rows or found["failures"] else "no request goes elsewhere, "
    say(f"{chr(10) if rows else ''}{looked}: {still}{_verdict(found)}")


def _verdict(found: Json) -> str:
    kept = [one["problems"] for one in found["services"]]
    new = sum(any(problem["is_new"] for problem in problems) for problems in kept)
    old = sum(any(_is_old(problem) for problem in problems) and not any(one["is_new"] for one in problems) for problems in kept)
    if found["ok"]:
        return f"no new problems, {old} with those of before" if old else "all of them served"
    return f"{new} with new problems" + (f", {old} with those of before" if old else "")


def _is_old(problem: Json) -> bool:
    return problem["kind"] != "panic" and not problem["is_new"]


def _breaches(services: Iterable[Json]) -> Iterator[str]:
    """Yield what to tell below each row: places are those of a service, so that its first row is enough."""
    told: set[tuple[str, ...]] = set()
    for one in services:
        new = [problem["message"] for problem in one["problems"] if _is_new_breach(problem)]
        lines = [message for message in new if (*one["down"], one["service"], message) not in told]
        told.update((*one["down"], one["service"], message) for message in lines)
        yield "\n".join(f"BREACH: {message}" for message in lines)


def _is_new_breach(problem: Json) -> bool:
    return bool(problem["kind"] == "breach" and problem["is_new"])


def _row(one: Json) -> tuple[str, ...]:
    new = [
        f"{problem['kind'].upper()}: {problem['message']}"
        for problem in one["problems"]
        if problem["is_new"] and not _is_new_breach(problem)
    ]
    new += ["BREACH"] if any(map(_is_new_breach, one["problems"])) else []
    old = sorted({f"{problem['kind'].upper()} as before" for problem in one["problems"] if _is_old(problem)})
    problems = "; ".join([*new, *old])
    down = (" and ".join(one["down"]),) if one["down"] else ()
    before, after = (_shares(one[when], one[f"unserved_{when}"]) for when in ("before", "after"))
    abroad = _change(*(percent(one[f"cross_region_{when}"]) for when in ("before", "after")))
    costs = (_change(f"{one['cost_before']:g}", f"{one['cost_after']:g}"),) if one["cost_before"] or one["cost_after"] else ()
    after = "the same" if after == before else after
    return (*down, one["service"], one["from"].rstrip("/"), before, after, "; ".join((abroad, *costs)), problems)


def _change(before: str, after: str) -> str:
    return before if before == after else f"{before} to {after}"


def _shares(shares: dict[str, float], unserved: float) -> str:
    parts = [f"{name} {percent(share)}" for name, share in largest_first(shares)]
    return ", ".join([*parts, f"nobody {percent(unserved)}"] if unserved else parts)


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
