"""The API server of the cluster that we run in: as Kubernetes tells every pod of it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from xds.discovery.live.access import Credentials, FileAccess
from xds.discovery.live.kubeconfig import hub_context
from xds.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xds.discovery.live.access import Access

IN_CLUSTER: Final = "in-cluster"
HOST, PORT = "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"
SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where the kubelet puts the token and the roots, unless a pod has a projected volume of its own."""


@dataclass(frozen=True, slots=True)
class InClusterAccess:
    """By the service account of our pod, whose token the kubelet replaces from time to time.

    Args:
        environment: e.g. `os.environ`; says where the API server is.
        directory: has the files `token` and `ca.crt`.
    """

    environment: Mapping[str, str]
    directory: Path = SERVICE_ACCOUNT

    async def credentials(self) -> Credentials:
        """Return what is told now.

        Raises:
            ConfigurationError: this is no pod, or it has no service account's token.
        """
        return await asyncio.to_thread(self._read)

    @property
    def origin(self) -> str:
        """The directory of the service account."""
        return f"the service account in {self.directory}"

    def _read(self) -> Credentials:
        host, port = self.environment.get(HOST, ""), self.environment.get(PORT, "443")
        if not host:
            raise ConfigurationError(f"hub: {HOST} is not set, so this is no pod; name a kubeconfig with --hub FILE[:CONTEXT]")
        try:
            token, roots = (self.directory / "token").read_text().strip(), (self.directory / "ca.crt").read_bytes()
        except OSError as error:
            hint = "set automountServiceAccountToken, or name another directory with --hub in-cluster:DIR"
            raise ConfigurationError(f"hub: cannot read {error.filename}: {error.strerror}; {hint}") from error
        server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
        content = {
            "clusters": [
                {
                    "name": IN_CLUSTER,
                    "cluster": {"server": server, "certificate-authority-data": base64.b64encode(roots).decode()},
                }
            ],
            "users": [{"name": IN_CLUSTER, "user": {"token": token}}],
            "contexts": [{"name": IN_CLUSTER, "context": {"cluster": IN_CLUSTER, "user": IN_CLUSTER}}],
        }
        digest = hashlib.blake2b(f"{server}\0{token}\0".encode() + roots, digest_size=16).digest()
        return Credentials(content, IN_CLUSTER, digest)


def hub_access(text: str, environment: Mapping[str, str]) -> Access:
    """Return how the hub is reached: `in-cluster[:DIRECTORY]`, or `KUBECONFIG[:CONTEXT]`.

    Raises:
        ConfigurationError: the file cannot be used, or has no such context.
    """
    name, _, directory = text.partition(":")
    if name == IN_CLUSTER and not Path(text).exists():
        return InClusterAccess(environment, Path(directory) if directory else SERVICE_ACCOUNT)
    return FileAccess(hub_context(text))
