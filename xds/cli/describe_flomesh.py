"""Flomesh's objects of a service as people want to read them; the input is the JSON of `isthmus.admin.v1.FlomeshService`s."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Json = dict[str, Any]
Row = tuple[str, ...]


def flomesh_facts(found: Sequence[Json]) -> Iterator[tuple[str, str]]:
    """Yield what follows from the objects, for the clients of each cluster that imports, or has a policy."""
    for one in found:
        if one["gateways"] or "policy" in one:
            yield "Flomesh", f"clients in {one['cluster']} {_effect(one)}"


def _effect(found: Json) -> str:
    policy = found.get("policy", {})
    targets = policy.get("targets", [])
    if not found["gateways"] or policy.get("lb_type", "Locality") == "Locality":
        return "use their own endpoints alone"
    if policy["lb_type"] == "ActiveActive":
        return "use their own endpoints and gateways by weight"
    then = ", then ".join(target["cluster_key"] for target in targets) or "every cluster that is imported from"
    return f"use their own endpoints, then {then}"


def flomesh_sections(found: Sequence[Json]) -> Iterator[tuple[str, Row, list[Row]]]:
    """Yield title, headers and rows of what there is to show."""
    exports = [row for one in found for export in one["exports"] for row in _export(one["cluster"], export)]
    yield "Flomesh exports", ("CLUSTER", "PORT", "PATH", "MATCH", "REWRITE", "TO"), exports
    gateways = [_gateway(one["cluster"], gateway) for one in found for gateway in one["gateways"]]
    yield "Flomesh imports", ("CLUSTER", "PORT", "FROM", "CLUSTER KEY", "GATEWAY", "PATH"), gateways
    policies = [row for one in found for row in _policy(one)]
    yield "Flomesh policies", ("CLUSTER", "TYPE", "TARGET", "CLUSTER KEY", "WEIGHT"), policies


def _export(cluster: str, export: Json) -> Iterator[Row]:
    source, result = export["rewrite_from"], export["rewrite_to"]
    rewrite = f"{source} -> {result}" if source or result else ""
    to = ", ".join(export["target_clusters"]) or "every cluster"
    for rule in export["rules"]:
        yield cluster, str(rule["port"]), rule["path"], rule["path_type"], rewrite, to
    if not export["rules"]:
        yield cluster, "no rules", "", "", rewrite, to


def _gateway(cluster: str, gateway: Json) -> Row:
    address, host, port = gateway["address"], gateway["host"], gateway["gateway_port"]
    where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    named = where if host == address else f"{where} ({host})"
    return cluster, str(gateway["port"]), _member(gateway), gateway["cluster_key"], named, gateway["path"]


def _policy(found: Json) -> Iterator[Row]:
    """Yield what governs the clients of a cluster, if it imports anything."""
    policy = found.get("policy")
    if policy is None:
        if found["gateways"]:
            yield found["cluster"], "Locality, without a policy", "only its own endpoints", "", ""
    elif policy["targets"]:
        for target in policy["targets"]:
            weight = str(target["weight"]) if "weight" in target else ""
            yield found["cluster"], policy["lb_type"], _member(target), target["cluster_key"], weight
    else:
        every = "only its own endpoints" if policy["lb_type"] == "Locality" else "every cluster that is imported from"
        yield found["cluster"], policy["lb_type"], every, "", ""


def _member(found: Json) -> str:
    return found["member"] or "no member"
