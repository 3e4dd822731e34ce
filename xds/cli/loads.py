"""`xdsctl loads`: how many requests went where, as the clients report it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from xds.cli.options import asks_server, no_headers, output_option
from xds.cli.output import age, note, print_list, print_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xds.cli.client import Client

Json = dict[str, Any]


@click.command()
@click.argument("node", metavar="[NODE|VIEW]", required=False)
@output_option("table", "json", "yaml")
@no_headers
@asks_server
def loads(client: Client, node: str | None, *, output: str, no_headers: bool) -> None:
    """List the requests that clients say they sent, by view, service and locality, since the control plane started.

    With NODE, those of the view of that connected node, which it shares with other nodes. ISSUED counts the requests that were
    sent to an endpoint, OK and ERRORS how they ended, IN PROGRESS those under way at the last report. An Envoy counts a
    failed attempt to connect as an error and not as issued, so ERRORS may exceed ISSUED. DROPPED are of the whole service.
    """
    items = client.get("/v1/loads", {"node": node} if node else None)["items"]
    if output != "table":
        print_list("LoadList", items, output)
        return
    headers = ("VIEW", "SERVICE", "CLUSTER", "LOCALITY", "ISSUED", "OK", "ERRORS", "IN PROGRESS", "DROPPED", "REPORTED")
    print_table(headers, [row for item in items for row in _rows(item)], show_headers=not no_headers)
    if not items:
        note("no client has reported requests yet; `xdsctl bootstrap` prints bootstraps of clients that do")


def _rows(item: Json) -> Iterator[list[object]]:
    said = f"{age(item['reported_at'])} ago"
    nowhere = dict.fromkeys(("region", "zone", "sub_zone", "issued", "succeeded", "failed", "in_progress"), "")
    for load in item["localities"] or [nowhere]:
        locality = "/".join((load["region"], load["zone"])).strip("/")
        numbers = [load["issued"], load["succeeded"], load["failed"], load["in_progress"]]
        yield [item["view"], item["cluster"], load["sub_zone"], locality, *numbers, item["dropped"], said]
