"""`xdsctl clusters`: the list, and how a cluster becomes a member and leaves again."""

from __future__ import annotations

import asyncio
from inspect import cleandoc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xds.cli.clusters import clusters as listing
from xds.cli.options import checked, output_option
from xds.cli.output import note, say

if TYPE_CHECKING:
    from xds.cli.options import Command
    from xds.discovery.remote.objects import Joining
    from xds.discovery.remote.target import Outcome, Place

NAME = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
LOOPBACK = ("localhost", "127.", "[::1]", "0.0.0.0")  # noqa: S104 - addresses in kubeconfigs, nobody listens
FILE = click.Path(path_type=Path)


def _list(**options: Any) -> Any:
    context = click.get_current_context()
    assert listing.callback is not None
    return None if context.invoked_subcommand else listing.callback(**options)


clusters = click.Group(
    "clusters",
    params=listing.params,
    callback=_list,
    invoke_without_command=True,
    help=f"{cleandoc(listing.help or '')}\n\nWithout a command, it is a running control plane that is asked.",
)


def _names_cluster(command: Command) -> Command:
    """Add what join and leave have in common."""
    name = click.argument("name", callback=checked(NAME, "the name of a cluster is at most 63 of a-z, 0-9 and '-'"))
    options = (
        click.option("--context", default="", metavar="NAME", help="Which of its contexts.  [default: the current one]"),
        click.option("--hub", default="", metavar="FILE[:CONTEXT]", help="The hub, as for `serve`; with rights to write there."),
        click.option("--namespace", default="isthmus-system", show_default=True, help="In the member and in the hub."),
        click.option("--dry-run", is_flag=True, help="Change nothing, say what would be."),
    )
    decorated: Any = command
    for option in (*reversed(options), name):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return] # click's decorators keep the function


@clusters.command(short_help="Make a cluster a member.")
@click.option("--kubeconfig", "file", type=FILE, required=True, metavar="FILE", help="How you reach it, as an administrator.")
@_names_cluster
@click.option("--server", default="", metavar="URL", help="Where the control plane reaches it, if not there.")
@click.option("--mcs", is_flag=True, help="With the rights that `serve --mcs` needs.")
@click.option("--region", default="", help="Where the cluster is; this and the next two make a MemberCluster.")
@click.option("--zones", default="", metavar="A,B", help="The zones that it spans.")
@click.option("--network", default="", help="Clusters of one network reach each other's pods.")
@output_option("lines", "yaml")
def join(*, output: str, **options: Any) -> None:
    """Make a cluster a member: an account with a token there, which may only read, and a Secret in the hub that holds it.

    Without --hub the Secret is printed, token and all, for you to apply. A second join changes nothing, unless its
    options do. `--dry-run -o yaml` prints every object and asks no cluster.
    """
    from xds.discovery.remote.join import planned
    from xds.discovery.remote.objects import Joining

    member, hub = _places(**options)
    assert member is not None
    zones = tuple(zone for zone in options["zones"].split(",") if zone)
    keys = ("name", "namespace", "mcs", "region", "network")
    joining = Joining(**{key: options[key] for key in keys}, zones=zones)
    if options["dry_run"] and output == "yaml":
        _print_plan(joining, member, hub, *planned(joining, member, server=options["server"]))
    else:
        asyncio.run(_join(joining, member, hub, server=options["server"], is_dry=options["dry_run"], as_yaml=output == "yaml"))


@clusters.command(short_help="Undo a join.")
@click.option("--kubeconfig", "file", type=FILE, metavar="FILE", help="How you reach the cluster; without it, it keeps its part.")
@_names_cluster
def leave(*, dry_run: bool, **options: Any) -> None:
    """Delete what `clusters join` has made, in the hub and then in the cluster, and nothing else.

    Objects without the label app.kubernetes.io/managed-by=xdsctl stay, and so does a namespace with other things in it.
    """
    from xds.discovery.remote.join import leave as undo
    from xds.discovery.remote.objects import Joining
    from xds.discovery.remote.target import Outcome

    if not (options["hub"] or options["file"]):
        raise click.UsageError("say where to delete: --hub FILE, --kubeconfig FILE, or both", click.get_current_context())
    member, hub = _places(**options)
    joining = Joining(options["name"], options["namespace"], mcs=True)
    outcomes = asyncio.run(undo(joining, member, hub, lambda *told: _tell(*told, is_dry=dry_run), is_dry=dry_run))
    if Outcome.DELETED not in outcomes:
        note(f"nothing there is of a join of cluster {joining.name}")
    elif dry_run:
        note("nothing was changed")
    elif member is None:
        note(f"cluster {joining.name} keeps the account and its token; `--kubeconfig FILE` deletes them, too")
    elif hub is None:
        note(f"if the hub registers cluster {joining.name}, it still does; `--hub FILE` ends that, too")
    else:
        note(f"cluster {joining.name} has left")


def _places(*, name: str, file: Path | None, context: str, hub: str, **_: Any) -> tuple[Place | None, Place | None]:
    from xds.discovery.live.kubeconfig import Context, hub_context
    from xds.discovery.remote.target import Place, current_context

    member = Place(f"cluster {name}", Context(name, file, current_context(file, context))) if file else None
    return member, Place("the hub", hub_context(hub)) if hub else None


async def _join(joining: Joining, member: Place, hub: Place | None, *, server: str, is_dry: bool, as_yaml: bool) -> None:
    from xds.discovery.remote.join import join as make
    from xds.discovery.remote.target import Outcome

    prints_objects = as_yaml or (hub is None and not is_dry)

    def tell(*told: Any) -> None:
        _tell(*told, is_dry=is_dry, to_stderr=prints_objects)

    done = await make(joining, member, hub, tell, server=server, is_dry=is_dry)
    if prints_objects:
        _print_objects(done.hub, shows_token=hub is None)
    _warn_of_server(joining, member, server)
    if is_dry:
        note("nothing was changed, and no token made" if Outcome.CREATED in done.outcomes else "nothing was changed")
    elif hub is None:
        note("this Secret holds a token: apply it in the hub (kubectl apply -f -), and keep it nowhere else")
    elif {*done.outcomes} == {Outcome.UNCHANGED}:
        note(f"cluster {joining.name} was joined already, nothing has changed")
    else:
        note(f"cluster {joining.name} is joined; a control plane with `--hub` takes it up by itself")


def _tell(where: str, what: str, outcome: Outcome, *, is_dry: bool, to_stderr: bool = False) -> None:
    would = "would be " if is_dry and outcome in ("created", "changed", "deleted") else ""
    say(f"{where}: {what}: {would}{outcome}", to_stderr=to_stderr)


def _warn_of_server(joining: Joining, member: Place, server: str) -> None:
    from urllib.parse import urlsplit

    from xds.discovery.remote.target import cluster_of

    url = server or cluster_of(member.context)["server"]
    if urlsplit(url).netloc.startswith(LOOPBACK):
        note(f"warning: {url} leads to cluster {joining.name} on this machine alone; --server URL says where others reach it")


def _print_plan(joining: Joining, member: Place, hub: Place | None, there: list[Any], registering: list[Any]) -> None:
    from xds.discovery.remote.join import NO_TOKEN

    say(f"# In cluster {joining.name}, context {member.context.name} of {member.context.file}:")
    _print_objects(there)
    say(f"# In the hub, {f'context {hub.context.name} of {hub.context.file}' if hub else 'wherever that is'}:")
    _print_objects(registering, shows_token=True)
    note(f"nothing was asked or changed; there is no token yet, {NO_TOKEN.strip('()').replace('made', 'it is made')}")


def _print_objects(items: list[Any], *, shows_token: bool = False) -> None:
    import base64

    import yaml

    class Dumper(yaml.CSafeDumper):
        """Writes a text of several lines as such."""

    Dumper.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, "|" * ("\n" in text)))
    for item in items:
        shown = dict(item)
        if secrets := shown.pop("data", None):
            text = base64.b64decode(secrets["kubeconfig"]).decode()
            shown["stringData"] = {"kubeconfig": text if shows_token else "[redacted]"}
        say(f"---\n{yaml.dump(shown, Dumper=Dumper, sort_keys=False, width=1_000_000).rstrip()}")
