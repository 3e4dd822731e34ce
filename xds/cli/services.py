"""`xdsctl services`: what clients can ask for by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from xds.cli.options import asks_server, no_headers, output_option
from xds.cli.output import note, print_list, print_table

if TYPE_CHECKING:
    from xds.cli.client import Client


@click.command()
@output_option("table", "json", "yaml")
@no_headers
@asks_server
def services(client: Client, *, output: str, no_headers: bool) -> None:
    """List services: each cluster's own (…cluster.local), and the exported ones of the cluster set (…clusterset.local).

    READY counts the endpoints that take traffic, and all of them. An address that clients in one cluster alone know is
    followed by that cluster.
    """
    items = client.items("/v1/services")
    if output != "table":
        print_list("ServiceList", items, output)
        return
    headers = ("NAME", "CLUSTER", "PORTS", "READY", "EXPORTED BY", "ADDRESSES")
    print_table(headers, [_row(item) for item in items], show_headers=not no_headers)
    if not items:
        note("no services; `xdsctl problems` lists what is wrong with the manifests")


def _row(item: dict[str, Any]) -> list[str]:
    return [
        item["name"],
        item["cluster"],
        ",".join(f"{port['port']}/{port['protocol']}" for port in item["ports"]),
        f"{item['endpoints_ready']}/{item['endpoints']}",
        ",".join(item["exported_by"]),
        ",".join(_addresses(item)),
    ]


def _addresses(item: dict[str, Any]) -> list[str]:
    return [
        address if held["cluster"] == item["cluster"] else f"{address}({held['cluster']})"
        for held in item["vips"]
        for address in held["addresses"]
    ]
