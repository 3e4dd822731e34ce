from dataclasses import replace

from xds.admin.state_times import StateTimes
from xds.model.events import MemberState
from xds.model.members import Member

EAST = Member("east", state=MemberState.SYNCING)


def test_a_state_begins_when_it_is_another():
    times = StateTimes()
    times.note({"east": EAST}, 1.0)
    times.note({"east": replace(EAST, reason="slow")}, 2.0)
    assert times.since_s == {"east": 1.0}
    times.note({"east": replace(EAST, state=MemberState.CONNECTED), "west": Member("west")}, 3.0)
    assert times.since_s == {"east": 3.0, "west": 3.0}


def test_a_member_that_left_begins_anew():
    times = StateTimes()
    for members, now_s in (({"east": EAST}, 1.0), ({}, 2.0), ({"east": EAST}, 3.0)):
        times.note(members, now_s)
    assert times.since_s == {"east": 3.0}


def test_what_was_noted_is_not_looked_at_again():
    times, members = StateTimes(), {"east": EAST}
    times.note(members, 1.0)
    times.note(members, 2.0)
    assert times.since_s == {"east": 1.0}
