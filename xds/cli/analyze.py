"""`xdsctl analyze`: what would change for those who come from another multi-cluster system."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from xds.cli.options import no_headers, output_option
from xds.cli.output import API_VERSION, note, plural, print_data, print_table

if TYPE_CHECKING:
    from xds.discovery.live.kubeconfig import Context
    from xds.discovery.remote.differences import Difference
    from xds.discovery.remote.foreign import Foreign
    from xds.discovery.remote.migration import Move

LIMIT_S = 30.0
"""For each cluster."""


@click.command()
@click.option(
    "--kubeconfig",
    "files",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    metavar="FILE",
    help="Each context is looked at: KubeFed's host, Karmada's control plane, members. May be given again.",
)
@click.option("--context", "contexts", multiple=True, metavar="NAME", help="Only this context. May be given again.")
@output_option("table", "json", "yaml")
@no_headers
def analyze(files: tuple[Path, ...], contexts: tuple[str, ...], *, output: str, no_headers: bool) -> int:
    """Look at what KubeFed, Karmada, Flomesh, Istio, Cilium, Linkerd or Azure Fleet have, and say what would change with Isthmus.

    For each service: where it is placed, and in which clusters a ServiceExport has to be made; exports that are there
    count for the cluster that its context is named after. Then what has another counterpart, or none.

    Nothing is changed. Exits with 1 if a cluster could not be read.
    """
    from xds.discovery.live.kubeconfig import chosen_contexts
    from xds.discovery.remote.differences import differences
    from xds.discovery.remote.migration import moves

    chosen = chosen_contexts(files, contexts)
    found, failed = asyncio.run(_read(chosen))
    services, others = moves(found), differences(found.values())
    if output == "table":
        _print(services, others, show_headers=not no_headers)
        if not (services or others or failed):
            note("nothing of KubeFed, Karmada, Flomesh, Istio, Cilium, Linkerd or Azure Fleet is there")
    else:
        told = {"services": [*map(dataclasses.asdict, services)], "differences": [*map(dataclasses.asdict, others)]}
        print_data({"apiVersion": API_VERSION, "kind": "Analysis", **told}, output)
    for text in failed:
        note(text)
    return int(len(found) < len(chosen))


async def _read(contexts: list[Context]) -> tuple[dict[str, Foreign], list[str]]:
    """Return what each cluster has, and what could not be read, in words; all clusters at once."""
    from xds.discovery.live.api_server import UnreachableError
    from xds.discovery.live.collection import Refusal
    from xds.discovery.remote.foreign import read_foreign
    from xds.discovery.remote.target import Place, connected
    from xds.errors import ConfigurationError

    found: dict[str, Foreign] = {}
    failed: list[str] = []

    async def read(context: Context) -> None:
        try:
            async with asyncio.timeout(LIMIT_S), connected(Place(context.member, context)) as target:
                found[context.member], refused = await read_foreign(target.server)
                failed.extend(f"{context.member}: not read: {text}" for text in refused)
        except TimeoutError:
            failed.append(f"{context.member}: no answer to everything within {LIMIT_S:g} s")
        except (UnreachableError, Refusal, ConfigurationError) as error:
            failed.append(f"{context.member}: {error}")

    await asyncio.gather(*map(read, contexts))
    return {context.member: found[context.member] for context in contexts if context.member in found}, sorted(failed)


def _print(services: list[Move], others: list[Difference], *, show_headers: bool) -> None:
    def listed(clusters: tuple[str, ...]) -> str:
        return ", ".join("all clusters" if name == "*" else name for name in clusters)

    if services:
        rows = [(one.namespace, one.name, one.system, listed(one.clusters) or "nowhere", listed(one.exports)) for one in services]
        print_table(("NAMESPACE", "SERVICE", "FROM", "PLACED IN", "EXPORT TO MAKE IN"), rows, show_headers=show_headers)
    if services and others:
        click.echo()
    if others:
        told = [(one.system, one.objects, one.instead) for one in others]
        print_table(("FROM", "WHAT", "WITH ISTHMUS"), told, show_headers=show_headers)
    if services:
        missing = sum(bool(one.exports) for one in services)
        lack = "lacks" if missing == 1 else "lack"
        note(f"{plural(len(services), 'service')}, {missing or 'none'} of which {lack} ServiceExports")
