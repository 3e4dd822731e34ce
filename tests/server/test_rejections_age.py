"""A rejected node that stays away is forgotten."""

from __future__ import annotations

from xds.errors import NodeRejectedError
from xds.protocol import Encoder
from xds.server.switchboard import REJECTION_S, Switchboard


def test_the_rejection_of_a_node_that_stays_away_is_told_no_longer_than_it_would_take_to_come_back():
    now_s = [1000.0]
    board = Switchboard(None, Encoder("test"), clock=lambda: now_s[0])
    board.rejected(NodeRejectedError("gone", "wrong"))
    board.rejected(NodeRejectedError("persistent", "wrong"))
    now_s[0] += REJECTION_S - 1
    board.rejected(NodeRejectedError("persistent", "wrong"))
    assert len(board.problems()) == 2
    now_s[0] += 2
    (problem,) = board.problems()
    assert "persistent" in problem.message
    now_s[0] += REJECTION_S
    assert board.problems() == ()
