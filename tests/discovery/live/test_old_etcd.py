"""An API server that knows watches that begin with what there is, on an etcd that is too old for them."""

import pytest

from xds.discovery.live.collection import Collection
from xds.model.kinds import KINDS


@pytest.mark.parametrize("status", [400, 422, 500])
def test_what_cannot_be_streamed_is_listed(status):
    collection = Collection("east", KINDS["Service"], "v1")
    assert collection.request(300).is_watch
    assert collection.refused(status, "the required storage feature RequestWatchProgress is disabled")
    assert collection.request(300).query == (("limit", "500"),)
    assert not collection.refused(status, "a list is refused: there is no other way")
