"""Sovereignty is never violated: a machine looks for an endpoint of a forbidden place in any tier of any view, and in DNS.

Who is forbidden what is found out here in another way than by the book of policies: from the objects alone, on each look.
"""

from __future__ import annotations

import flomesh_world
import msgspec
import pytest
from fleet_world import endpoint, endpoint_slice, export, make, refresh, service, tier, traffic_policy
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from xds.dns.names import Clients, names_of
from xds.model.events import FLEET, Delete, Health, MemberState, ObjectKey, Standing, Synced, Upsert
from xds.model.fleet import Fleet
from xds.model.service import ServiceKey
from xds.model.view import Role, View
from xds.policy.acceptance import Known, faults
from xds.policy.book import PolicyBook

pytestmark = pytest.mark.timeout(600)  # it searches for 40 s on an idle core

CLUSTERS = ("bj1", "bj2", "sh1")
REGIONS, PROVIDERS, GRADES = ("beijing", "shanghai"), ("blue", "red"), ("gold", "silver")
FACTS = {"bj1": ("beijing", "blue", "gold"), "bj2": ("beijing", "red", "silver"), "sh1": ("shanghai", "blue", "silver")}
"""Region, provider and grade of each member."""
NOTHING = ("", "", "")
KEYS = {"bj2": "beijing/a/default/bj2", "sh1": "shanghai/b/default/sh1", "far": "shanghai/a/default/far"}
"""Whose gateways bj1 imports; the last is no member."""
RULES = (
    {"localityLbSetting": {"distribute": [{"from": "*", "to": {"shanghai/*": 99, "beijing/a": 1}}]}},
    {"localityLbSetting": {"failover": [{"from": "beijing", "to": "shanghai"}]}},
    {"localityLbSetting": {"failoverPriority": ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]}},
)
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
        "providers": st.lists(st.sampled_from((*PROVIDERS, "@own")), min_size=1, max_size=1),
        "clusterSelector": st.sampled_from(
            [
                *({"matchLabels": {"grade": grade}} for grade in GRADES),
                {"matchExpressions": [{"key": "grade", "operator": "DoesNotExist"}]},
                {"matchExpressions": [{"key": "grade", "operator": "NotIn", "values": ["gold"]}]},
            ]
        ),
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


def declared(name, region, provider, grade):
    spec = {"region": region, "zones": list(ZONES), "provider": provider}
    return make("MemberCluster", name, metadata={"labels": {"grade": grade} if grade else {}}, spec=spec)


class SovereigntyMachine(RuleBasedStateMachine):
    """Everything that may happen to a fleet, its endpoints and its policies, one thing after the other."""

    held = Bundle("held")

    def __init__(self):
        super().__init__()
        self.fleet, self.book = Fleet(), PolicyBook()
        self.policies = {}
        """(holder, name) -> policy as it is now."""
        self.accepted = {}
        """(holder, name) -> what was accepted last of it: places that are never used, what it is about."""
        self.facts = dict(FACTS)
        self.ranked = {}
        """(ladder, service, port) -> tiers, since the last step: views share them."""
        self.number = 0
        begin = [Upsert(FLEET, declared(name, *FACTS[name])) for name in CLUSTERS]
        for name in CLUSTERS:
            begin += [
                Upsert(name, service("web", {"http": 80, "tcp": 9000})),
                Upsert(name, export("web")),
                self.slice_of(name, "ab"),
                Upsert(name, service("pods", {"http": 80, "tcp": 9000}, clusterIP="None")),
                Upsert(name, export("pods")),
                self.slice_of(name, "ab", owner="pods"),
            ]
        ways = [flomesh_world.gateway(key, f"192.0.2.{number}") for number, key in enumerate(KEYS.values(), 1)]
        begin.append(Upsert("bj1", flomesh_world.imported("web", *ways)))
        self.tell(*begin, *(Synced(name) for name in (FLEET, *CLUSTERS)))

    def slice_of(self, cluster, zones, states=({},), owner="web"):
        found = []
        for index, zone in enumerate(zones):
            self.number += 1
            address = f"10.{CLUSTERS.index(cluster)}.{self.number // 250 % 250}.{self.number % 250 + 1}"
            found.append(endpoint(address, zone=zone, **states[index % len(states)]))
        return Upsert(cluster, endpoint_slice(owner, found, {"http": 8080, "tcp": 9000}))

    def tell(self, *events):
        change = self.fleet.apply(events)
        if change.needs_batch or self.book.awaits(self.fleet.services[key] for key in change.endpoints):
            refresh(self.book, self.fleet)
            known = Known(self.fleet.members, self.fleet.localities)
            accepted = {key: one.spec for key, one in self.policies.items() if not any(faults(key[0], one, known))}
            self.accepted |= {key: plain(spec) for key, spec in accepted.items()}

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
        self.put(holder, traffic_policy(name, created=created, **spec))

    def put(self, holder, policy):
        self.policies[holder, policy.metadata.name] = policy
        self.tell(Upsert(holder, policy))

    @rule(one=held, fault=st.sampled_from(({"sovereignty": [{"regions": ["mars"]}]}, {"tiers": [tier("a", ALL, gate="Closed")]})))
    def put_policy_that_is_not_accepted(self, one, fault):
        holder, name, about = one
        self.put(holder, traffic_policy(name, **about, **fault))

    @rule(one=held)
    def delete_policy(self, one):
        holder, name, _ = one
        self.policies.pop((holder, name), None)
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

    @rule(cluster=clusters, zones=st.text("ab", max_size=4), ready=st.booleans(), owner=st.sampled_from(("web", "pods")))
    def change_endpoints(self, cluster, zones, ready, owner):
        self.tell(self.slice_of(cluster, zones, ({}, {"ready": ready}), owner))

    @rule(
        cluster=clusters,
        region=st.sampled_from(REGIONS),
        provider=st.sampled_from((*PROVIDERS, "")),
        grade=st.sampled_from((*GRADES, "")),
    )
    def change_member(self, cluster, region, provider, grade):
        self.facts[cluster] = region, provider, grade
        self.tell(Upsert(FLEET, declared(cluster, region, provider, grade)))

    @rule(
        kind=st.sampled_from(("Locality", "FailOver", "ActiveActive")),
        keys=st.lists(st.sampled_from([*KEYS.values()]), unique=True),
    )
    def put_policy_of_flomesh(self, kind, keys):
        self.tell(Upsert("bj1", flomesh_world.policy(kind, *keys, name="web")))

    @rule(cluster=clusters, balancer=st.sampled_from(RULES))
    def put_rule_of_istio(self, cluster, balancer):
        self.tell(
            Upsert(cluster, make("DestinationRule", "web", spec={"host": "web", "trafficPolicy": {"loadBalancer": balancer}}))
        )

    @rule(cluster=clusters, standing=st.sampled_from(Standing))
    def lose_or_find_cluster(self, cluster, standing):
        self.tell(Health(cluster, MemberState.CONNECTED, standing=standing))

    @rule(cluster=clusters, shared=st.booleans())
    def change_export(self, cluster, shared):
        self.tell(Upsert(cluster, export("web")) if shared else Delete(cluster, ObjectKey("ServiceExport", "shop", "web")))

    @invariant()
    def nobody_is_sent_to_a_forbidden_place(self):
        self.ranked = {}
        for own in (*CLUSTERS, ""):
            region = self.facts[own][0] if own else "shanghai"
            for zone, role in (("a", Role.SIDECAR), ("", Role.GATEWAY), ("b", Role.PROXYLESS)):
                self.look(View(cluster=own, region=region, zone=zone, role=role))
            if own:
                self.ask(own)

    def look(self, view):
        for found in self.fleet.visible(view.cluster):
            for port in PORTS:
                if port not in found.endpoints:
                    continue
                rules = self.forbidden(found.key, port, view.cluster)
                for one in self.tiers(found, port, view):
                    for share in one.shares:
                        assert share.endpoints
                        assert not any(self.forbids(place, share.locality, view) for place in rules), (view, one, rules)

    def tiers(self, found, port, view):
        ladder = self.book.ladder(found, port, view)
        key = ladder, found.key, port
        if key not in self.ranked:
            self.ranked[key] = ladder.tiers(found, port)
        return self.ranked[key]

    def ask(self, own):
        """Look at the records of pods that are at one place, for clients whose zone DNS does not know."""
        found = self.fleet.services.get(ServiceKey("shop", "pods"))
        if found is None:
            return
        answers = names_of(found, Clients(own, "default", allowed=self.book.allowed)).values()
        told = {address for records in answers for kind in ("A", "AAAA") for address in records.get(kind, ())}
        view = View(cluster=own, region=self.facts[own][0])
        for port in PORTS:
            rules = self.forbidden(found.key, port, own)
            bad = {
                one.addresses[0]
                for one in found.endpoints[port]
                if any(self.forbids(place, one.locality, view) for place in rules)
            }
            elsewhere = {one.addresses[0] for other in PORTS if other != port for one in self.book.allowed(found, other, own)}
            assert not (bad - elsewhere) & told, (own, port, rules)

    def forbidden(self, key, port, own):
        """Return what clients of a cluster must not use: the places of all policies about a service port, whichever governs."""
        return [
            place
            for (holder, _), spec in self.accepted.items()
            if holder in (FLEET, own) and is_about(spec, key, port)
            for place in spec.get("sovereignty", ())
        ]

    def forbids(self, place, at, view):
        """Return whether a place that must not be used has a locality, for clients of a view."""
        return forbids(place, at, view, self.facts)


def plain(spec):
    return msgspec.to_builtins(spec)


def is_about(spec, key, port):
    return "defaultFor" in spec or any(
        (ref["kind"] == "Service") is bool(key.scope) and ref["name"] == key.name and ref.get("port", port) == port
        for ref in spec["targetRefs"]
    )


def forbids(place, at, view, facts):
    cluster, own = at.cluster, view.cluster
    _, provider, grade = facts.get(cluster, NOTHING)
    own_provider = facts.get(own, NOTHING)[1]
    selected = {
        "matchLabels": lambda labels: labels["grade"] == grade,
        "matchExpressions": lambda listed: (
            not grade if listed[0]["operator"] == "DoesNotExist" else grade not in listed[0]["values"]
        ),
    }
    asked = {
        "clusters": lambda names: "*" in names or cluster in names or ("@own" in names and cluster == own),
        "regions": lambda names: at.region in names or ("@own" in names and at.region == view.region),
        "zones": lambda names: (
            at.zone in names or ("@own" in names and view.zone != "" and (at.region, at.zone) == (view.region, view.zone))
        ),
        "providers": lambda names: provider in names or ("@own" in names and provider == own_provider != ""),
        "clusterSelector": lambda selector: all(selected[key](value) for key, value in selector.items() if value),
    }
    return all(asked[key](value) for key, value in place.items() if value)


TestSovereignty = SovereigntyMachine.TestCase
