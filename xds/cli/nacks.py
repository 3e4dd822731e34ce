"""`xdsctl nacks`: what proxies rejected, where that comes from, and what they said."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from xds.cli.options import asks_server, no_headers, output_option
from xds.cli.output import age, note, plural, print_list, print_table
from xds.cli.resources import object_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from xds.cli.client import Client

WATCH_S = 2.0
OBJECTS = 3
"""Objects named in a line; -o json lists more."""
Json = dict[str, Any]


@click.command()
@click.argument("node", required=False)
@click.option("-w", "--watch", is_flag=True, help="Print it again every two seconds, until Ctrl-C.")
@output_option("table", "json", "yaml")
@no_headers
@asks_server
def nacks(client: Client, node: str | None, *, watch: bool, output: str, no_headers: bool) -> None:
    """List the resources that proxies rejected, or the proxy whose id is NODE, with the objects they come from.

    A rejected resource is not sent to that proxy again until it differs; the proxy goes on with what it had, and everything
    else reaches it. A resource in quarantine is sent to no proxy of its view. Below each stands what a proxy said.
    """
    _print(client, node, output=output, no_headers=no_headers)
    while watch:
        time.sleep(WATCH_S)
        click.clear()
        _print(client, node, output=output, no_headers=no_headers)


def _print(client: Client, node: str | None, *, output: str, no_headers: bool) -> None:
    answer = client.nacks(node or "")
    if output != "table":
        print_list("NackList", answer["items"], output)
    elif answer["items"]:
        print_rejected(resources_of(answer["items"]), show_headers=not no_headers)
    else:
        note(f"{node} has rejected nothing that it was sent" if node else "no proxy rejects what it was sent")
    if answer["left_off"]:
        note(f"and {answer['left_off']} more; name a NODE")


def resources_of(items: Iterable[Json]) -> list[list[Json]]:
    """Return the NACKs of each content, that which several nodes reject once; the order stays."""
    found: dict[tuple[object, ...], list[Json]] = {}
    for item in items:
        key = (item["type"], item["name"], item["version"], item["quarantined"], item["view"] if item["quarantined"] else "")
        found.setdefault(key, []).append(item)
    return list(found.values())


def print_rejected(found: Sequence[Sequence[Json]], *, show_headers: bool = True, indent: str = "") -> None:
    """Print a row for each content, and below it what a client said.

    Args:
        found: the NACKs of each content.
        show_headers: whether to print the headers.
        indent: begins each line.
    """
    headers = ("TYPE", "NAME", "NODES", "SINCE", "OBJECT")
    print_table(headers, map(_row, found), show_headers=show_headers, indent=indent, below=[*map(_below, found)])


def _row(same: Sequence[Json]) -> list[str]:
    first = _first(same)
    count = len({item["node_id"] for item in same})
    return [first["type"], first["name"] or "(not known yet)", str(count), age(first["rejected_at"]), _objects(first)]


def _below(same: Sequence[Json]) -> str:
    first = _first(same)
    error = first["error"] or "(no text)"
    if not first["name"]:
        return f"{error}\nthe text names no resource: parts of the response are sent again until it is found"
    if first["quarantined"]:
        instead = f"given version {first['accepted_version']} instead" if first["accepted_version"] else "given nothing instead"
        return f"{error}\nin quarantine: the nodes of view {first['view']} are {instead}"
    return error


def _first(same: Sequence[Json]) -> Json:
    return min(same, key=lambda item: item["rejected_at"])


def _objects(item: Json) -> str:
    refs = item["origins"]
    named = [object_name(ref) + (f" ({ref['resource_version']})" if ref["resource_version"] else "") for ref in refs[:OBJECTS]]
    more = len(refs) - len(named) + item["more_origins"]
    return ", ".join(named) + (f" and {plural(more, 'other')}" if more else "")
