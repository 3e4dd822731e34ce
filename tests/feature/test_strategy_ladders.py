"""Each client sees the ladder that its policy states, for every strategy: what docs/failover.md shows is what clients are given.

`--update-golden` writes the table there.
"""

from __future__ import annotations

from collections import defaultdict
from math import gcd
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from fleet_world import NAMESPACE, endpoint, endpoint_slice, export, fleet_of, make, member, service

from xds.model.traffic_objects import StrategySpec, StrategyType
from xds.model.view import View
from xds.policy.strategies import expand
from xds.translate.world import Translator
from xds.wire import ENDPOINT, envoy

DOCUMENT = Path(__file__).parents[2] / "docs" / "failover.md"
BEGIN, END = "<!-- made by tests/feature/test_strategy_ladders.py -->\n", "<!-- end -->\n"
SITES = {"sh-1": ("shanghai", "sh-a"), "sh-2": ("shanghai", "sh-b"), "bj-1": ("beijing", "bj-a"), "bj-2": ("beijing", "bj-b")}
"""Cluster -> (region, zone): two cities with two sites each; the service has three endpoints at each."""
CITIES = {"primary": "shanghai", "remote": "beijing"}
STRATEGIES = {
    "Nearest": {"type": "Nearest"},
    "Locality": {"type": "Locality"},
    "FailOver": {"type": "FailOver"},
    "FailOver, `clusters: [sh-1, bj-1]`": {"type": "FailOver", "clusters": ["sh-1", "bj-1"]},
    "ActiveActive": {"type": "ActiveActive"},
    "ActiveActive, weights `sh-1` 3, `bj-1` 1": {
        "type": "ActiveActive",
        "weights": [{"cluster": "sh-1", "weight": 3}, {"cluster": "bj-1", "weight": 1}],
    },
    "SameCityActiveActive": {"type": "SameCityActiveActive"},
    "TwoSitesThreeCenters": {"type": "TwoSitesThreeCenters", **CITIES},
    "RemoteDR": {"type": "RemoteDR", **CITIES},
}
OPENED = {"TwoSitesThreeCenters": "remote", "RemoteDR": "standby"}
"""Strategies with a gate, and the tier behind it."""
KEY = "web.shop.svc.clusterset.local:80"


def fleet(strategy, *, opened=""):
    """Return a fleet with one service and a policy for it."""
    target = {"group": "multicluster.x-k8s.io", "kind": "ServiceImport", "name": "web"}
    items = [member(name, region, zones=[zone]) for name, (region, zone) in SITES.items()]
    items.append(make("TrafficPolicy", "web", spec={"targetRefs": [target], "strategy": strategy}))
    if opened:
        gate = {"namespace": NAMESPACE, "policy": "web", "tier": opened}
        items.append(make("TrafficOverride", "promoted", spec={"open": gate}))
    clusters = {}
    for number, (name, (_, zone)) in enumerate(SITES.items()):
        endpoints = [endpoint(f"10.{number}.0.{last}", ready=True, zone=zone) for last in (1, 2, 3)]
        clusters[name] = [make("Namespace", NAMESPACE), service("web"), export("web"), endpoint_slice("web", endpoints)]
    return fleet_of(clusters, *items)


def ladder(fleet, client):
    """Return of each tier what a sidecar in a cluster is served: cluster -> weight, as small as can be; None if it is closed."""
    region, zone = SITES[client]
    view = View(client, region=region, zone=zone, namespace="apps", listen="127.0.0.1:15001")
    translator = Translator(fleet)
    message = envoy.ClusterLoadAssignment.FromString(translator.translate(view).resources[ENDPOINT][KEY].body)
    tiers = defaultdict(dict)
    for group in message.endpoints:
        tiers[group.priority] |= {group.locality.sub_zone: group.load_balancing_weight.value} if group.lb_endpoints else {}
    assert [*tiers] == [*range(len(tiers))]
    (found,) = [one for key, one in fleet.services.items() if not key.scope]
    closed = {tier.index for tier in translator.book.rank(found, 80, view).tiers if tier.closed}
    assert not any(tiers[index] for index in closed)
    return [None if index in closed else _lowest(weights) for index, weights in tiers.items()]


def _lowest(weights):
    divisor = gcd(*weights.values()) or 1
    return {name: weight // divisor for name, weight in weights.items()}


def stated(strategy, client, *, opened=""):
    """Return what the tiers of a strategy take, written a second time."""
    found, left = [], [*SITES]
    for tier in expand(msgspec.convert(strategy, StrategySpec)):
        weights = {one.cluster: one.weight for one in tier.weights}
        taken = [
            name for name in left if any(fits(place, name, client) for place in tier.places) and weights.get(name, not weights)
        ]
        left = [name for name in left if name not in taken]
        is_open = tier.gate == "Open" or tier.name == opened
        found.append({name: weights.get(name, 1) for name in sorted(taken)} if is_open else None)
    return found


def fits(place, name, client):
    pairs = ((place.clusters, name, client), (place.regions, SITES[name][0], SITES[client][0]))
    return all(
        not wanted or "*" in wanted or value in wanted or ("@own" in wanted and value == own) for wanted, value, own in pairs
    )


def told(tier):
    """Return a tier as the table has it."""
    if tier is None:
        return "*closed*"
    even = len({*tier.values()}) <= 1
    return " + ".join(name if even else f"{weight} {name}" for name, weight in tier.items()) or "–"


def rows():
    for name, strategy in STRATEGIES.items():
        for opened in ("", OPENED[name]) if name in OPENED else ("",):
            cells = [" → ".join(map(told, ladder(fleet(strategy, opened=opened), client))) for client in SITES]
            title = name.replace(strategy["type"], f"`{strategy['type']}`", 1) + (", opened" if opened else "")
            yield f"| {' | '.join((title, *cells))} |\n"


def test_the_table_in_the_document_is_what_clients_are_given(update_golden):
    head = f"| {' | '.join(('strategy', *(f'client in `{name}`' for name in SITES)))} |\n|{'---|' * (len(SITES) + 1)}\n"
    table = head + "".join(rows())
    text = DOCUMENT.read_text()
    before, begin, rest = text.partition(BEGIN)
    written, end, after = rest.partition(END)
    assert begin, "the document has a place for the table"
    assert end
    if update_golden:
        DOCUMENT.write_text(f"{before}{begin}\n{table}\n{end}{after}")
        return
    assert written.strip("\n") == table.strip("\n"), "run this with --update-golden and read the diff"


@pytest.mark.parametrize("client", SITES)
@pytest.mark.parametrize("name", STRATEGIES)
def test_a_client_sees_the_ladder_that_its_policy_states(name, client):
    strategy = STRATEGIES[name]
    for opened in {"", OPENED.get(name, "")}:
        assert ladder(fleet(strategy, opened=opened), client) == stated(strategy, client, opened=opened)


def test_every_strategy_is_in_the_table():
    assert {one["type"] for one in STRATEGIES.values()} == {*get_args(StrategyType)}
