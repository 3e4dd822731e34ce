"""`xdsctl proxies`: who is connected, and whether they accepted what they were sent."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from xds.cli.client import RefusedError
from xds.cli.nacks import print_rejected, resources_of
from xds.cli.options import asks_server, no_headers, output_option
from xds.cli.output import age, note, print_list, print_table, say, say_indented, suggestion, visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xds.cli.client import Client

SHOWN = ("cds", "eds", "lds", "rds")
WATCH_S = 2.0
Json = dict[str, Any]


@click.command()
@click.argument("node", required=False)
@click.option("-v", "--verbose", is_flag=True, help="Show each stream with its view, versions, and what the proxy rejected.")
@click.option("-w", "--watch", is_flag=True, help="Print it again every two seconds, until Ctrl-C.")
@output_option("table", "json", "yaml")
@no_headers
@asks_server
def proxies(client: Client, node: str | None, *, verbose: bool, watch: bool, output: str, no_headers: bool) -> None:
    """List connected proxies, or those whose id is NODE, one line a stream.

    Each type is SYNCED (accepted), STALE (sent, not answered yet), NOT SENT or ERROR (rejected), with the time since then; a
    type that the proxy never asked for is -.
    """
    _print(client, node, verbose=verbose, output=output, no_headers=no_headers)
    while watch:
        time.sleep(WATCH_S)
        click.clear()
        _print(client, node, verbose=verbose, output=output, no_headers=no_headers)


def _print(client: Client, node: str | None, *, verbose: bool, output: str, no_headers: bool) -> None:
    items = client.items("/v1/proxies")
    if node:
        items = _of_node(items, node)
    if output != "table":
        print_list("ProxyList", items, output)
    elif not items:
        note("no proxy is connected; `xdsctl bootstrap --node ID` prints a bootstrap for one")
    elif verbose:
        is_rejecting = any(held["state"] != "SYNCED" and "rejection" in held for item in items for held in item["types"])
        _print_streams(items, client.nacks(node or "")["items"] if is_rejecting else [])
    else:
        headers = ("NAME", "CLUSTER", "LOCALITY", "ROLE", "KIND", *(name.upper() for name in SHOWN))
        print_table(headers, map(_row, items), show_headers=not no_headers)
        if any(held["state"] == "ERROR" for item in items for held in item["types"]):
            note("`xdsctl nacks` shows what was rejected, and why")


def _of_node(items: Sequence[Json], node: str) -> list[Json]:
    found = [item for item in items if item["node_id"] == node]
    if not found:
        hint = suggestion(node, (item["node_id"] for item in items), "`xdsctl proxies` lists those that are")
        raise RefusedError(f"no node {node!r} is connected; {hint}")
    return found


def _row(item: Json) -> list[str]:
    states = {held["type"]: held for held in item["types"]}
    place = [item["node_id"], item["cluster"], _locality(item), item["role"], item["kind"]]
    return [*place, *(_state(states[name]) if name in states else "" for name in SHOWN)]


def _locality(item: Json) -> str:
    return "/".join((item["region"], item["zone"])).strip("/")


def _state(held: Json) -> str:
    return held["state"] if held["state"] == "NOT SENT" else f"{held['state']} ({age(held['since'])})"


def _print_streams(items: Sequence[Json], rejected: Sequence[Json]) -> None:
    for position, item in enumerate(items):
        if position:
            say()
        say(visible(item["node_id"]))
        facts = [
            ("connected", f"{age(item['connected_at'])} ago ({item['connected_at']}) from {item['peer']}"),
            ("runs in", f"{item['cluster'] or 'no cluster'}, {_locality(item) or 'no locality'}, as {item['role']}"),
            ("kind", item["kind"]),
            ("view", item["view"]),
        ]
        print_table(("", ""), facts, show_headers=False, indent="  ")
        rows = [
            (
                *(held["type"], _state(held), held["sent_version"], held["acked_version"]),
                *(held["responses"], held["acks"], held["nacks"]),
            )
            for held in item["types"]
        ]
        print_table(("TYPE", "STATE", "SENT", "ACCEPTED", "RESPONSES", "ACKS", "NACKS"), rows, indent="  ")
        own = [found for found in rejected if (found["node_id"], found["kind"]) == (item["node_id"], item["kind"])]
        if own:
            say("  rejected, and not sent again until it differs:")
            print_rejected(resources_of(own), indent="  ")
        for held in item["types"]:
            if "rejection" in held and held["type"] not in {found["type"] for found in own}:
                _print_rejection(held)


def _print_rejection(held: Json) -> None:
    """Tell what is over: what was rejected last has changed since, or was accepted."""
    rejection = held["rejection"]
    say(f"  rejected {held['type']} {age(rejection['at'])} ago (nothing any more):")
    say_indented(rejection["error"], "    ")
