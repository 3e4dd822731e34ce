"""Resources: bytes, and versions that follow from them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from xds.snapshot.resource import PIECES, content_version, joined
from xds.translate.world import finish


@given(st.lists(st.binary(max_size=20), max_size=30), st.integers(1, 4))
def test_what_is_put_together_in_pieces_is_what_it_is_in_one(pieces, times):
    pieces = pieces * (times * PIECES // 20)
    body = b"".join(pieces)
    assert finish(joined(pieces)) == (body, content_version(body))


def test_it_can_be_interrupted():
    assert sum(1 for _ in joined([b"x"] * (3 * PIECES))) == 3
