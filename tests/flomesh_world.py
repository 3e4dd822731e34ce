"""Flomesh's objects, for tests that need no files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fleet_world import make

if TYPE_CHECKING:
    from xds.model.objects import KubernetesObject

FSM, ERIE_CANAL = "multicluster.flomesh.io", "flomesh.io"
EAST, WEST, NORTH = "cn/a/default/east", "cn/b/default/west", "eu/default/default/north"


def exported(name: str = "pay", *rules: tuple[int, str], group: str = FSM, **spec: Any) -> KubernetesObject:
    """Return a ServiceExport; rules are (port, path)."""
    listed = [{"portNumber": port, "path": path, "pathType": "Prefix"} for port, path in rules or ((80, "/east/pay"),)]
    return make(f"ServiceExport.{group}", name, spec={"rules": listed, **spec})


def gateway(key: str, ip: str = "192.0.2.1", **target: Any) -> dict[str, Any]:
    """Return an endpoint of an import."""
    return {"clusterKey": key, "target": {"host": ip, "ip": ip, "port": 8081, "path": "/pay", **target}}


def imported(name: str = "pay", *endpoints: dict[str, Any], port: int = 80, group: str = FSM, **more: Any) -> KubernetesObject:
    """Return a ServiceImport of one port."""
    return make(f"ServiceImport.{group}", name, spec={"ports": [{"port": port, "endpoints": [*endpoints], **more}]})


def policy(lb_type: str, *targets: str | tuple[str, int], name: str = "pay", group: str = FSM) -> KubernetesObject:
    """Return a GlobalTrafficPolicy; targets are cluster keys, alone or with weights."""
    pairs = [(one, None) if isinstance(one, str) else one for one in targets]
    listed = [{"clusterKey": key} | ({} if weight is None else {"weight": weight}) for key, weight in pairs]
    return make(f"GlobalTrafficPolicy.{group}", name, spec={"lbType": lb_type, "targets": listed})
