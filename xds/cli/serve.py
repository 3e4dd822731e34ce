"""`xdsctl serve`: the control plane as a process."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from xds.cli.options import ADMIN_ADDRESS, XDS_ADDRESS, Address
from xds.cli.output import count_services, note, plural
from xds.errors import XdsError

if TYPE_CHECKING:
    from xds.app import ControlPlane
    from xds.config import Config

_STOPS = (signal.SIGINT, signal.SIGTERM)


@click.command()
@click.option("--clusters", type=click.Path(path_type=Path), metavar="DIR", help="A directory of manifests for each cluster.")
@click.option(
    "--kubeconfig",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Live clusters: each context is one. May be given again.",
)
@click.option("--context", multiple=True, metavar="NAME", help="Only this context of the kubeconfigs. May be given again.")
@click.option(
    "--hub",
    metavar="FILE[:CONTEXT]",
    help="Clusters that are registered there, by objects of any system; `in-cluster` for the cluster that we run in.",
)
@click.option(
    "--state-directory",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Save what is read of live clusters there, for a start while some are down.",
)
@click.option(
    "--mcs",
    multiple=True,
    metavar="CLUSTER",
    help="Write ServiceImports and conditions of exports in this live cluster; '*' for all. May be given again.",
)
@click.option(
    "--mcs-range",
    multiple=True,
    metavar="CIDR",
    help="Take the addresses of ServiceImports from this range, one for a family, not from Services.",
)
@click.option("--config", "file", type=click.Path(path_type=Path), metavar="FILE", help="YAML with `apiVersion: xds/v1`.")
@click.option("--xds-address", type=Address(XDS_ADDRESS, unix=True), help=f"Where proxies connect.  [default: {XDS_ADDRESS}]")
@click.option("--xds-tls-cert", type=click.Path(path_type=Path), metavar="FILE", help="Serve xDS over TLS with this PEM chain.")
@click.option("--xds-tls-key", type=click.Path(path_type=Path), metavar="FILE", help="The chain's private key.")
@click.option(
    "--xds-client-ca", type=click.Path(path_type=Path), metavar="FILE", help="Roots that proxies' certificates must have."
)
@click.option("--insecure", is_flag=True, default=None, help="Allow plain text on addresses that others can reach.")
@click.option("--admin-address", type=Address(ADMIN_ADDRESS), help=f"Where the admin API is.  [default: {ADMIN_ADDRESS}]")
@click.option("--dns-address", type=Address("127.0.0.1:1053"), help="Answer names of the cluster set there (DNS).")
@click.option("--dns-cluster", metavar="NAME", help="The cluster whose clients ask there.  [default: the only one]")
@click.option("--log-level", type=click.Choice(("debug", "info", "warning", "error")), help="[default: info]")
@click.option("--log-format", type=click.Choice(("auto", "console", "json")), help="[default: auto, console on a terminal]")
def serve(file: Path | None, **flags: object) -> None:
    """Run the control plane on live clusters, or on a directory of manifests, until Ctrl-C.

    SIGTERM first sends the proxies to other replicas, one after the other; a second signal stops at once.
    Flags win over XDS_... variables, those over the file, and the file over the defaults. Manifests and
    certificates may change at any time.
    """
    from xds.cli.log import logged
    from xds.config import MissingSettingError, load

    keys = {
        "clusters": "clusters",
        "kubeconfig": "kubeconfig",
        "context": "context",
        "hub": "hub",
        "mcs": "mcs",
        "mcs_range": "mcsRange",
        "state_directory": "stateDirectory",
        "xds_address": "xdsAddress",
        "admin_address": "adminAddress",
    }
    keys |= {"xds_tls_cert": "xdsTlsCert", "xds_tls_key": "xdsTlsKey", "xds_client_ca": "xdsClientCa", "insecure": "insecure"}
    keys |= {"dns_address": "dns.address", "dns_cluster": "dns.cluster"}
    keys |= {"log_level": "log.level", "log_format": "log.format"}
    try:
        config = load(file, os.environ, {key: flags[flag] or None for flag, key in keys.items()})
    except MissingSettingError as error:
        raise click.UsageError(str(error), click.get_current_context()) from error
    is_console = config.log_format == "console" or (config.log_format == "auto" and sys.stderr.isatty())
    with logged(config, is_console=is_console):
        asyncio.run(_serve(config, is_console=is_console))
    note("stopped")


async def _serve(config: Config, *, is_console: bool) -> None:
    from xds.garbage import postponed, tend

    with postponed():
        from xds.app import ControlPlane

    plane = ControlPlane(config)
    try:
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(plane.run(_announce if is_console else _log_ready))
            stopping = tasks.create_task(_stop_when_told(plane, is_console=is_console))
            tending = tasks.create_task(tend())
            await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
            for task in (serving, stopping, tending):
                task.cancel()
    except ExceptionGroup as group:
        if error := _expected(group):
            raise error from None
        raise


async def _stop_when_told(plane: ControlPlane, *, is_console: bool) -> None:
    """Return when it is time to stop: at once after Ctrl-C, after SIGTERM once every proxy is sent elsewhere."""
    loop = asyncio.get_running_loop()
    told: asyncio.Queue[signal.Signals] = asyncio.Queue()
    for name in _STOPS:
        loop.add_signal_handler(name, told.put_nowait, name)
    if await told.get() is signal.SIGTERM and plane.open_streams and plane.config.drain_window_s:
        _tell_draining(plane, is_console=is_console)
        async with asyncio.TaskGroup() as tasks:
            waits = [tasks.create_task(plane.drain()), tasks.create_task(told.get())]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
    for name in _STOPS:  # one more signal ends us without any grace
        loop.remove_signal_handler(name)


def _tell_draining(plane: ControlPlane, *, is_console: bool) -> None:
    import structlog

    streams, window_s = plane.open_streams, plane.config.drain_window_s
    if is_console:
        note(f"draining {plural(streams, 'stream')} over {window_s:g} s; Ctrl-C stops at once")
    else:
        structlog.get_logger().info("draining", streams=streams, window_s=window_s)


def _expected(group: ExceptionGroup[Exception]) -> XdsError | None:
    """Return the error to tell the user, if it is all that is in the group."""
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup) and len(found.exceptions) == 1:
        found = found.exceptions[0]
    return found if isinstance(found, XdsError) else None


def _announce(plane: ControlPlane) -> None:
    own = sum(1 for key in plane.services if key.scope)
    services = count_services(own, len(plane.services) - own)
    problems = len(plane.problems())
    xds = "" if plane.xds_address == XDS_ADDRESS else f" --xds-address {plane.xds_address}"
    admin = "" if plane.admin_address == ADMIN_ADDRESS else f" --admin-address {plane.admin_address}"
    note(f"serving xDS on {plane.xds_address}, the admin API on {plane.admin_address}; Ctrl-C stops")
    if plane.dns_address:
        note(f"answering clusterset.local for cluster {plane.dns_cluster} on {plane.dns_address}, UDP and TCP")
    note(f"{plane.read_from}: {plural(len(plane.members), 'cluster')}, {services}, {plural(problems, 'problem')}")
    if problems:
        note(f"what is wrong:   xdsctl problems{admin}")
    node = f"--node web-1 --cluster {min(plane.members, default='CLUSTER')}"
    note(f"start an Envoy:  xdsctl bootstrap {node}{xds}{_tls_flags(plane.config)} > envoy.yaml && envoy -c envoy.yaml")
    note(f"then look at it: xdsctl proxies{admin}")


def _tls_flags(config: Config) -> str:
    """Return what a proxy's bootstrap needs; where its files are, only the user knows."""
    if not config.xds_tls_cert:
        return ""
    return " --xds-ca FILE" + (" --xds-cert FILE --xds-key FILE" if config.xds_client_ca else "")


def _log_ready(plane: ControlPlane) -> None:
    import structlog

    structlog.get_logger().info(
        "ready",
        xds_address=plane.xds_address,
        admin_address=plane.admin_address,
        **({"dns_address": plane.dns_address, "dns_cluster": plane.dns_cluster} if plane.dns_address else {}),
        members=len(plane.members),
        services=len(plane.services),
        problems=len(plane.problems()),
    )
