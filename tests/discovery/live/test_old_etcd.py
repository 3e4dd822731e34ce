"""An API server that knows watches that begin with what there is, on an etcd that is too old for them."""

import json

import pytest

from xds.discovery.live.collection import Collection, Refusal
from xds.model.kinds import KINDS


@pytest.mark.parametrize("status", [400, 422, 500])
def test_what_cannot_be_streamed_is_listed(status):
    collection = Collection("east", KINDS["Service"], "v1")
    assert collection.request(300).is_watch
    assert collection.refused(status, "the required storage feature RequestWatchProgress is disabled")
    assert collection.request(300).query == (("limit", "500"),)
    assert not collection.refused(status, "a list is refused: there is no other way")


def test_it_is_listed_at_once_when_the_watch_has_begun_before_it_is_refused():
    """As Kubernetes 1.35 does it: with status 200, and an error as the only line."""
    collection = Collection("east", KINDS["Service"], "v1")
    collection.request(300)
    with pytest.raises(Refusal) as caught:
        collection.take_line(
            json.dumps({"type": "ERROR", "object": {"code": 500, "message": "RequestWatchProgress is disabled"}})
        )
    assert collection.refused(caught.value.status, caught.value.message), "there is another way, so nobody needs to wait"
    assert collection.request(300).query == (("limit", "500"),)
