"""`xdsctl check`: whether clusters can be members, before they are or when something is wrong."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xds.cli.options import no_headers, output_option
from xds.cli.output import note, plural, print_list, print_table, terminal_width

if TYPE_CHECKING:
    from xds.discovery.remote.findings import Finding

FILE = click.Path(path_type=Path)


@click.command()
@click.option(
    "--kubeconfig", "files", type=FILE, multiple=True, metavar="FILE", help="Each context is a cluster. May be given again."
)
@click.option("--context", "contexts", multiple=True, metavar="NAME", help="Only this context. May be given again.")
@click.option("--hub", default="", metavar="FILE[:CONTEXT]", help="The hub, as for `serve`, and what it registers.")
@click.option("--mcs", is_flag=True, help="Also what `serve --mcs` needs.")
@click.option("--mcs-range", multiple=True, metavar="CIDR", help="A range for `serve --mcs-range`: whether it is unused.")
@click.option(
    "--timeout", "limit_s", type=click.FloatRange(min=0.1), default=10.0, show_default=True, help="Seconds for a cluster."
)
@output_option("table", "json", "yaml")
@no_headers
def check(files: tuple[Path, ...], contexts: tuple[str, ...], hub: str, **options: Any) -> int:
    """Look whether clusters can be members, with the credentials that the control plane is to have.

    What is asked: whether they answer, how long certificates and credentials last, the clock, the APIs, the rights,
    whether two names are one cluster, and whether two clusters' pods may have one address. Nothing is changed. Exits
    with 1 if something failed.
    """
    from xds.discovery.live.in_cluster import hub_access
    from xds.discovery.live.kubeconfig import chosen_contexts
    from xds.discovery.remote.check import check as look
    from xds.ranges import parsed

    if not (files or hub):
        raise click.UsageError("say which clusters: --kubeconfig FILE, --hub FILE, or both", click.get_current_context())
    if contexts and not files:
        raise click.UsageError("--context chooses among those of a kubeconfig; give one", click.get_current_context())
    try:
        ranges = parsed(options["mcs_range"])
    except ValueError as error:
        raise click.UsageError(f"--mcs-range: {error}", click.get_current_context()) from None
    chosen = chosen_contexts(files, contexts) if files else []
    how = {"mcs": options["mcs"], "limit_s": options["limit_s"], "ranges": ranges}
    found = asyncio.run(look(chosen, hub_access(hub, os.environ) if hub else None, **how))
    if options["output"] == "table":
        _print(found, show_headers=not options["no_headers"])
    else:
        print_list("CheckList", [dataclasses.asdict(finding) for finding in found], options["output"])
    return int(any(finding.result == "failed" for finding in found))


def _print(found: list[Finding], *, show_headers: bool) -> None:
    rows = [(finding.cluster, finding.check, finding.result, finding.found) for finding in found]
    below = [f"→ {finding.remedy}" * bool(finding.remedy) for finding in found]
    print_table(("CLUSTER", "CHECK", "RESULT", "FOUND"), rows, show_headers=show_headers, below=below, limit=terminal_width())
    counted = Counter(str(finding.result) for finding in found)
    clusters = plural(len({finding.cluster for finding in found}), "cluster")
    bad = [f"{counted['failed']} failed"] if counted["failed"] else []
    bad += [plural(counted["warning"], "warning")] if counted["warning"] else []
    note(f"{clusters}: {', '.join(bad) or 'everything is in place'}")
