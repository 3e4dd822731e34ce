"""Conditions of MemberClusters: what is known of a cluster is told where its owner looks.

`Connected` says how fresh what we know of it is, `Problems` whether anything is wrong with it. What an object of the cluster
lacks is not among these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from xds.model.events import MemberState
from xds.model.objects import Condition
from xds.problems import worst_first
from xds.status_writer import Subject

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from xds.model.members import Member
    from xds.model.objects import MemberCluster
    from xds.problems import Problem

SUBJECT: Final = Subject("isthmus-members", "MemberClusters", "memberclusters/status")
SHOWN: Final = 3
"""Problems in a message."""
STATUS: Final = {MemberState.CONNECTED: "True", MemberState.SYNCING: "Unknown"}


def conditions_of(member: Member, problems: Iterable[Problem]) -> tuple[Condition, ...]:
    """Return the conditions of a member.

    Args:
        member: as it is known.
        problems: everything that is wrong anywhere.
    """
    connected = Condition(
        type="Connected", status=STATUS.get(member.state, "False"), reason=str(member.state), message=member.reason
    )
    # Those of its objects have a cluster in their reference: there may be thousands.
    own = sorted((one for one in problems if one.is_about(member.name) and not (one.ref and one.ref.cluster)), key=worst_first)
    if not own:
        return connected, Condition(type="Problems", status="False", reason="None")
    more = f" (and {len(own) - SHOWN} more)" if len(own) > SHOWN else ""
    message = "; ".join(f"{one.code}: {one.message}" for one in own[:SHOWN]) + more
    return connected, Condition(type="Problems", status="True", reason=own[0].code, message=message)


def states(
    members: Mapping[str, Member], declared: Iterable[MemberCluster], problems: Iterable[Problem]
) -> Iterator[tuple[MemberCluster, tuple[Condition, ...]]]:
    """Yield MemberClusters with the conditions that they should have.

    Args:
        members: by name.
        declared: the MemberClusters of the hub.
        problems: everything that is wrong anywhere.
    """
    found = [*problems]
    for item in declared:
        if member := members.get(item.metadata.name):
            yield item, conditions_of(member, found)
