"""A service in all clusters as people want to read it; the input is the JSON of `isthmus.admin.v1.ServiceDescription`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xds.cli.describe_flomesh import flomesh_facts, flomesh_sections
from xds.cli.output import age, duration, plural, print_facts, print_table, say, since
from xds.cli.problems import print_section
from xds.cli.resources import object_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Json = dict[str, Any]


def print_service(found: Json) -> None:
    """Print all of it, section by section."""
    print_facts(_facts(found))
    exports = [(item["cluster"], since(item.get("created_at", "")), _validity(item)) for item in found["exports"]]
    alone = "none" if "sharing" in found else "none: only clients in its own cluster can use it"
    _section("Exports", ("CLUSTER", "SINCE", "VALID"), exports, otherwise=alone)
    rows = [row for item in found["conflicts"] for row in _conflict(item)]
    _section("Conflicts", ("FIELD", "CLUSTER", "VALUE", "OUTCOME"), rows, otherwise="none" if "imported" in found else "")
    names = [(item["name"], item["cluster"], _addresses(item)) for item in found["names"]]
    _section("Names", ("NAME", "CLIENTS IN", "ADDRESSES"), names, otherwise="none")
    say("\nEndpoints:" if found["endpoints"] else "\nEndpoints: none")
    for group in found["endpoints"]:
        _print_group(group)
    for section in flomesh_sections(found["flomesh"]):
        _section(*section, otherwise="")
    print_section(found["problems"])


def _facts(found: Json) -> Iterator[tuple[str, str]]:
    yield "Name", found["name"]
    yield "Namespace", found["namespace"]
    if sharing := found.get("sharing"):
        shared = ", ".join(f"port {port}" for port in sharing["ports"]) or "all ports"
        providers, consumers = (", ".join(sharing[key]) or "all clusters" for key in ("providers", "consumers"))
        yield "Shared", f"{shared}, by {providers}, with {consumers} (MultiClusterService)"
    yield from flomesh_facts(found["flomesh"])
    imported = found.get("imported")
    if not imported:
        yield "Imported", "no, " + ("no export is valid" if found["exports"] else "no cluster exports it")
        return
    exporters = sorted(item["cluster"] for item in found["exports"] if item["valid"])
    yield "Type", imported["type"]
    ports = [_port(port, exporters) for port in imported["ports"]]
    yield "Ports", ", ".join(ports)
    affinity, timeout_s = imported["session_affinity"], imported["session_affinity_timeout_seconds"]
    time = f" for {duration(timeout_s)}" if timeout_s else ""
    kept = f"{affinity}{time} (proxies: for as long as the endpoint is there)"
    yield "Session affinity", kept if affinity == "ClientIP" else affinity
    yield "Traffic distribution", imported["traffic_distribution"]
    yield "Internal traffic policy", imported["internal_traffic_policy"]
    if len(exporters) > 1:
        yield "Decided by", f"{imported['oldest']} ({imported['why']})"


def _port(port: Json, exporters: list[str]) -> str:
    name = f" ({port['name']})" if port["name"] else ""
    where = "" if port["clusters"] == exporters else f" in {' and '.join(port['clusters'])}"
    return f"{port['port']}/{port['protocol']}{name}{where}"


def _validity(item: Json) -> str:
    if item["copied"]:
        return "yes; no member: others have copies of its EndpointSlices"
    return "yes" if item["valid"] else f"no, {item['reason']}: {item['message']}"


def _conflict(item: Json) -> Iterator[tuple[str, str, str, str]]:
    """Yield a row for the winner and for each loser; of a port that some lack, there is neither."""
    is_missing = not any(loser["value"] for loser in item["losers"])
    won, lost = ("serves it", "lacks it") if is_missing else (f"wins: {item['why']}", "loses")
    winner = item["winner"]
    yield item["field"], winner["cluster"], winner["value"], won
    for loser in item["losers"]:
        yield item["field"], loser["cluster"], loser["value"], lost


def _addresses(item: Json) -> str:
    return ", ".join(item["addresses"]) or ("headless: those of the endpoints" if item["headless"] else "")


def _print_group(group: Json) -> None:
    """Print the endpoints of a zone, each under its cluster's name."""
    entries = group["endpoints"]
    ready = sum(entry["ready"] for entry in entries)
    place = "/".join(part for part in (group["region"], group["zone"]) if part)
    exported = "" if group["exported"] else ", not exported"
    say(f"  {group['cluster']}{f', {place}' if place else ''}: {ready} of {plural(len(entries), 'endpoint')} ready{exported}")
    headers = ("ADDRESS", "HEALTH", "READY", "SERVING", "TERMINATING", "AGE", "TARGET", "SOURCE")
    print_table(headers, map(_endpoint, entries), indent="    ")


def _endpoint(entry: Json) -> list[str]:
    target = entry.get("target")
    conditions = [str(entry[name]).lower() for name in ("ready", "serving", "terminating")]
    address = ",".join(f"[{one}]" if ":" in one else one for one in entry["addresses"])
    ports = ",".join(map(str, entry["ports"]))
    return [
        f"{address}:{ports}" if ports else address,
        _health(entry),
        *conditions,
        age(entry.get("created_at", "")),
        f"{target['kind']} {target['name']}" if target else "",
        object_name(entry["source"]),
    ]


def _health(entry: Json) -> str:
    """Return what proxies are told, with the reason where the conditions beside it do not say it."""
    reasons = entry["reasons"] if entry["health"] == "DEGRADED" else entry["reasons"][1:]
    return f"{entry['health']} ({'; '.join(reasons)})" if reasons else entry["health"]


def _section(title: str, headers: tuple[str, ...], rows: Sequence[Sequence[str]], *, otherwise: str) -> None:
    if rows:
        say(f"\n{title}:")
        print_table(headers, rows, indent="  ")
    elif otherwise:
        say(f"\n{title}: {otherwise}")
