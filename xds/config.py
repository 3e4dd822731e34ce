"""The server's configuration, in layers: defaults < file < environment < flags.

The file is YAML with `apiVersion: xds/v1`; its keys are the ones below, nested at the dots. An environment variable is named
after its key: `XDS_ADMIN_ADDRESS`, `XDS_BATCH_QUIET_SECONDS`, and `XDS_ADDRESS` for `xdsAddress`. Other variables that begin
with `XDS_` are left alone: Kubernetes itself sets some for a Service named `xds`.
"""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import msgspec
import yaml
from msgspec import Meta, field

from xds.errors import ConfigurationError
from xds.ranges import parsed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

API_VERSION = "xds/v1"

Seconds = Annotated[float, Meta(ge=0, le=86_400)]
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "console", "json"]


class MissingSettingError(ConfigurationError):
    """A setting without a default was given nowhere."""


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The effective configuration."""

    clusters: Path | None = None
    """Directory of manifests, one directory a cluster. In the file, relative to the file."""
    kubeconfigs: tuple[Path, ...] = field(name="kubeconfig", default=())
    """Kubeconfigs of live clusters; in the environment separated as in `PATH`, in the file one or a list."""
    contexts: tuple[str, ...] = field(name="context", default=())
    """Which of their contexts are members; all if none is named. In the environment separated by commas."""
    hub: str | None = None
    """`KUBECONFIG[:CONTEXT]` of the API server whose registries name further members, or `in-cluster[:DIRECTORY]`."""
    plugins: dict[str, dict[str, Any]] = field(name="registry.plugins", default={})
    """Access provider of ClusterProfiles -> `exec` of a kubeconfig's user: what gives credentials for it. In the file alone."""
    mcs: tuple[str, ...] = ()
    """Live clusters in which the MCS API's imports and conditions are written; `*` for all. In the environment with commas."""
    mcs_range: tuple[str, ...] = field(name="mcsRange", default=())
    """Where their clusterset IPs are from, a CIDR of each family; none: they are ClusterIPs. In the environment with commas."""
    xds_address: str = field(name="xdsAddress", default="127.0.0.1:18000")
    """Where proxies connect: `HOST:PORT`, `[IPV6]:PORT` or `unix:/PATH`."""
    xds_tls_cert: Path | None = field(name="xdsTlsCert", default=None)
    """Certificate chain of the xDS server in PEM; without one it speaks plain text. Read anew as we run, like the next two."""
    xds_tls_key: Path | None = field(name="xdsTlsKey", default=None)
    """Its private key in PEM."""
    xds_client_ca: Path | None = field(name="xdsClientCa", default=None)
    """Roots of the proxies' certificates in PEM; with them, a proxy without such a certificate is refused."""
    insecure: bool = False
    """Whether plain text may be served on other addresses than loopback and Unix sockets."""
    admin_address: str = field(name="adminAddress", default="127.0.0.1:19000")
    """Where xdsctl and Prometheus connect: `HOST:PORT` or `[IPV6]:PORT`."""
    state_directory: Path | None = field(name="stateDirectory", default=None)
    """Where what was read of live clusters is saved, for a start while some cannot be reached. In the file, relative to it."""
    guard_share: Annotated[float, Meta(gt=0, le=1)] = field(name="guard.share", default=0.5)
    """Of a live cluster's services, that may lose all endpoints within a minute; the loss of more is held."""
    guard_delay_s: Seconds = field(name="guard.delaySeconds", default=600.0)
    """How long it is held unless it is confirmed."""
    demote_after_s: Seconds | None = field(name="stale.demoteAfterSeconds", default=None)
    """After how long without news of a live cluster its endpoints are DEGRADED for clients of other clusters; None: never."""
    remove_after_s: Seconds | None = field(name="stale.removeAfterSeconds", default=None)
    """After how long they are left out there, and the cluster is Lost; None: never."""
    dns_address: str | None = field(name="dns.address", default=None)
    """Where names of the cluster set are answered (DNS): `HOST:PORT` or `[IPV6]:PORT`; None: nowhere."""
    dns_cluster: str | None = field(name="dns.cluster", default=None)
    """The member whose clients ask there; None: the only one."""
    start_wait_s: Seconds = field(name="startWaitSeconds", default=60.0)
    """How long live clusters that answer may take to tell everything before proxies are served what there is."""
    quiet_s: Seconds = field(name="batch.quietSeconds", default=0.05)
    """A batch is built once nothing has changed for so long, or for as long as the last one took; endpoints do not wait."""
    max_delay_s: Seconds = field(name="batch.maxDelaySeconds", default=0.5)
    """A batch is built at the latest so long, or as long as the last one took, after its first change."""
    view_idle_s: Seconds = field(name="viewIdleSeconds", default=60.0)
    """How long a view without proxies is kept up to date."""
    max_receive_bytes: Annotated[int, Meta(ge=65_536)] = field(name="maxReceiveBytes", default=32 * 1024 * 1024)
    """The largest request; a delta proxy that reconnects names everything that it holds."""
    first_syncs: Annotated[int, Meta(ge=1, le=10_000)] = field(name="admission.firstSyncs", default=64)
    """How many proxies are written their first configuration at once; others wait for their turn."""
    max_age_s: Seconds = field(name="connection.maxAgeSeconds", default=36_000.0)
    """Age at which proxies are asked to connect anew, so that they spread over replicas; up to 10 % more for each; 0: never."""
    drain_window_s: Annotated[float, Meta(ge=0, le=3_600)] = field(name="drain.windowSeconds", default=20.0)
    """Over how long proxies are sent to other replicas after SIGTERM. A pod needs a grace period of 10 s more."""
    load_interval_s: Annotated[float, Meta(ge=1, le=86_400)] = field(name="loads.intervalSeconds", default=10.0)
    """How often clients report how many requests they sent where (LRS)."""
    quarantine: bool = False
    """Whether what three nodes of a view reject and none accepts is taken from all nodes of the view."""
    log_format: LogFormat = field(name="log.format", default="auto")
    """`auto`: `console` on a terminal, else `json`."""
    log_level: LogLevel = field(name="log.level", default="info")


_KEYS = tuple(found.encode_name for found in msgspec.structs.fields(Config))
_PATHS = ("clusters", "kubeconfig", "stateDirectory", "xdsTlsCert", "xdsTlsKey", "xdsClientCa")
_LISTS = {"kubeconfig": os.pathsep, "context": ",", "mcs": ",", "mcsRange": ","}
"""Keys that have several values -> what separates them in one text."""
POD = "KUBERNETES_SERVICE_HOST"
"""The variable by which a pod knows that it is one: then the hub is its own API server, if nothing else is to be read."""
_TREE = {prefix for key in _KEYS for prefix in (key.partition(".")[0],) if prefix != key}


def load(file: Path | None, environment: Mapping[str, str], flags: Mapping[str, Any]) -> Config:
    """Return the effective configuration.

    Args:
        file: the configuration file, if there is one.
        environment: e.g. `os.environ`.
        flags: key -> value of the flags that were given; None counts as not given.

    Raises:
        ConfigurationError: an unknown key or a bad value; says in which layer and what is expected.
        MissingSettingError: a setting without default is in no layer.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    layers = [_from_file(file)] if file else []
    layers += [
        _from_environment(environment),
        [(key, value, flag_name(key)) for key, value in flags.items() if value is not None],
    ]
    for layer in layers:
        for key, value, origin in layer:
            values[key], origins[key] = value, origin
    if not (values.get("clusters") or values.get("kubeconfig") or values.get("hub")):
        if not environment.get(POD):
            hint = "say where their manifests are with --clusters DIR, or how to reach them with --kubeconfig FILE or --hub FILE"
            raise MissingSettingError(f"no clusters: {hint}")
        values["hub"] = "in-cluster"
    try:
        config = msgspec.convert(values, Config, strict=False, dec_hook=_path)
    except msgspec.ValidationError as error:
        raise ConfigurationError(_sentence(error, values, origins)) from None
    if config.quiet_s > config.max_delay_s:
        where = origins.get("batch.quietSeconds") or origins["batch.maxDelaySeconds"]
        raise ConfigurationError(
            f"{where}: batch.quietSeconds ({config.quiet_s:g}) is above batch.maxDelaySeconds ({config.max_delay_s:g})"
        )
    if config.contexts and not config.kubeconfigs:
        raise ConfigurationError(
            f"{origins['context']}: context chooses among those of a kubeconfig; give one with --kubeconfig FILE"
        )
    _check_range(config, origins)
    _check_addresses(config)
    _check_tls(config, origins)
    return config


def environment_name(key: str) -> str:
    """Return the name of a key's environment variable."""
    words = re.sub(r"(?=[A-Z])", "_", key.replace(".", "_")).upper()
    return f"XDS_{words.removeprefix('XDS_')}"


def flag_name(key: str) -> str:
    """Return the flag of a key, e.g. `--xds-address`."""
    return "--" + re.sub(r"(?=[A-Z])", "-", key.replace(".", "-")).lower()


def _from_environment(environment: Mapping[str, str]) -> list[tuple[str, Any, str]]:
    names = {key: environment_name(key) for key in _KEYS}
    given = {key: environment[name] for key, name in names.items() if environment.get(name)}
    return [(key, _several(text, _LISTS[key]) if key in _LISTS else text, names[key]) for key, text in given.items()]


def _several(text: str, separator: str) -> list[str]:
    """Return the values in a text; what is empty, as after a last separator, is none."""
    return [part.strip() for part in text.split(separator) if part.strip()]


def _from_file(file: Path) -> list[tuple[str, Any, str]]:
    try:
        loader = yaml.CSafeLoader(file.read_bytes())
        root = loader.get_single_node()
        found = [] if root is None else list(_flatten(loader, root, file, ""))
    except OSError as error:
        raise ConfigurationError(f"cannot read {file}: {error.strerror}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{file}:{mark.line + 1}" if mark else str(file)
        raise ConfigurationError(f"{place}: not YAML: {getattr(error, 'problem', None) or error}") from error
    versions = [value for key, value, _ in found if key == "apiVersion"]
    if versions != [API_VERSION]:
        raise ConfigurationError(f"{file}: apiVersion must be {API_VERSION}, not {versions[0] if versions else 'missing'}")
    settings = [(key, value, origin) for key, value, origin in found if key != "apiVersion"]
    return [(key, _as_in_file(key, value, file), origin) for key, value, origin in settings]


def _flatten(loader: yaml.CSafeLoader, node: yaml.Node, file: Path, prefix: str) -> Iterator[tuple[str, Any, str]]:
    if not isinstance(node, yaml.MappingNode):
        raise ConfigurationError(f"{file}:{node.start_mark.line + 1}: {prefix.rstrip('.') or 'the file'} must be a mapping")
    seen: set[str] = set()
    for key_node, value_node in node.value:
        key, origin = f"{prefix}{key_node.value}", f"{file}:{key_node.start_mark.line + 1}"
        if key in seen:
            raise ConfigurationError(f"{origin}: {key!r} stands twice; keep one of them")
        seen.add(key)
        if key in _TREE:
            yield from _flatten(loader, value_node, file, f"{key}.")
        elif key in _KEYS or key == "apiVersion":
            yield key, _value(loader, value_node, origin), origin
        else:
            near = difflib.get_close_matches(key, (*_KEYS, *_TREE), n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(_KEYS)}"
            raise ConfigurationError(f"{origin}: unknown key {key!r}; {hint}")


def _value(loader: yaml.CSafeLoader, node: yaml.Node, origin: str) -> Any:
    try:
        return loader.construct_object(node, deep=True)
    except ValueError as error:  # e.g. `!!int x`, or a date in month 13
        raise ConfigurationError(f"{origin}: {error}") from None


def _check_range(config: Config, origins: Mapping[str, str]) -> None:
    if config.mcs_range and not config.mcs:
        raise ConfigurationError(f"{origins['mcsRange']}: mcsRange is for the clusters of mcs; say which with --mcs CLUSTER")
    try:
        parsed(config.mcs_range)
    except ValueError as error:
        raise ConfigurationError(f"{origins['mcsRange']}: mcsRange: {error}") from None


def _check_addresses(config: Config) -> None:
    """See whether the servers can listen at all: bound one after the other, they would blame another program."""
    servers = [("xDS", "--xds-address", config.xds_address), ("the admin API", "--admin-address", config.admin_address)]
    servers += [("DNS", "--dns-address", config.dns_address)] if config.dns_address else []
    places: dict[str, tuple[str, str]] = {}
    for name, flag, address in servers:
        place = address.replace("localhost:", "127.0.0.1:")
        if place in places and not place.endswith(":0"):
            other, other_flag = places[place]
            raise ConfigurationError(
                f"{other} and {name} cannot both be served on {place!r}; "
                f"give one of them another port, with {other_flag} or {flag}"
            )
        places[place] = (name, flag)


def _check_tls(config: Config, origins: Mapping[str, str]) -> None:
    given = {"xdsTlsCert": config.xds_tls_cert, "xdsTlsKey": config.xds_tls_key, "xdsClientCa": config.xds_client_ca}
    for key in ("xdsTlsCert", "xdsTlsKey"):
        if given[key] is None and any(given.values()):
            other = next(name for name, path in given.items() if path is not None)
            raise ConfigurationError(f"{origins[other]}: {other} needs {key} too; give it with {flag_name(key)} FILE")


def _as_in_file(key: str, value: Any, file: Path) -> Any:
    """Return a value of the file: one of several may stand alone, and paths begin where the file is."""
    if key in _LISTS:
        return [_as_path(key, one, file) for one in (value if isinstance(value, list) else [value])]
    return _as_path(key, value, file)


def _as_path(key: str, value: Any, file: Path) -> Any:
    return file.parent / value if key in _PATHS and isinstance(value, str) else value


def _path(kind: type, value: object) -> Any:
    if not isinstance(value, (str, Path)):
        raise ValueError(f"Expected a path, got `{type(value).__name__}`")  # noqa: TRY004 - msgspec adds the key to this one alone
    if "\0" in str(value):
        raise ValueError("Expected a path without NUL characters")
    return kind(value)


def _sentence(error: msgspec.ValidationError, values: Mapping[str, Any], origins: Mapping[str, str]) -> str:
    text, _, place = str(error).partition(" - at `$.")
    key, _, index = place.removesuffix("`").partition("[")
    index = index.rstrip("]")
    value = values[key][int(index)] if index.isdecimal() else values[key]
    wanted = (
        text.replace("`", "")
        .partition(", got ")[0]
        .replace(" | null", "")
        .replace("float", "a number")
        .replace("int", "an integer")
        .replace("bool", "true or false")
    )
    choices = get_args(next((found.type for found in msgspec.structs.fields(Config) if found.encode_name == key), None))
    if wanted.startswith("Invalid enum value"):
        wanted = f"use one of {', '.join(choices)}"
    return f"{origins[key]}: {key} is {value!r}; {wanted[:1].lower()}{wanted[1:]}"
