"""The command lines of a cluster's parts, as short as these parts work with."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

CONTROLLERS = (
    "endpointslice-controller",
    "namespace-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "garbage-collector-controller",
)
"""Not among them is what would take the pods of nodes without a kubelet for lost."""


def etcd(program: Path, data: Path, *, client_url: str, peer_url: str) -> tuple[str, ...]:
    """Return the command of a single etcd."""
    return (
        str(program),
        f"--data-dir={data}",
        f"--listen-client-urls={client_url}",
        f"--advertise-client-urls={client_url}",
        f"--listen-peer-urls={peer_url}",
        f"--initial-advertise-peer-urls={peer_url}",
        f"--initial-cluster=default={peer_url}",
        "--unsafe-no-fsync",  # what it holds ends with the tests
    )


def api_server(
    program: Path, *, etcd_url: str, port: int, certificates: Path, services: str, key: Path, tokens: Path
) -> tuple[str, ...]:
    """Return the command of an API server on 127.0.0.1.

    Args:
        program: the binary.
        etcd_url: of its etcd.
        port: where it serves.
        certificates: where it keeps the certificate that it makes for itself.
        services: the range of service addresses.
        key: PEM, of the tokens of service accounts.
        tokens: CSV, users with fixed tokens.
    """
    return (
        str(program),
        f"--etcd-servers={etcd_url}",
        f"--secure-port={port}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",  # by default that of the default route, which there may not be
        f"--cert-dir={certificates}",
        f"--service-cluster-ip-range={services}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        f"--token-auth-file={tokens}",
        "--authorization-mode=RBAC",
        "--disable-admission-plugins=ServiceAccount",  # nothing runs in the pods that would need a token
        "--endpoint-reconciler-type=none",
    )


def controller_manager(program: Path, *, kubeconfig: Path, key: Path) -> tuple[str, ...]:
    """Return the command of a controller manager; `key` signs the tokens of service accounts."""
    return (
        str(program),
        f"--kubeconfig={kubeconfig}",
        f"--controllers={','.join(CONTROLLERS)}",
        f"--service-account-private-key-file={key}",
        "--leader-elect=false",
        "--secure-port=0",
    )
