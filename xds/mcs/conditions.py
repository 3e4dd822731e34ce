"""The conditions of exports and imports (KEP-1645): whether they are valid, ready, and differ from each other; their dates."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from msgspec import structs

from xds.model.imports import INVALID_TYPE, invalid
from xds.model.objects import Condition

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from xds.model.imports import Import
    from xds.model.objects import KubernetesObject, MemberCluster, ServiceExport, ServiceImport
    from xds.model.traffic_objects import TrafficPolicy

    WithConditions = ServiceExport | ServiceImport | MemberCluster | TrafficPolicy

CONFLICT_ORDER: Final = (
    *("PortConflict", "TypeConflict", "SessionAffinityConflict", "SessionAffinityConfigConflict", "LabelsConflict"),
    *("AnnotationsConflict", "InternalTrafficPolicyConflict", "TrafficDistributionConflict"),
)

READY: Final = Condition(type="Ready", status="True", reason="Ready")
NO_ADDRESS: Final = Condition(
    type="Ready", status="False", reason="Pending", message="no address: every one of the clusterset range is taken"
)
"""Pending is the only reason of mcs-api for an import without an address."""


def conditions_of(export: ServiceExport, service: KubernetesObject | None, merged: Import | None) -> list[Condition]:
    """Return the conditions of an export.

    Args:
        export: whose.
        service: of its name in its cluster.
        merged: what is imported of the name, if anything is.
    """
    if reason := invalid(service):
        message = (
            "a Service of type ExternalName cannot be exported"
            if reason == INVALID_TYPE
            else f"there is no Service {export.metadata.namespace}/{export.metadata.name}"
        )
        return [
            Condition(type="Valid", status="False", reason=reason, message=message),
            Condition(type="Ready", status="False", reason="Pending", message="the export is not valid"),
        ]
    found = [
        Condition(type="Valid", status="True", reason="Valid", message=""),
        Condition(type="Ready", status="True", reason="Exported", message=""),
    ]
    if not merged or not merged.conflicts:
        return [*found, Condition(type="Conflict", status="False", reason="NoConflicts", message="")]
    reasons = sorted({one.reason for one in merged.conflicts}, key=CONFLICT_ORDER.index)
    message = _conflict_message(merged)
    return [*found, Condition(type="Conflict", status="True", reason=",".join(reasons), message=message)]


def dated(wanted: Iterable[Condition], item: WithConditions | None) -> list[Condition]:
    """Return conditions with the time of those that stand already; of others the time is now, which the writer knows."""
    present: Sequence[Condition] = item.status.conditions if item else ()
    times = {(one.type, one.status): one.last_transition_time for one in present}
    return [structs.replace(one, last_transition_time=times.get((one.type, one.status), "")) for one in wanted]


def stamped(body: dict[str, Any]) -> dict[str, Any]:
    """Return what is to be written, with the time in the conditions of its status that are new."""
    conditions = body.get("status", {}).get("conditions")
    if not conditions:
        return body
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    found = [{"message": "", "lastTransitionTime": now, **condition} for condition in conditions]
    return {**body, "status": {**body["status"], "conditions": found}}


def _conflict_message(merged: Import) -> str:
    """Say for each field who decides and how many differ; a message may not name every cluster (mcs-api's own advice)."""
    total = len(merged.exports)
    parts = []
    for reason in sorted({one.reason for one in merged.conflicts}, key=CONFLICT_ORDER.index):
        found = [one for one in merged.conflicts if one.reason == reason]
        winners = sorted({one.winner for one in found})
        who = f"{', '.join(winners)} decide{'s' if len(winners) == 1 else ''}"
        parts.append(f"{reason}: {len({one.cluster for one in found})} of {total} clusters differ, {who}")
    return "; ".join(parts)
