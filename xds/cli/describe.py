"""`xdsctl describe`: all that is known of one cluster, or of one service in all clusters."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from xds.cli.describe_service import print_service
from xds.cli.options import asks_server, output_option
from xds.cli.output import API_VERSION, plural, print_data, print_facts, since, size
from xds.cli.overridden import drained_text
from xds.cli.problems import print_section

if TYPE_CHECKING:
    from xds.cli.client import Client

Json = dict[str, Any]

_IN_DNS = re.compile(r"(?P<name>[^/.\s]+)\.(?P<namespace>[^/.\s:]+)(\.svc(\.cluster(set)?\.local\.?)?)?(:\d+)?")

ALIASES = {"clusters": "cluster", "member": "cluster", "members": "cluster", "services": "service", "svc": "service"}
ELSEWHERE = {
    "proxy": "`xdsctl proxies NODE -v` tells all of a proxy",
    "node": "`xdsctl proxies NODE -v` tells all of a proxy",
    "endpoints": "`xdsctl endpoints NODE SERVICE` lists what a node is given, `xdsctl describe service NS/NAME` what there is",
}
"""What people would have described -> what to use."""


class Described(click.Group):
    """A group of things to describe, each by any of the names that people give it."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return what describes a kind of thing."""
        return super().get_command(ctx, ALIASES.get(cmd_name, cmd_name))

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Find what describes the thing that the arguments begin with.

        Raises:
            UsageError: nothing does; the text says what to use instead.
        """
        if not ctx.resilient_parsing and (hint := ELSEWHERE.get(args[0])):
            raise click.UsageError(f"cannot describe {args[0]!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)


class ServiceName(click.ParamType[tuple[str, str]]):
    """`NAMESPACE/NAME`, or the name in DNS: (namespace, name)."""

    name = "service"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Return namespace and name.

        Raises:
            click.BadParameter: it has neither form.
        """
        found = re.fullmatch(r"(?P<namespace>[^/.\s]+)/(?P<name>[^/\s]+)", value) or _IN_DNS.fullmatch(value)
        if found is None:
            message = f"{value!r} does not name a service; use NAMESPACE/NAME, or NAME.NAMESPACE.svc.clusterset.local"
            self.fail(message, param, ctx)
        return found["namespace"], found["name"]


@click.group(cls=Described)
def describe() -> None:
    """Tell all that is known of a cluster or a service."""


@describe.command(short_help="Describe a member cluster.")
@click.argument("name")
@output_option("text", "json", "yaml")
@asks_server
def cluster(client: Client, name: str, *, output: str) -> None:
    """Describe a member cluster: how fresh what is known of it is, what it brings, and what is wrong with it."""
    found = client.get(f"/v1/members/{quote(name, safe='')}")
    if output != "text":
        print_data({"apiVersion": API_VERSION, "kind": "MemberDescription", **found}, output)
        return
    member = found["member"]
    exports, valid = found["exports"], found["exports_valid"]
    facts = [
        ("Name", member["name"]),
        ("State", f"{member['state']}{f' since {began}' if (began := since(member.get('since', ''))) else ''}"),
        *([("Reason", member["reason"])] if member["reason"] else []),
        *([("Drained", "; ".join(map(drained_text, member["drains"])))] if member["drains"] else []),
        ("Read from", found["read_from"]),
        ("Declared", "yes" if member["declared"] else "no, there is no MemberCluster of that name"),
        *([("Namespaces", f"those with {found['namespace_selector']}")] if found["namespace_selector"] else []),
        *([("Read", "what it exports alone")] if found["exported_only"] else []),
        ("Region", member["region"]),
        ("Zones", ", ".join(member["zones"])),
        ("Network", member["network"]),
        ("Services", member["services"]),
        ("Endpoints", f"{found['endpoints_ready']} of {member['endpoints']} ready"),
        ("Exports", f"{exports}{f', {exports - valid} of them not valid' if exports > valid else ''}"),
        ("Memory", _memory({key: int(value) for key, value in found["memory"].items()})),
        ("Proxies", f"{plural(found['proxies'], 'node')} connected"),
    ]
    print_facts(facts)
    print_section(found["problems"])


def _memory(found: dict[str, int]) -> str:
    if not found["cluster_bytes"]:
        return "-"
    per = f"{size(found['service_bytes'])} a service, {size(found['endpoint_bytes'])} an endpoint"
    return f"about {size(found['cluster_bytes'])}: {per}"


@describe.command(short_help="Describe a service in all clusters.")
@click.argument("service", metavar="NAMESPACE/NAME", type=ServiceName())
@output_option("text", "json", "yaml")
@asks_server
def service(client: Client, service: tuple[str, str], *, output: str) -> None:
    """Describe a service in all clusters: who exports it, where exports differ and which counts, and its endpoints.

    NAME.NAMESPACE.svc.clusterset.local names it, too. HEALTH is what proxies are told of an endpoint, and - for one that they are
    not told of, e.g. since it was never ready; AGE is that of the EndpointSlice that it is from.
    """
    namespace, name = (quote(part, safe="") for part in service)
    found = client.get(f"/v1/services/{namespace}/{name}")
    if output != "text":
        print_data({"apiVersion": API_VERSION, "kind": "ServiceDescription", **found}, output)
        return
    print_service(found)
