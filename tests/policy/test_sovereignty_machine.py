"""Sovereignty is never violated: a machine looks for an endpoint of a forbidden place in any tier of any view.

Who is forbidden what is found out here in another way than by the book of policies: from the objects alone, on each look.
"""

from __future__ import annotations

from fleet_world import endpoint, endpoint_slice, export, make, refresh, service, tier, traffic_policy
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from xds.model.events import FLEET, Delete, Health, MemberState, ObjectKey, Standing, Synced, Upsert
from xds.model.fleet import Fleet
from xds.model.view import Role, View
from xds.policy.acceptance import Known, faults
from xds.policy.book import PolicyBook

CLUSTERS = ("bj1", "bj2", "sh1")
REGIONS = {"bj1": "beijing", "bj2": "beijing", "sh1": "shanghai"}
PROVIDERS = {"bj1": "blue", "bj2": "red", "sh1": "blue"}
GRADES = {"bj1": "gold", "bj2": "silver", "sh1": "silver"}
ZONES = ("a", "b")
PORTS = (80, 9000)

clusters = st.sampled_from(CLUSTERS)
names = st.lists(st.sampled_from((*CLUSTERS, "@own", "*")), max_size=2, unique=True)
places = st.fixed_dictionaries(
    {},
    optional={
        "clusters": names,
        "regions": st.lists(st.sampled_from(("beijing", "shanghai", "@own")), min_size=1, max_size=2, unique=True),
        "zones": st.lists(st.sampled_from((*ZONES, "@own")), min_size=1, max_size=2, unique=True),
        "providers": st.lists(st.sampled_from(("blue", "red", "@own")), min_size=1, max_size=1),
        "clusterSelector": st.sampled_from([{"matchLabels": {"grade": grade}} for grade in ("gold", "silver")]),
    },
).filter(lambda place: any(value and "*" not in value for value in place.values()))
ALL = {"clusters": ["*"]}
OPEN = tier("all", ALL)
ladders = st.sampled_from(
    (
        {},
        {"strategy": {"type": "Nearest"}},
        {"strategy": {"type": "FailOver"}},
        {"strategy": {"type": "FailOver", "clusters": ["sh1", "bj1"]}},
        {"strategy": {"type": "ActiveActive", "weights": [{"cluster": "bj1", "weight": 0}, {"weight": 1}]}},
        {"strategy": {"type": "TwoSitesThreeCenters", "primary": "beijing", "remote": "shanghai"}},
        {"strategy": {"type": "RemoteDR", "primary": "beijing", "remote": "shanghai", "gate": "Open"}},
        *({"tiers": [tier("own", {"clusters": ["@own"]}), tier("all", ALL, gate=gate)]} for gate in ("Open", "Closed", "Manual")),
        {"tiers": [tier("weighed", ALL, weights=[{"zone": "a", "weight": 5}]), OPEN]},
    )
)
SUBJECTS = (
    {"defaultFor": "Fleet"},
    {"defaultFor": "Namespace"},
    {"targetRefs": [{"kind": "Service", "name": "web"}]},
    {"targetRefs": [{"kind": "Service", "name": "web", "port": 80}]},
    {"targetRefs": [{"group": "multicluster.x-k8s.io", "kind": "ServiceImport", "name": "web"}]},
    {"targetRefs": [{"group": "multicluster.x-k8s.io", "kind": "ServiceImport", "name": "web", "port": 9000}]},
)


def declared(name):
    spec = {"region": REGIONS[name], "zones": list(ZONES), "provider": PROVIDERS[name]}
    return make("MemberCluster", name, metadata={"labels": {"grade": GRADES[name]}}, spec=spec)


class SovereigntyMachine(RuleBasedStateMachine):
    """Everything that may happen to a fleet, its endpoints and its policies, one thing after the other."""

    held = Bundle("held")

    def __init__(self):
        super().__init__()
        self.fleet, self.book = Fleet(), PolicyBook()
        self.accepted = {}
        """(holder, name) -> spec of the policy as it was accepted last."""
        self.number = 0
        begin = [Upsert(FLEET, declared(name)) for name in CLUSTERS]
        for name in CLUSTERS:
            begin += [
                Upsert(name, service("web", {"http": 80, "tcp": 9000})),
                Upsert(name, export("web")),
                self.slice_of(name, "ab"),
            ]
        self.tell(*begin, *(Synced(name) for name in (FLEET, *CLUSTERS)))

    def slice_of(self, cluster, zones, states=({},)):
        found = []
        for index, zone in enumerate(zones):
            self.number += 1
            address = f"10.{CLUSTERS.index(cluster)}.{self.number // 250 % 250}.{self.number % 250 + 1}"
            found.append(endpoint(address, zone=zone, **states[index % len(states)]))
        return Upsert(cluster, endpoint_slice("web", found, {"http": 8080, "tcp": 9000}))

    def tell(self, *events):
        if self.fleet.apply(events).needs_batch:
            refresh(self.book, self.fleet)

    @rule(target=held, holder=st.sampled_from((FLEET, *CLUSTERS)), name=st.sampled_from("pqr"), about=st.sampled_from(SUBJECTS))
    def a_policy_may_be_held(self, holder, name, about):
        return holder, f"{name}{SUBJECTS.index(about)}", about

    @rule(
        one=held,
        ladder=ladders,
        sovereignty=st.lists(places, max_size=2),
        created=st.sampled_from((None, "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z")),
    )
    def put_policy(self, one, ladder, sovereignty, created):
        holder, name, about = one
        spec = {**about, **ladder, "sovereignty": sovereignty}
        policy = traffic_policy(name, created=created, **spec)
        self.tell(Upsert(holder, policy))
        if not any(faults(holder, policy, Known(self.fleet.members))):
            self.accepted[holder, name] = spec

    @rule(one=held, fault=st.sampled_from(({"sovereignty": [{"regions": ["mars"]}]}, {"tiers": [tier("a", ALL, gate="Closed")]})))
    def put_policy_that_is_not_accepted(self, one, fault):
        holder, name, about = one
        self.tell(Upsert(holder, traffic_policy(name, **about, **fault)))

    @rule(one=held)
    def delete_policy(self, one):
        holder, name, _ = one
        self.accepted.pop((holder, name), None)
        self.tell(Delete(holder, ObjectKey("TrafficPolicy", "shop", name)))

    @rule(
        name=st.sampled_from("xyz"),
        place=st.sampled_from(({"cluster": "bj1"}, {"region": "beijing"}, {"region": "shanghai"}, {"zone": "a"})),
        step=st.integers(0, 4),
    )
    def drain(self, name, place, step):
        self.tell(Upsert(FLEET, make("TrafficOverride", name, spec={"drain": {**place, "steps": 4, "step": step}})))

    @rule(name=st.sampled_from("xyz"), one=held, tier=st.sampled_from(("all", "remote", "standby")))
    def open_gate(self, name, one, tier):
        holder, policy, _ = one
        gate = {"cluster": holder, "namespace": "shop", "policy": policy, "tier": tier}
        self.tell(Upsert(FLEET, make("TrafficOverride", name, spec={"open": gate})))

    @rule(name=st.sampled_from("xyz"))
    def delete_override(self, name):
        self.tell(Delete(FLEET, ObjectKey("TrafficOverride", "", name)))

    @rule(cluster=clusters, zones=st.text("ab", max_size=4), ready=st.booleans())
    def change_endpoints(self, cluster, zones, ready):
        self.tell(self.slice_of(cluster, zones, ({}, {"ready": ready})))

    @rule(cluster=clusters, standing=st.sampled_from(Standing))
    def lose_or_find_cluster(self, cluster, standing):
        self.tell(Health(cluster, MemberState.CONNECTED, standing=standing))

    @rule(cluster=clusters, shared=st.booleans())
    def change_export(self, cluster, shared):
        self.tell(Upsert(cluster, export("web")) if shared else Delete(cluster, ObjectKey("ServiceExport", "shop", "web")))

    @invariant()
    def nobody_is_sent_to_a_forbidden_place(self):
        for own in (*CLUSTERS, ""):
            for zone, role in (("a", Role.SIDECAR), ("", Role.SIDECAR), ("b", Role.PROXYLESS)):
                self.look(View(cluster=own, region=REGIONS.get(own, "shanghai"), zone=zone, role=role))

    def look(self, view):
        for found in self.fleet.visible(view.cluster):
            for port in PORTS:
                if port not in found.endpoints:
                    continue
                rules = self.forbidden(found.key.scope, port, view.cluster)
                for one in self.book.rank(found, port, view).tiers:
                    for share in one.shares:
                        assert share.endpoints
                        assert not any(forbids(place, share.locality, view) for place in rules), (view, one, rules)

    def forbidden(self, scope, port, own):
        """Return what clients of a cluster must not use: the places of all policies about a service port, whichever governs."""
        return [
            place
            for (holder, _), spec in self.accepted.items()
            if holder in (FLEET, own) and is_about(spec, scope, port)
            for place in spec["sovereignty"]
        ]


def is_about(spec, scope, port):
    return "defaultFor" in spec or any(
        (ref["kind"] == "Service") is bool(scope) and ref.get("port", port) == port for ref in spec["targetRefs"]
    )


def forbids(place, at, view):
    """Return whether a place that must not be used has a locality, for clients of a view."""
    cluster, own = at.cluster, view.cluster
    asked = {
        "clusters": lambda names: "*" in names or cluster in names or ("@own" in names and cluster == own),
        "regions": lambda names: at.region in names or ("@own" in names and at.region == view.region),
        "zones": lambda names: (
            at.zone in names or ("@own" in names and view.zone != "" and (at.region, at.zone) == (view.region, view.zone))
        ),
        "providers": lambda names: PROVIDERS[cluster] in names or ("@own" in names and PROVIDERS[cluster] == PROVIDERS.get(own)),
        "clusterSelector": lambda selector: selector["matchLabels"]["grade"] == GRADES[cluster],
    }
    return all(asked[key](value) for key, value in place.items() if value)


TestSovereignty = SovereigntyMachine.TestCase
