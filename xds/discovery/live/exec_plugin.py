"""Credentials by a program (`exec` of a kubeconfig's user): the client authentication API of Kubernetes, v1 and v1beta1.

`kubernetes.aio` has it, too, but tells the program nothing of the cluster, which those for ClusterProfiles need (KEP-4322),
takes no client certificates from it, and waits for it for ever.
https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
"""

from __future__ import annotations

import asyncio
import base64
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from xds.errors import ConfigurationError
from xds.undecodable import UNDECODABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

LIMIT_S: Final = 30.0
GROUP: Final = "client.authentication.k8s.io"
TOLD: Final = ("server", "tls-server-name", "insecure-skip-tls-verify", "certificate-authority-data", "proxy-url")
"""What a program may be told of the cluster, beside its own configuration."""


class _Credentials(msgspec.Struct, rename="camel"):
    token: str = ""
    client_certificate_data: str = ""
    client_key_data: str = ""


class _Answer(msgspec.Struct, rename="camel"):
    api_version: str
    kind: str
    status: _Credentials


async def run_plugin(plugin: Mapping[str, Any], cluster: Mapping[str, Any], base_path: str = "") -> dict[str, Any]:
    """Return what a user of a kubeconfig is authenticated by, with the credentials that a program gives.

    Args:
        plugin: `exec` of the user.
        cluster: the cluster of the kubeconfig.
        base_path: where relative paths begin.

    Raises:
        ConfigurationError: the program cannot be run, fails, takes too long, or gives no credentials.
    """
    command, version = plugin.get("command"), str(plugin.get("apiVersion", ""))
    if not isinstance(command, str) or not command or not version.startswith(f"{GROUP}/"):
        raise ConfigurationError(f"exec: command and apiVersion are needed, the latter of the group {GROUP}")
    spec: dict[str, Any] = {"interactive": False}
    if plugin.get("provideClusterInfo"):
        spec["cluster"] = _told(cluster, base_path)
    asked = {"apiVersion": version, "kind": "ExecCredential", "spec": spec}
    environment = {one["name"]: str(one["value"]) for one in plugin.get("env") or ()}
    output = await _output(
        [_program(command, base_path), *map(str, plugin.get("args") or ())],
        {**os.environ, **environment, "KUBERNETES_EXEC_INFO": msgspec.json.encode(asked).decode()},
    )
    try:
        answer = msgspec.json.decode(output, type=_Answer)
    except UNDECODABLE as error:
        raise ConfigurationError(f"the plugin {command!r} answers something else than an ExecCredential: {error}") from error
    if (answer.api_version, answer.kind) != (version, "ExecCredential"):
        told = f"{answer.kind} of {answer.api_version}"
        raise ConfigurationError(f"the plugin {command!r} answers with a {told}; asked for was an ExecCredential of {version}")
    found = answer.status
    if not found.token and not (found.client_certificate_data and found.client_key_data):
        raise ConfigurationError(f"the plugin {command!r} gives no credentials")
    pem = {"client-certificate-data": found.client_certificate_data, "client-key-data": found.client_key_data}
    user = {"token": found.token, **{key: base64.b64encode(text.encode()).decode() for key, text in pem.items()}}
    return {key: value for key, value in user.items() if value}


async def _output(command: list[str], environment: dict[str, str]) -> bytes:
    """Return what a program prints; it does not outlive the question."""
    name = command[0]
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"the plugin {name!r} cannot be run: {error}") from error
    try:
        async with asyncio.timeout(LIMIT_S):
            output, errors = await process.communicate()
    except TimeoutError as error:
        raise ConfigurationError(f"the plugin {name!r} did not answer within {LIMIT_S:.0f} s") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        last = errors.decode(errors="replace").strip().splitlines()[-1:] or ["it says nothing"]
        raise ConfigurationError(f"the plugin {name!r} gives no credentials: it ends with {process.returncode}: {last[0][:300]}")
    return output


def _told(cluster: Mapping[str, Any], base_path: str) -> dict[str, Any]:
    found = {key: cluster[key] for key in TOLD if cluster.get(key)}
    file = cluster.get("certificate-authority")
    if isinstance(file, str) and file and "certificate-authority-data" not in found:
        try:
            found["certificate-authority-data"] = base64.b64encode(Path(base_path, file).read_bytes()).decode()
        except OSError as error:
            raise ConfigurationError(f"certificate-authority {file}: {error.strerror or error}") from error
    extensions = cluster.get("extensions")
    for one in extensions if isinstance(extensions, list) else ():
        if isinstance(one, dict) and one.get("name") == f"{GROUP}/exec":
            found["config"] = one.get("extension")
    return found


def _program(command: str, base_path: str) -> str:
    """Return what to run: a path with a slash begins where the kubeconfig is, a bare name is looked for in PATH."""
    return str(Path(base_path, command)) if "/" in command else command
