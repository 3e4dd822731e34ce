"""Two replicas never write at once, whatever their clocks say, and one of them does before long."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from xds.mcs.lease import DURATION_S, RENEW_S, SAFE_S, Candidate

NOW = "2026-01-01T00:00:00.000000Z"


class Server:
    """Holds one lease; a write over another version than the current one is a conflict."""

    def __init__(self):
        self.lease = None
        self.version = 0

    def write(self, wanted):
        current = self.lease.metadata.resource_version if self.lease else ""
        if wanted.metadata.resource_version != current:
            return False
        self.version += 1
        self.lease = replace(wanted, metadata=replace(wanted.metadata, resource_version=str(self.version)))
        return True


def turn(candidate, server, now_s, *, release=False, skew_s=0.0):
    wanted = candidate.wanted(server.lease, now_s + skew_s, f"{NOW}{now_s}", release=release)
    if wanted is not None and server.write(wanted) and not release:
        candidate.renewed(now_s + skew_s)
    return wanted is not None


def candidate(name):
    return Candidate(name, "mcs", "isthmus-system")


def test_the_first_one_holds_it_and_the_other_waits():
    server, one, other = Server(), candidate("one"), candidate("other")
    assert turn(one, server, 0.0)
    assert not turn(other, server, 1.0)
    assert one.leads(1.0)
    assert not other.leads(1.0)
    assert server.lease.spec.lease_transitions == 1


def test_a_holder_that_is_gone_is_followed():
    server, one, other = Server(), candidate("one"), candidate("other")
    turn(one, server, 0.0)
    turn(other, server, 1.0)
    assert not turn(other, server, 1.0 + DURATION_S - 0.1)
    assert turn(other, server, 1.0 + DURATION_S)
    assert other.leads(16.0)
    assert not one.leads(SAFE_S)
    assert server.lease.spec.lease_transitions == 2


def test_a_holder_that_stops_gives_it_up():
    server, one, other = Server(), candidate("one"), candidate("other")
    turn(one, server, 0.0)
    turn(other, server, 1.0)
    turn(one, server, 2.0, release=True)
    assert not one.leads(2.0)
    assert turn(other, server, 2.1)
    assert other.leads(2.1)


def test_a_stopped_replica_takes_nothing_from_another():
    server, one, other = Server(), candidate("one"), candidate("other")
    turn(one, server, 0.0)
    assert not turn(other, server, 1.0, release=True)
    assert server.lease.spec.holder_identity == "one"


steps = st.lists(
    st.tuples(st.integers(0, 2), st.floats(0.0, 12.0), st.sampled_from(("turn", "turn", "turn", "slow write", "stop"))),
    max_size=40,
)


@given(steps, st.tuples(*[st.floats(-1e6, 1e6)] * 3))
def test_never_two_at_once(steps, skews):
    """A slow write arrives when others may have written already; each replica has a clock of its own."""
    server, replicas, now_s = Server(), [candidate(str(number)) for number in range(3)], 0.0
    pending = []
    for who, wait_s, what in steps:
        now_s += wait_s
        replica, skew_s = replicas[who], skews[who]
        if what == "slow write":
            wanted = replica.wanted(server.lease, now_s + skew_s, f"{NOW}{now_s}")
            if wanted is not None:
                pending.append((replica, wanted, now_s + skew_s))
        elif pending and what == "stop":
            late, wanted, began_s = pending.pop()
            if server.write(wanted):
                late.renewed(began_s)
        else:
            turn(replica, server, now_s, skew_s=skew_s, release=what == "stop")
        leading = [one.identity for one, skew_s in zip(replicas, skews, strict=True) if one.leads(now_s + skew_s)]
        assert len(leading) <= 1


def test_somebody_leads_soon():
    server, replicas = Server(), [candidate("a"), candidate("b")]
    now_s = 0.0
    for _ in range(5):
        now_s += RENEW_S
        for one in replicas:
            turn(one, server, now_s)
    assert any(one.leads(now_s) for one in replicas)
