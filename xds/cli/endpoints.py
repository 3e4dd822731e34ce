"""`xdsctl endpoints`: where the requests of a node go, first choice first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from xds.cli.client import RefusedError
from xds.cli.options import asks_server, no_headers, output_option
from xds.cli.output import note, print_list, print_table, suggestion

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from xds.cli.client import Client

_HEALTHS = ("HEALTHY", "UNHEALTHY", "DRAINING", "DEGRADED")
Json = dict[str, Any]


@click.command()
@click.argument("node", metavar="NODE[@VERSION]")
@click.argument("service", required=False)
@click.option("--cluster", default="", help="Only endpoints in this member cluster.")
@click.option("--health", type=click.Choice(_HEALTHS, case_sensitive=False), help="Only endpoints of this health.")
@output_option("table", "json", "yaml")
@no_headers
@asks_server
def endpoints(  # noqa: PLR0913 - an argument for each option
    client: Client, node: str, service: str | None, *, cluster: str, health: str | None, output: str, no_headers: bool
) -> None:
    """List the endpoints that a node is given, by service and priority.

    Requests go to priority 0 while enough of it is healthy; what it cannot take goes to the next. WEIGHT is that of the whole
    locality among those of its priority. A priority without endpoints has one line without an address.

    SERVICE is the name of one, or its first parts: web, web.shop, web.shop.svc.clusterset.local:80.
    """
    assignments = _assignments(client, node)
    if service:
        assignments = _named(assignments, service, node)
    items = [item for assignment in assignments for item in _items(assignment)]
    items = [item for item in items if cluster in {"", item["cluster"]} and health in {None, item["health"]}]
    if output != "table":
        print_list("EndpointList", items, output)
        return
    headers = ("SERVICE", "PRIORITY", "CLUSTER", "LOCALITY", "ADDRESS", "HEALTH", "WEIGHT")
    print_table(headers, map(_row, items), show_headers=not no_headers)
    if not items:
        note("no such endpoint" if assignments else f"{node} has not been given endpoints of any service")


def _assignments(client: Client, node: str) -> list[Json]:
    """Return what a node is given, by service: endpoints that are called by name stand in their clusters."""
    found = client.snapshot(node, type_name="eds")
    clusters = client.snapshot(found["view"], version=found["version"], type_name="cds")
    assignments = [*_resources(found), *(one["load_assignment"] for one in _resources(clusters) if "load_assignment" in one)]
    return sorted(assignments, key=lambda one: str(one["cluster_name"]))


def _resources(snapshot: Json) -> list[Json]:
    return [item["resource"] for held in snapshot["types"] for item in held.get("resources", [])]


def _named(assignments: list[Json], service: str, node: str) -> list[Json]:
    found = [item for item in assignments if _goes_by(item["cluster_name"], service)]
    if not found:
        # Each name and all that it may be shortened to, so that a slip in a short name finds a short name.
        names = {part for item in assignments for part in _short_forms(item["cluster_name"])}
        hint = suggestion(service, names, f"`xdsctl endpoints {node}` lists all")
        raise RefusedError(f"{node} has no endpoints of a service {service!r}; {hint}")
    return found


def _goes_by(name: str, wanted: str) -> bool:
    return wanted in _short_forms(name)


def _short_forms(name: str) -> set[str]:
    fqdn = name.rpartition(":")[0]
    labels = fqdn.split(".")
    return {name, name.partition("+")[0], *(".".join(labels[:length]) for length in range(1, len(labels) + 1))}


def _items(assignment: Json) -> Iterator[Json]:
    for group in assignment.get("endpoints", []):
        locality = group.get("locality", {})
        item = {
            "service": assignment["cluster_name"],
            "priority": group.get("priority", 0),
            "cluster": locality.get("sub_zone", ""),
            "region": locality.get("region", ""),
            "zone": locality.get("zone", ""),
        }
        weight = group.get("load_balancing_weight", 0)
        if "lb_endpoints" not in group:
            yield {**item, "addresses": [], "health": "", "weight": weight}
        for endpoint in group.get("lb_endpoints", []):
            addresses = list(_addresses(endpoint["endpoint"]))
            yield {**item, "addresses": addresses, "health": endpoint.get("health_status", "UNKNOWN"), "weight": weight}


def _addresses(endpoint: Json) -> Iterable[str]:
    for held in (endpoint, *endpoint.get("additional_addresses", [])):
        socket = held["address"]["socket_address"]
        host = f"[{socket['address']}]" if ":" in socket["address"] else socket["address"]
        yield f"{host}:{socket['port_value']}"


def _row(item: Json) -> list[object]:
    locality = "/".join((item["region"], item["zone"])).strip("/")
    place = [item["service"], item["priority"], item["cluster"], locality]
    return [*place, ",".join(item["addresses"]), item["health"], item["weight"] if item["addresses"] else ""]
