"""`xdsctl proxies`: who is connected, and whether they accepted what they were sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from xds.cli.options import asks_server, no_headers, output_option
from xds.cli.output import age, note, print_list, print_table

if TYPE_CHECKING:
    from xds.cli.client import Client

SHOWN = ("cds", "eds", "lds", "rds")


@click.command()
@click.option("-v", "--verbose", is_flag=True, help="Show every type, and what was rejected in the proxies' own words.")
@output_option("table", "json", "yaml")
@no_headers
@asks_server
def proxies(client: Client, *, verbose: bool, output: str, no_headers: bool) -> None:
    """List connected proxies, one line a stream.

    Each type is SYNCED (accepted), STALE (sent, not answered yet), NOT SENT or ERROR (rejected), with the time since then.
    """
    items = client.items("/v1/proxies")
    if output != "table":
        print_list("ProxyList", items, output)
        return
    types = list(SHOWN)
    if verbose:
        types += sorted({held["type"] for item in items for held in item["types"]} - {*SHOWN})
    headers = ("NAME", "CLUSTER", "LOCALITY", "ROLE", "KIND", *(name.upper() for name in types))
    print_table(headers, [_row(item, types) for item in items], show_headers=not no_headers)
    rejections = [(item, held) for item in items for held in item["types"] if "rejection" in held]
    if not items:
        note("no proxy is connected; `xdsctl bootstrap --node ID` prints a bootstrap for one")
    elif verbose:
        for item, held in rejections:
            _print_rejection(item, held)
    elif any(held["state"] == "ERROR" for _, held in rejections):
        note("`xdsctl proxies -v` shows what was rejected, and why")


def _row(item: dict[str, Any], types: list[str]) -> list[str]:
    states = {held["type"]: held for held in item["types"]}
    locality = "/".join((item["region"], item["zone"])).strip("/")
    return [item["node_id"], item["cluster"], locality, item["role"], item["kind"], *(_state(states.get(name)) for name in types)]


def _state(held: dict[str, Any] | None) -> str:
    if held is None or held["state"] == "NOT SENT":
        return "NOT SENT"
    return f"{held['state']} ({age(held['since'])})"


def _print_rejection(item: dict[str, Any], held: dict[str, Any]) -> None:
    rejection = held["rejection"]
    names = ", ".join(rejection["names"])
    since = "" if held["state"] == "ERROR" else " (accepted since)"
    click.echo(f"\n{item['node_id']} rejected {held['type']} {age(rejection['at'])} ago{since}, a response with {names}:")
    click.echo("\n".join(f"  {line}" for line in rejection["error"].splitlines()))
