"""`xdsctl clusters`: the members of the fleet, once or as they change."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import click

from xds.cli.options import asks_server, no_headers, output_option
from xds.cli.output import age, note, print_list, print_table, to_yaml
from xds.cli.overridden import drained_text, is_drained, state_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from xds.cli.client import Client

WATCH_S = 1.0
HEADERS = ("NAME", "STATE", "SINCE", "REGION", "ZONES", "NETWORK", "SERVICES", "ENDPOINTS")
Json = dict[str, Any]


@click.command()
@click.option("-w", "--watch", is_flag=True, help="Then print each cluster again when it changes, until Ctrl-C.")
@output_option("table", "json", "yaml")
@no_headers
@asks_server
def clusters(client: Client, *, watch: bool, output: str, no_headers: bool) -> None:
    """List the member clusters, how fresh what is known of each is, and what they bring.

    SINCE is how long ago the control plane saw the state begin. With --watch, -o json prints one object a line.
    """
    if watch:
        _watch(client, output, show_headers=not no_headers)
        return
    items = client.items("/v1/members")
    if output != "table":
        print_list("MemberList", items, output)
        return
    print_table(HEADERS, map(_row, items), show_headers=not no_headers)
    for item in items:
        _tell(item)


def _watch(client: Client, output: str, *, show_headers: bool) -> None:
    """Print each member, and then each that changed."""
    widths: Sequence[int] = ()
    known: dict[str, Json] = {}
    while True:
        found = {item["name"]: item for item in client.items("/v1/members")}
        changed = [item for name, item in found.items() if known.get(name) != item]
        changed += [_left(item) for name, item in known.items() if name not in found]
        if output == "table":
            if changed or not widths:
                widths = print_table(HEADERS, map(_row, changed), show_headers=show_headers and not widths, widths=widths)
            for item in changed:
                _tell(item, known.get(item["name"]))
        else:
            for item in changed:
                click.echo(
                    f"---\n{to_yaml(item)}" if output == "yaml" else json.dumps(item, ensure_ascii=False), nl=output == "json"
                )
        known = found
        time.sleep(WATCH_S)


def _left(item: Json) -> Json:
    """Return what is to be said of one that is listed no longer."""
    return {**{key: value for key, value in item.items() if key != "since"}, "state": "Lost", "reason": "no longer a member"}


def _tell(item: Json, before: Json | None = None) -> None:
    """Say of a member what its row does not, unless that was said before."""
    said = {*_remarks(before)} if before else ()
    for text in _remarks(item):
        if text not in said:
            note(text)


def _remarks(item: Json) -> Iterator[str]:
    if item["reason"]:
        yield f"{item['name']} is {item['state']}: {item['reason']}"
    if item["aliases"]:
        yield f"{item['name']} is also registered as {', '.join(item['aliases'])}"
    for drain in item["drains"]:
        how = "is drained" if is_drained(drain) else "is being drained"
        yield f"{item['name']} {how} by TrafficOverride {drain['name']}: {drained_text(drain)}"
    if not item["declared"]:
        yield f"{item['name']} has no MemberCluster, so its region follows from its nodes; add one with its region"


def _row(item: Json) -> list[object]:
    place = [item["region"], ",".join(item["zones"]), item["network"]]
    return [item["name"], state_text(item), age(item.get("since", "")), *place, item["services"], item["endpoints"]]
