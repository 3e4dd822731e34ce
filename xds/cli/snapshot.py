"""`xdsctl snapshot`: what proxies are given, now and before."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

import click

from xds.cli.options import TYPES, asks_server, no_headers, output_option
from xds.cli.output import age, note, print_list, print_table, say, to_yaml, uses_colour, visible
from xds.cli.resources import body_of, print_snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xds.cli.client import Client

_ALWAYS = ("cds", "eds", "lds", "rds", "sds")
_DIFF_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


@click.group()
def snapshot() -> None:
    """Show, compare and trace what proxies are given.

    A NODE is the id of a connected node, or the key of a view as `snapshot list` prints it. A VERSION is one of `snapshot
    history`, or its first digits.
    """


@snapshot.command(name="list", short_help="List the live views.")
@output_option("table", "json", "yaml")
@no_headers
@asks_server
def list_(client: Client, *, output: str, no_headers: bool) -> None:
    """List the live views: groups of proxies that are given the same."""
    items = client.items("/v1/snapshots")
    if output != "table":
        print_list("SnapshotList", items, output)
        return
    # Other types have a column where some view has resources of them.
    shown = [name for name in TYPES if name in _ALWAYS or any(item["resources"].get(name) for item in items)]
    headers = ("VIEW", "VERSION", "AGE", *(name.upper() for name in shown), "NODES", "TRIGGER")
    rows = [
        [
            *(item["view"], item["version"], age(item["at"])),
            *(item["resources"].get(name, 0) for name in shown),
            *(len(item["nodes"]), item["trigger"]),
        ]
        for item in items
    ]
    print_table(headers, rows, show_headers=not no_headers)
    if not items:
        note("no view is live: no proxy has connected yet")


@snapshot.command(short_help="Show the resources that a node is given.")
@click.argument("node", metavar="NODE[@VERSION]")
@click.option("--type", "type_name", type=click.Choice(TYPES), help="Only resources of this type.")
@click.option("--name", default="", help="Only the resources of this name.")
@click.option("--version", default="", help="Not the newest snapshot but this one of `snapshot history`.")
@output_option("table", "json", "yaml")
@no_headers
@asks_server
def show(  # noqa: PLR0913 - an argument for each option
    client: Client, node: str, *, type_name: str | None, name: str, version: str, output: str, no_headers: bool
) -> None:
    """Show the resources that a node is given.

    With -o json (or yaml), prints a list with one DiscoveryResponse a type, in proto3 JSON as Envoy reads it; with --type, that
    type's DiscoveryResponse alone. Secrets appear by name only.
    """
    found = client.snapshot(node, version=version, type_name=type_name or "", name=name)
    print_snapshot(found, output, single=bool(type_name), show_headers=not no_headers)


@snapshot.command(short_help="List the kept snapshots of a node's view.")
@click.argument("node")
@output_option("table", "json", "yaml")
@no_headers
@asks_server
def history(client: Client, node: str, *, output: str, no_headers: bool) -> None:
    """List the kept snapshots of a node's view, the newest first, and what each changed."""
    items = client.history(node)["items"][::-1]
    if output != "table":
        print_list("SnapshotHistory", items, output)
        return
    rows = [(item["version"], age(item["at"]), _changes(item["changes"]), item["trigger"]) for item in items]
    print_table(("VERSION", "AGE", "CHANGES", "TRIGGER"), rows, show_headers=not no_headers)


@snapshot.command(short_help="Compare two snapshots, resource by resource.")
@click.argument("before", metavar="NODE[@VERSION]")
@click.argument("after", metavar="[NODE[@VERSION]]", required=False)
@asks_server
def diff(client: Client, before: str, after: str | None) -> int:
    """Compare two snapshots, resource by resource, as YAML; exits with 1 if they differ.

    With one NODE, shows what its last change was. Of secrets, only versions are compared.
    """
    old, new = (before, after) if after else _last_change(client, before)
    if not old:
        note(f"no earlier snapshot of {before} is kept; nothing to compare")
        return 0
    old_texts, new_texts = _texts(client.snapshot(old)), _texts(client.snapshot(new))
    lines = [line for key in sorted({*old_texts, *new_texts}) for line in _diff(key, old, new, old_texts, new_texts)]
    for line in lines:
        colour = _DIFF_COLOURS.get(line[0]) if uses_colour() else None
        say(visible(line), colour=colour)
    return int(bool(lines))


def _last_change(client: Client, node: str) -> tuple[str, str]:
    before, latest = ("", *(f"{node}@{item['version']}" for item in client.history(node)["items"]))[-2:]
    return before, latest


def _texts(found: dict[str, Any]) -> dict[str, list[str]]:
    texts: dict[str, list[str]] = {}
    for held in found.get("types", []):
        for item in held.get("resources", []):
            body = body_of(held, item) if "resource" in item else {"version": item["version"]}
            texts[f"{held['type']}/{item['name']}"] = to_yaml(body).splitlines()
    return texts


def _diff(key: str, old: str, new: str, old_texts: dict[str, list[str]], new_texts: dict[str, list[str]]) -> Iterator[str]:
    old_name = f"{old}/{key}" if key in old_texts else "/dev/null"
    new_name = f"{new}/{key}" if key in new_texts else "/dev/null"
    return difflib.unified_diff(old_texts.get(key, []), new_texts.get(key, []), old_name, new_name, lineterm="")


def _changes(changes: list[dict[str, Any]]) -> str:
    marks = (("+", "added"), ("~", "changed"), ("-", "removed"))
    parts = [
        f"{change['type']} " + " ".join(f"{mark}{len(change[kind])}" for mark, kind in marks if change[kind])
        for change in changes
    ]
    return ", ".join(parts)
