"""`xdsctl`: the group of all commands, each imported when it is called, and the exit codes.

Exit codes: 0 done · 1 failed, degraded or different · 2 the control plane cannot be reached · 64 wrong usage · 65 bad
input (a file, a directory, or a name that does not exist) · 79 `validate` found errors, or with
`--strict` warnings.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import click

from xds._version import __version__
from xds.cli.output import note, suggestion
from xds.errors import ConfigurationError, NodeRejectedError, XdsError

if TYPE_CHECKING:
    from collections.abc import Callable

FAILED, UNREACHABLE, USAGE, BAD_INPUT, ISSUES_FOUND = 1, 2, 64, 65, 79

COMMANDS: dict[str, tuple[str, str]] = {
    "serve": ("xds.cli.serve:serve", "Run the control plane on live clusters, or on a directory of manifests."),
    "demo": ("xds.cli.demo.command:demo", "Two clusters, real Envoys, and a failover, in under a minute."),
    "validate": ("xds.cli.validate:validate", "Check a directory of clusters and print what is wrong."),
    "translate": ("xds.cli.translate:translate", "Print what a node would be given, from files alone."),
    "bootstrap": ("xds.cli.bootstrap:bootstrap", "Print the bootstrap of an Envoy or of a gRPC client."),
    "status": ("xds.cli.fleet:status", "Summarise a running control plane."),
    "clusters": ("xds.cli.join:clusters", "List the member clusters, join one, let one leave."),
    "check": ("xds.cli.check:check", "Look whether clusters can be members: reachability, rights, APIs, certificates."),
    "analyze": ("xds.cli.analyze:analyze", "Say what would change for who comes from KubeFed, Karmada, Flomesh or Istio."),
    "services": ("xds.cli.services:services", "List services, their ports, addresses and exports."),
    "describe": ("xds.cli.describe:describe", "Tell all that is known of a cluster or a service."),
    "explain": ("xds.cli.explain:explain", "Say why requests to a service go where they go."),
    "simulate": ("xds.cli.simulate:simulate", "Say what would become of requests if something failed or were changed."),
    "drain": ("xds.cli.drain:drain", "Have a cluster, zone or region get no requests."),
    "undrain": ("xds.cli.drain:undrain", "Have it get its requests back."),
    "gate": ("xds.cli.gate:gate", "Open and close tiers of policies whose gate is Manual."),
    "policy": ("xds.cli.policy:policy", "Print the tiers that strategies stand for."),
    "problems": ("xds.cli.problems:problems", "List what is wrong, with remedies."),
    "proxies": ("xds.cli.proxies:proxies", "List connected proxies and whether they accepted what they were sent."),
    "nacks": ("xds.cli.nacks:nacks", "List what proxies rejected, the objects it comes from, and their words."),
    "endpoints": ("xds.cli.endpoints:endpoints", "List the endpoints that a node is given, by priority."),
    "loads": ("xds.cli.loads:loads", "List how many requests clients sent where, as they report it."),
    "snapshot": ("xds.cli.snapshot:snapshot", "Show, compare and trace what proxies are given."),
    "version": ("xds.cli.fleet:version", "Print the versions of xdsctl and of the control plane."),
    "completion": ("xds.cli.completion:completion", "Print the completion script of a shell."),
}
"""Name -> (where the command is, its help in one line): `xdsctl --help` imports none of them."""

ALIASES = {"ps": "proxies", "svc": "services", "eps": "endpoints"}

ELSEWHERE = {
    "get": "`clusters`, `services`, `proxies`, `endpoints NODE` and `problems` list things, with -o json or yaml",
}
"""Names that people bring from other tools -> what to use."""


class LazyCommands(click.Group):
    """A group that imports a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names, in the order in which people meet them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import a command."""
        found = COMMANDS.get(ALIASES.get(cmd_name, cmd_name))
        if found is None:
            return None
        module, _, name = found[0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments begin with.

        Raises:
            UsageError: there is none; the text says what comes close.
        """
        name = args[0]
        if self.get_command(ctx, name) or name.startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        hint = ELSEWHERE.get(name) or suggestion(name, (*COMMANDS, *ALIASES), "`xdsctl --help` lists them")
        raise click.UsageError(f"no command {name!r}; {hint}", ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the list of commands, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Run, and exit with the code that says how it went."""
        kwargs["standalone_mode"] = False
        sys.exit(_exit_code(lambda: super(LazyCommands, self).main(*args, **kwargs)))


def _exit_code(run: Callable[[], Any]) -> int:
    try:
        return run() or 0
    except click.UsageError as error:
        error.show()
        return USAGE
    except click.ClickException as error:
        error.show()
        return FAILED
    except XdsError as error:
        note(f"Error: {error}")
        return getattr(error, "exit_code", BAD_INPUT if isinstance(error, (ConfigurationError, NodeRejectedError)) else FAILED)
    except (KeyboardInterrupt, click.Abort):
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # Whoever read our output has gone, e.g. `| head`; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


@click.command(cls=LazyCommands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, message="%(prog)s %(version)s")
def main() -> None:
    """Isthmus: an xDS control plane for services that span several Kubernetes clusters.

    Commands that ask a running control plane take --admin-address (default 127.0.0.1:19000, or XDS_ADMIN_ADDRESS).
    Everything for machines goes to stdout, everything else to stderr.
    """
