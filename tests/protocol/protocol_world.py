"""What the Hypothesis machines share: a world of a few names, a lossless pair of wires, and the vocabulary of a model client.

Content is a digit; clients reject content 9. A cluster refers to the endpoints of its own name.
"""

from __future__ import annotations

from collections import deque

from hypothesis import strategies as st
from protocol_script import resource, type_url

from xds.snapshot.store import SnapshotStore

VIEW = "view"
KINDS = ("cds", "eds", "sds")  # listeners are like clusters, routes like endpoints, but for what follows what
NAMES = ("a", "b", "c", "d")
BAD = "9"
STALE = "0"
"""A nonce that no response has; each example has an encoder of its own, so that its nonces are the same when it is replayed."""

kinds = st.sampled_from(KINDS)
names = st.frozensets(st.sampled_from(NAMES), max_size=4)
contents = st.sampled_from(("1", "2", "3", BAD))
traffic = st.lists(st.sampled_from(("poll", "down", "up")), max_size=6)
changes = st.dictionaries(st.tuples(kinds, st.sampled_from(NAMES)), st.none() | contents, min_size=1, max_size=6)


class World:
    """The control plane behind a stream."""

    def __init__(self) -> None:
        self.store = SnapshotStore()
        self.store.publish(VIEW, {}, at_s=0, trigger="")

    @property
    def snapshot(self):
        return self.store.current(VIEW)

    def change(self, wanted):
        changed = {}
        for (kind, name), content in wanted.items():
            changed.setdefault(type_url(kind), {})[name] = None if content is None else resource(kind, name, content)
        return self.store.publish(VIEW, changed, at_s=0, trigger="")

    def contents(self, kind: str) -> dict[str, str]:
        """Return name -> content of one type."""
        return {name: r.body.decode().partition("=")[2] for name, r in self.snapshot.resources(type_url(kind)).items()}


class Wires:
    """Messages under way; each direction keeps its order, and neither knows how far the other is."""

    def __init__(self) -> None:
        self.up: deque = deque()
        self.down: deque = deque()


def version(kind: str, name: str, content: str) -> str:
    return resource(kind, name, content).version


def error_text(rejected, *, blames: bool) -> str:
    """What a client says: some name what they reject, some do not."""
    return f"cannot apply {', '.join(sorted(rejected))}" if blames else "validation failed"
