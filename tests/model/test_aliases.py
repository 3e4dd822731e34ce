"""A member that is registered by other names, too."""

from fleet_world import endpoint, endpoint_slice, fleet_of, member, service

from xds.model.events import Aliases, Health, MemberState


def test_a_member_is_known_by_its_other_names_and_is_one():
    items = [service("web"), endpoint_slice("web", [endpoint("10.1.0.1")])]
    fleet = fleet_of({"east": items}, member("east"), member("again"))
    assert fleet.members.keys() == {"east", "again"}
    fleet.apply([Health("again", MemberState.LOST), Aliases("east", frozenset(("again",)))])
    assert fleet.members.keys() == {"east"}
    assert fleet.members["east"].aliases == {"again"}
    assert fleet.known["again"] is fleet.members["east"]
    assert [problem.code for problem in fleet.problems() if problem.code == "XDS0217"] == []
    fleet.apply([Aliases("east", frozenset())])
    assert fleet.members.keys() == {"east", "again"}
