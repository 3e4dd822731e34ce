"""`xdsctl translate`: what a node would be given, from files alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from xds.cli.client import RefusedError
from xds.cli.options import TYPES, describes_node, no_headers, output_option
from xds.cli.output import note, plural
from xds.cli.resources import print_snapshot

if TYPE_CHECKING:
    from xds.cli.node import NodeFlags


@click.command()
@click.option("--clusters", type=click.Path(path_type=Path), required=True, metavar="DIR", help="A directory for each cluster.")
@describes_node("sidecar", "gateway", "node", "proxyless")
@click.option("--type", "type_name", type=click.Choice(TYPES), help="Only resources of this type.")
@click.option("--name", default="", help="Only the resources of this name.")
@output_option("table", "json", "yaml")
@no_headers
def translate(clusters: Path, node: NodeFlags, *, type_name: str | None, name: str, output: str, no_headers: bool) -> None:
    """Print what a node would be given, from files alone, by the code that `xdsctl serve` runs.

    Output is as that of `xdsctl snapshot show`. Problems of this node and of what it is given go to stderr.
    """
    from xds.admin.answers import to_json
    from xds.admin.snapshots import NotFoundError, excerpt
    from xds.cli.offline import Offline

    offline = Offline(clusters)
    snapshot, problems = offline.translate(node)
    for problem in problems:
        note(str(problem))
    if offline.reading.problems:
        count = plural(len(offline.reading.problems), "problem")
        note(f"{count} in the files; `xdsctl validate {clusters}` lists them")
    try:
        found = excerpt(snapshot, type_name or "", name)
    except NotFoundError as error:
        raise RefusedError(str(error)) from error
    print_snapshot(json.loads(to_json(found, defaults=False)), output, single=bool(type_name), show_headers=not no_headers)
