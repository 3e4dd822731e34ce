from xds.protocol.claims import Claims
from xds.protocol.holdings import Claim
from xds.snapshot.resource import Resource
from xds.snapshot.table import Table
from xds.wire import ENDPOINT

THERE = {name: Resource.of(ENDPOINT, name, name.encode()) for name in "abc"}
CLAIMS = Claims({"a": THERE["a"].version, "b": "old", "x": "gone"})


def test_claims_beside_what_there_is():
    found = CLAIMS.compared(Table(THERE))
    assert found.held == {"a": THERE["a"], "b": Claim("old"), "x": Claim("gone")}
    assert found.outdated == {"b", "x"}
    assert found.unclaimed == {"c"}
    assert found.perishable == frozenset()


def test_what_is_found_out_is_found_out_once():
    table, names = Table(THERE), frozenset("abx")
    assert CLAIMS.compared(table) is CLAIMS.compared(table)
    assert CLAIMS.compared(Table(THERE)) is not CLAIMS.compared(table)
    assert CLAIMS.among(names) is CLAIMS
    only = frozenset("a")
    assert CLAIMS.among(only) is CLAIMS.among(only)
    assert CLAIMS.among(only) == {"a": THERE["a"].version}
    assert CLAIMS.lacking(frozenset("ac")) == {"c"}
    assert CLAIMS.without(frozenset("c")) is CLAIMS
    assert CLAIMS.without(frozenset("ax")) == {"b": "old"}
