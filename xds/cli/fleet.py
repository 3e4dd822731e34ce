"""`xdsctl status` and `version`: what a running control plane says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from xds._version import __version__
from xds.cli.client import UnreachableError
from xds.cli.options import asks_server, output_option
from xds.cli.output import API_VERSION, age, count_services, note, plural, print_data, print_table
from xds.cli.overridden import drained_text, gate_text, is_drained
from xds.cli.problems import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xds.cli.client import Client


@click.command()
@output_option("table", "json", "yaml")
@asks_server
def status(client: Client, *, output: str) -> int:
    """Summarise a running control plane on one screen.

    Exits with 1 if it is degraded: it is not ready, the hub or a cluster is not connected, or a proxy rejects something.
    """
    found = client.get("/v1/status")
    degraded = _degraded(found)
    if output != "table":
        print_data({"apiVersion": API_VERSION, "kind": "Status", "degraded": bool(degraded), **found}, output)
        return int(bool(degraded))
    rejecting, failure = found["streams_rejecting"], found["hub_failure"]
    services = count_services(found["services"] - found["services_clusterset"], found["services_clusterset"])
    rows = [
        ("version", found["version"]),
        ("up for", age(found["started_at"])),
        ("ready", "yes" if found["ready"] else f"no: waiting for {found['not_ready_reason']}"),
        ("xDS", found["xds_address"]),
        *([("hub", f"{found['hub']}{failure and f', unreachable: {failure}'}")] if found["hub"] else []),
        ("clusters", f"{found['members_connected']} of {found['members']} connected"),
        *_drained(found["drains"]),
        *([("open gates", "; ".join(map(gate_text, found["gates"])))] if found["gates"] else []),
        ("services", f"{services}, with {plural(found['endpoints'], 'endpoint')}"),
        ("proxies", f"{found['streams']} in {plural(found['views'], 'view')}, {rejecting or 'none'} rejecting"),
        ("problems", counted(found["problems"]) or "none"),
    ]
    print_table(("", ""), rows, show_headers=False)
    for reason in degraded:
        note(f"degraded: {reason}")
    return int(bool(degraded))


def _drained(drains: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield what gets nothing, and apart from it what still gets a part: nobody is to take one for the other."""
    for name, is_whole in (("drained", True), ("draining", False)):
        if texts := [drained_text(one) for one in drains if is_drained(one) is is_whole]:
            yield name, "; ".join(texts)


def _degraded(found: dict[str, Any]) -> list[str]:
    """Return why a control plane does not do all that it should, and which command tells more."""
    reasons = []
    if not found["ready"]:
        reasons.append(f"not ready: {found['not_ready_reason']}")
    if failure := found["hub_failure"]:
        reasons.append(f"the hub is unreachable: {failure}")
    if missing := found["members"] - found["members_connected"]:
        reasons.append(f"{plural(missing, 'cluster')} not connected (xdsctl clusters)")
    if rejecting := found["streams_rejecting"]:
        who = "1 proxy rejects" if rejecting == 1 else f"{rejecting} proxies reject"
        reasons.append(f"{who} something (xdsctl nacks)")
    return reasons


@click.command()
@output_option("table", "json", "yaml")
@asks_server
def version(client: Client, *, output: str) -> None:
    """Print the versions of xdsctl and, if one answers, of the control plane."""
    try:
        server = client.get("/v1/version")
    except UnreachableError as error:
        server = None
        note(str(error))
    if output != "table":
        print_data({"apiVersion": API_VERSION, "kind": "Version", "client": {"version": __version__}, "server": server}, output)
        return
    rows = [("xdsctl", __version__)]
    rows += [("control plane", server["version"])] if server else []
    print_table(("", ""), rows, show_headers=False)
