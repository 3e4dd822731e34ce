"""`xdsctl policy`: what policies come to."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import click

from xds.cli.output import print_data, say, to_yaml


@click.group()
def policy() -> None:
    """Say what policies come to."""


@policy.command(short_help="Print the tiers that a strategy stands for.")
@click.argument("what", metavar="FILE|STRATEGY")
@click.option("--primary", default="", metavar="REGION", help="Of TwoSitesThreeCenters and RemoteDR: the region that serves.")
@click.option("--remote", default="", metavar="REGION", help="Of the same: the region that takes over.")
@click.option("--cluster", "clusters", multiple=True, metavar="NAME", help="Of FailOver, in order, and ActiveActive.")
@click.option("-o", "--output", type=click.Choice(("yaml", "json")), default="yaml", show_default=True, help="How to print it.")
def expand(what: str, *, primary: str, remote: str, clusters: tuple[str, ...], output: str) -> None:
    """Print the tiers that a strategy stands for.

    Of each TrafficPolicy in a file, or of a strategy by its name.

    What is printed may take the place of the strategy, as a beginning of one's own tiers.
    """
    import msgspec

    from xds.cli.policy_files import PolicyFileError, read_policies
    from xds.model.traffic_objects import StrategySpec, StrategyType
    from xds.policy import strategies
    from xds.policy.reading import tiers_of

    if what in get_args(StrategyType):
        if what in strategies.CITIES and not (primary and remote):
            raise click.UsageError(f"{what} is about two regions; give --primary and --remote")
        fields = {"type": what, "primary": primary, "remote": remote, "clusters": [*clusters]}
        try:
            tiers = strategies.expand(msgspec.convert(fields, StrategySpec))
        except msgspec.ValidationError as error:
            raise click.UsageError(str(error)) from error
        print_data({"tiers": [_plain(tier) for tier in tiers]}, output)
        return
    if not Path(what).exists():
        raise PolicyFileError(f"{what!r} is no file and no strategy; strategies are {', '.join(get_args(StrategyType))}")
    items = []
    for item in read_policies([Path(what)], takes_others=True):
        tiers = tiers_of(item.spec)
        spec = {key: value for key, value in _plain(item.spec).items() if key not in ("strategy", "tiers")}
        meta = {"name": item.metadata.name, "namespace": item.metadata.namespace}
        found = {"apiVersion": item.api_version, "kind": item.kind, "metadata": meta}
        items.append({**found, "spec": {**spec, "tiers": [_plain(tier) for tier in tiers]} if tiers else spec})
    _print_objects(items, output)


def _print_objects(items: list[dict[str, Any]], output: str) -> None:
    """Print objects as `kubectl apply -f -` takes them: YAML documents, or one JSON value."""
    if output == "yaml":
        say("---\n".join(map(to_yaml, items)).rstrip("\n"))
    else:
        print_data(items[0] if len(items) == 1 else {"apiVersion": "v1", "kind": "List", "items": items}, output)


def _plain(value: object) -> dict[str, Any]:
    """Return the fields that say something, as people write them."""
    import msgspec

    found: dict[str, Any] = msgspec.to_builtins(value)
    return found
