"""`xdsctl explain`: why requests to a service go where they go, from the objects to the share of each endpoint."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xds.cli.options import asks_server, output_option
from xds.cli.output import note, plural, print_data, print_facts, print_table, say, say_wrapped, terminal_width
from xds.cli.resources import object_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from xds.cli.client import Client

Json = dict[str, Any]


@click.command()
@click.argument("service")
@click.option(
    "--from", "place", required=True, metavar="NODE|CLUSTER[/ZONE]", help="Whose requests: a connected node, or a place."
)
@click.option("--role", type=click.Choice(("sidecar", "proxyless")), help="Of clients at a place.  [default: sidecar]")
@click.option("--clusters", type=click.Path(path_type=Path), metavar="DIR", help="Ask manifests instead of a control plane.")
@click.option("-v", "--verbose", is_flag=True, help="With every endpoint.")
@output_option("text", "json", "yaml")
@asks_server
def explain(  # noqa: PLR0913 - click's options
    client: Client, service: str, place: str, *, role: str | None, clusters: Path | None, verbose: bool, output: str
) -> None:
    """Say why requests to SERVICE go where they go: objects, exports, policy, tiers, weights, shares.

    SERVICE is NAMESPACE/NAME[:PORT], which is the cluster's own service where it has one, or a name in DNS, e.g.
    web.shop.svc.clusterset.local:80. Without a port, the first is meant. Shares are those of clients that know of no failure but
    what the control plane tells; what a client ejects by itself is not in them.
    """
    if clusters:
        found = _offline(clusters, service, place, role or "")
    else:
        query = {"service": service, "from": place, **({"role": role} if role else {})}
        found = client.get("/v1/explain", query)
    if output == "text":
        print_explanation(found, where=f"--clusters {shlex.quote(str(clusters))}" if clusters else "", verbose=verbose)
    else:
        print_data(found, output)


def _offline(clusters: Path, service: str, place: str, role: str) -> Json:
    from xds.admin.answers import to_json
    from xds.admin.explanations import explanation, view_of
    from xds.cli.offline import Offline

    offline = Offline(clusters)
    if offline.reading.problems:
        note(f"{plural(len(offline.reading.problems), 'problem')} in the files; `xdsctl validate {clusters}` lists them")
    view = view_of(offline.fleet.members, place, role)
    found: Json = json.loads(to_json(explanation(offline.fleet, offline.translator.book, service, view)))
    return found


def print_explanation(found: Json, *, where: str = "", verbose: bool = False) -> None:
    """Print the JSON of `isthmus.admin.v1.Explanation` for people.

    Args:
        found: the message.
        where: the option that says where overrides are kept; "" if that is not known.
        verbose: with every endpoint.
    """
    spill = f"{10_000 / found['overprovisioning_percent']:.3g}"
    facts = [
        ("Service", found["service"]),
        ("From", f"{found['from'].rstrip('/')} ({found['role']})"),
        ("Policy", found["policy"]),
        (
            "Spill",
            f"a tier passes on below {spill} % healthy" if found["role"] != "proxyless" else "none: gRPC fails over as a whole",
        ),
        *([("Kept", f"by {found['kept_by']}, so shares are of clients, not of requests")] if found["kept_by"] else ()),
        ("Panic", f"below {found['panic_percent']} % healthy" if found["panic_percent"] else "never"),
    ]
    print_facts(facts)
    say("\nBecause:")
    for step in found["chain"]:
        untold = [ref for ref in step["objects"] if ref["resource_version"] or object_name(ref) not in step["text"]]
        objects = "; ".join(_alike(untold))
        say_wrapped(f"  {step['text']}" + (f"  [{objects}]" if objects else ""), indent="    ")
    for tier in found["tiers"]:
        _print_tier(tier, found["tiers"], verbose=verbose)
        if "Manual" in tier["closed"]:
            say(f"  to open it: {_opening(found, tier['name'], where)}")
    if found["left_out"]:
        say("\nLeft out:")
        rows = [(_place(one), plural(one["endpoints"], "endpoint"), one["reason"]) for one in found["left_out"]]
        print_table(("PLACE", "ENDPOINTS", "REASON"), rows, indent="  ", limit=terminal_width())
    say("\nShares:")
    shares = [(name, percent(share)) for name, share in largest_first(found["shares"])]
    if found["unserved"]:
        shares.append(("nobody (503)", percent(found["unserved"])))
    print_table(("PLACE", "SHARE"), shares, indent="  ")


def _opening(found: Json, tier: str, where: str) -> str:
    """Return the command that opens a tier of the policy that governs."""
    objects = (one for step in found["chain"] for one in step["objects"])
    ref = next((one for one in objects if object_name(one) == found["policy"]), None)
    if ref is None:
        return "`xdsctl gate open`"
    holder = f"{ref['cluster']}:" if ref["cluster"] else ""
    command = shlex.join(("xdsctl", "gate", "open", f"{holder}{ref['namespace']}/{ref['name']}", tier))
    return f"{command} {where or '--clusters DIR (or --hub FILE)'}"


def _print_tier(tier: Json, tiers: Sequence[Json], *, verbose: bool) -> None:
    say(f"\nTier {tier['index']}, {tier['name']}: {_condition(tier, tiers)}")
    if tier["localities"]:
        headers = ("PLACE", "ENDPOINTS", "WEIGHT", "EFFECTIVE", "SHARE", "WHY")
        print_table(headers, map(_locality, tier["localities"]), indent="  ", limit=terminal_width())
    if verbose:
        rows = [row for one in tier["localities"] for row in _endpoints(one)]
        if rows:
            say("")
            print_table(("ENDPOINT", "HEALTH", "SHARE", "SOURCE", "WHY"), rows, indent="  ", limit=terminal_width())


def _condition(tier: Json, tiers: Sequence[Json]) -> str:
    if tier["closed"]:
        return f"closed, {tier['closed']}"
    if not tier["endpoints"]:
        after = next((one for one in tiers if one["index"] > tier["index"] and one["endpoints"]), None)
        next_one = f"so tier {after['index']}, {after['name']}, counts next" if after else "and no later tier has endpoints"
        return f"empty, {next_one}"
    usable = f"{tier['healthy']} of {plural(tier['endpoints'], 'endpoint')} healthy"
    degraded = f", {tier['degraded']} degraded" if tier["degraded"] else ""
    panic = ", PANIC: unhealthy ones are used" if tier["panics"] else ""
    return f"{usable}{degraded}, bears {tier['health_percent']} %{panic}, gets {tier['load_percent']} %"


def _locality(found: Json) -> tuple[str, ...]:
    ready = f"{found['healthy']} of {len(found['endpoints'])}"
    weight = f"{found['effective_weight']:.4g}"
    why = "; ".join((*found["reasons"], *_unwell(found)))
    return _place(found), ready, str(found["weight"]), weight, percent(found["share"]), why


def _unwell(found: Json) -> Iterator[str]:
    """Yield why how many endpoints of a place are UNHEALTHY or DEGRADED; of those that drain its reasons tell."""
    unwell = (one for one in found["endpoints"] if one["health"] not in ("HEALTHY", "DRAINING"))
    whys = Counter((one["health"], "; ".join(one["reasons"])) for one in unwell)
    yield from (f"{count} {health}: {why}" for (health, why), count in whys.items())


def _endpoints(found: Json) -> Iterator[tuple[str, ...]]:
    for one in found["endpoints"]:
        address = ",".join(f"[{text}]" if ":" in text else text for text in one["addresses"])
        source = object_name(one["source"]) if "source" in one else ""
        yield f"{address}:{one['port']}", one["health"], percent(one["share"]), source, "; ".join(one["reasons"])


def _place(found: Json) -> str:
    return f"{found['cluster']}/{found['zone']}" + (f" ({found['region']})" if found["region"] else "")


def _alike(refs: list[Json]) -> Iterator[str]:
    """Yield objects for people, those of one name in several clusters together, each with its version."""
    clusters: dict[str, list[str]] = {}
    for ref in refs:
        version = f" @{ref['resource_version']}" if ref["resource_version"] else ""
        name, _, cluster = object_name(ref).partition(" in ")
        clusters.setdefault(name, []).append(cluster + version)
    yield from (f"{name} in {', '.join(found)}" for name, found in clusters.items())


def largest_first(shares: dict[str, float]) -> list[tuple[str, float]]:
    """Return shares as people read them: those that look alike by name, so that two outputs can be compared."""
    return sorted(shares.items(), key=lambda pair: (-round(pair[1], 3), pair[0]))


def percent(share: float) -> str:
    """Return a fraction for people."""
    return f"{100 * share:.1f} %"
