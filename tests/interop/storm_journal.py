"""What happened in a storm and when, so that a failure can be told together with what came before it."""

import time
from collections import defaultdict
from dataclasses import dataclass

from xds.wire import short_name

LAG_S = 8.0
"""How long a backend may still answer after it has been taken out: a gate waits 5 s at most, then the proxy has to act."""
BEFORE_S = 1.0


@dataclass(frozen=True)
class Publication:
    """A change of the snapshot."""

    at_s: float
    changes: tuple[str, ...]
    touched: tuple[str, ...]
    """What of it was changed, `cds north0-1` for example; with a minus in front what was removed."""


@dataclass(frozen=True)
class Rejection:
    """A NACK."""

    at_s: float
    node: str
    type_url: str
    content: frozenset[tuple[str, str]]
    """(name, version) of what the response held."""
    error: str


class Journal:
    """Publications, what each service's backends were, and NACKs, on the clock `time.monotonic()`."""

    def __init__(self):
        self.publications: list[Publication] = []
        self.rejections: list[Rejection] = []
        self._groups = defaultdict(list)
        self._settled_s: list[float] = []

    @property
    def summary(self):
        return f"{len(self.publications)} publications, {len(self.rejections)} NACKs"

    def published(self, changes, touched, services):
        """Record a publication, just before it is made."""
        now_s = time.monotonic()
        self.publications.append(Publication(now_s, tuple(changes), tuple(touched)))
        for service in services:
            history = self._groups[service.name]
            if not history or history[-1][1] != service.groups:
                history.append((now_s, service.groups))

    def settled(self):
        """Record that all that was published is in force."""
        self._settled_s.append(time.monotonic())

    def rejected(self, node, _view, nack):
        """Record a NACK; `on_nack` of the server."""
        content = frozenset((resource.name, resource.version) for resource in nack.resources)
        self.rejections.append(Rejection(time.monotonic(), node.id, nack.type_url, content, nack.error))

    def is_right(self, caller, answer):
        """Return whether an answer is one that the caller could be given then."""
        service, _, group = answer.place.partition("/")
        return answer.status == 200 and service == caller.service.name and group in self._allowed(service, answer)

    def _allowed(self, service, answer):
        history = self._groups[service]
        until = [*(self._gone_s(at_s) for at_s, _ in history[1:]), float("inf")]
        known = zip(history, until, strict=True)
        return {
            group
            for (since_s, groups), end_s in known
            if since_s <= answer.ended_s and answer.began_s <= end_s
            for group in groups
        }

    def _gone_s(self, at_s):
        """Return from when on what was taken out may answer no more."""
        return min((settled_s for settled_s in self._settled_s if settled_s > at_s), default=at_s + LAG_S)

    def story_of(self, caller, answer):
        """Return a failure for people: what, and what had been changed and rejected shortly before."""
        lines = [f"{caller.name}: status {answer.status} from {answer.place or 'nobody'} after "]
        lines[0] += f"{answer.ended_s - answer.began_s:.3f} s: {answer.detail}"
        since_s = answer.began_s - BEFORE_S
        told = [(p.at_s, f"{'; '.join(p.changes)} [{' '.join(p.touched)}]") for p in self.publications]
        told += [
            (r.at_s, f"{r.node} rejects {short_name(r.type_url)}: {' '.join(r.error.split())[:150]}") for r in self.rejections
        ]
        near = sorted((at_s, text) for at_s, text in told if since_s <= at_s <= answer.ended_s)
        return "\n".join([*lines, *(f"    {at_s - answer.ended_s:+.3f} s {text}" for at_s, text in near)])
