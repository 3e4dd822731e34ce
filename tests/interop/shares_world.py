"""Generated fleets with what is wrong in them; each of their services is a world of its own, with a policy and one client."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from itertools import count
from random import Random

import flomesh_world
from fleet_world import NAMESPACE, endpoint, endpoint_slice, export, fleet_of, make, member

from xds.model.events import FLEET, Doubt, Health, MemberState, Standing, Synced, Upsert
from xds.model.local import CAPACITY
from xds.policy.acceptance import Known, faults

REGIONS = ("eu", "us", "ap")
ZONES = ("a", "b", "c")
CLUSTERS = ("east", "north", "south", "west")
WORLDS = 15
"""Of each fleet."""
CLIENTS = 3
"""Of each fleet: two sidecars and a gateway."""
READY, WAITING, DRAINING = {"ready": True}, {"ready": False}, {"ready": False, "serving": True, "terminating": True}
WELL, HARDLY_WELL = (1.0, 0.8, 0.6, 0.4, 0.2, 0.0), (0.4, 0.3, 0.2, 0.1)
"""With which chance an endpoint is ready, in each place another; the latter where traffic is to go down a stair of clusters."""
STAIRS = 4
"""Worlds of each fleet whose tiers are the clusters, one by one."""
FLOMESH = (4, 5)
"""Worlds of each fleet with an import and a policy of Flomesh: of a sidecar, and of the gateway."""
STRATEGIES = ("Nearest", "Locality", "FailOver", "ActiveActive", "SameCityActiveActive", "TwoSitesThreeCenters", "RemoteDR")


@dataclass(frozen=True)
class Site:
    """One cluster."""

    name: str
    region: str
    zones: tuple[str, ...]
    spec: dict[str, object]
    standing: Standing

    @property
    def item(self):
        labels = {"stage": self.spec["provider"][-1]}
        return member(self.name, self.region, zones=list(self.zones), metadata={"labels": labels}, **self.spec)


@dataclass(frozen=True)
class Client:
    """Where requests come from."""

    role: str
    cluster: str
    region: str
    zone: str
    intercept: str = "explicit"

    def __str__(self):
        return f"{self.role} in {self.cluster}/{self.zone} ({self.region})"


@dataclass(frozen=True)
class World:
    """One service."""

    name: str
    client: int
    asked: str
    """The name of the service, as `explain` takes it."""
    host: str
    """By which the client's proxy knows it."""
    facts: dict[str, object]
    """What it is made of, for people."""


class GeneratedFleet:
    """The same for the same seed.

    Args:
        seed: anything that has a text.
        backend_port: of every endpoint.
        gateway_port: of the Gateway.
        block: the second byte of all addresses, 127.BLOCK.WORLD.ENDPOINT.
        affinity: `sessionAffinity` of its Services.
    """

    def __init__(self, seed, *, backend_port, gateway_port, block, affinity="None"):
        self.random = Random(str(seed))
        self.affinity = affinity
        self.backend_port, self.block = backend_port, block
        names = self.random.sample(CLUSTERS, self.random.choice((2, 3, 4, 4)))
        regions = REGIONS[: self.random.randint(1, 3)]
        self.sites = [self._site(name, self.random.choice(regions)) for name in sorted(names)]
        self.clients = [self._client("gateway" if number == CLIENTS - 1 else "sidecar") for number in range(CLIENTS)]
        self.sites = [self._perhaps_apart(site) for site in self.sites]
        self.regions = sorted({site.region for site in self.sites})
        self.members = fleet_of({}, *(site.item for site in self.sites)).members
        self.objects = [(FLEET, site.item) for site in self.sites]
        self.objects += [(site.name, make("Namespace", NAMESPACE)) for site in self.sites]
        self.failed: list[tuple[str, object]] = []
        """What takes the place of objects later."""
        self.doubted: dict[str, set[tuple[str, str]]] = defaultdict(set)
        listeners = [{"name": "http", "protocol": "HTTP", "port": gateway_port}]
        gateway = make("Gateway", "public", spec={"gatewayClassName": "isthmus", "listeners": listeners})
        self.objects.append((self.clients[-1].cluster, gateway))
        self.worlds = [self._world(number) for number in range(WORLDS)]

    @property
    def begins(self):
        """Events of a fleet in which all is well."""
        return [*(Upsert(*placed) for placed in self.objects), *(Synced(name) for name in (FLEET, *self.members))]

    @property
    def fails(self):
        """Events of what goes wrong then."""
        states = {Standing.FULL: MemberState.CONNECTED}
        told = [Health(one.name, states.get(one.standing, MemberState.LOST), standing=one.standing) for one in self.sites]
        doubts = [Doubt(name, frozenset(services)) for name, services in self.doubted.items()]
        return [*told, *doubts, *(Upsert(*placed) for placed in self.failed)]

    def chance(self, part):
        return self.random.random() < part

    def some(self, choices, most=2):
        return self.random.sample(choices, self.random.randint(1, min(most, len(choices))))

    def _site(self, name, region):
        spec = {"provider": self.random.choice(("cloud-1", "cloud-2"))}
        standing = self.random.choice((Standing.FULL,) * 6 + (Standing.DEMOTED, Standing.REMOVED))
        return Site(name, region, ZONES[: self.random.randint(1, 3)], spec, standing)

    def _perhaps_apart(self, site):
        """Return a cluster, in a network of its own if it has no clients and by chance."""
        is_apart = self.chance(0.2) and all(client.cluster != site.name for client in self.clients)
        return replace(site, spec={**site.spec, "network": "blue"}) if is_apart else site

    def _client(self, role):
        site = self.random.choice(self.sites)
        return Client(role, site.name, site.region, self.random.choice(site.zones))

    def _world(self, number):
        name, client = f"web-{number}", number % CLIENTS
        where = self.clients[client]
        kind = "Service" if number in FLOMESH or self.chance(0.25) else "ServiceImport"
        is_stair = number >= WORLDS - STAIRS
        hosts = {one.name for one in self.sites if is_stair or self.chance(0.85)} | {where.cluster}
        distribution = {"trafficDistribution": "PreferSameZone"} if self.chance(0.15) else {}
        vip, ports = f"10.96.{self.block}.{number + 1}", [{"name": "http", "port": 80}]
        spec = {"clusterIP": vip, "ports": ports, "sessionAffinity": self.affinity, **distribution}
        addresses = (f"127.{self.block}.{number + 1}.{last}" for last in count(1))
        places = {}
        for site in self.sites:
            if site.name in hosts:
                places |= self._backends(site, name, spec, addresses, HARDLY_WELL if is_stair else WELL)
        if number in FLOMESH:
            governed = self._flomesh(name, where, addresses)
        else:
            governed = self._policy(name, kind, where, is_stair=is_stair)
        facts = {
            "client": str(where),
            "clusters": {site.name: self._told_of(site, name) for site in self.sites},
            "endpoints": places,
            **governed,
            **self._drain(name),
        }
        asked = host = f"{name}.{NAMESPACE}.svc.{'cluster' if kind == 'Service' else 'clusterset'}.local"
        if where.role == "gateway":
            host = f"{name}.example.com"
            self._route(name, kind, host, where.cluster)
        return World(name, client, asked, host, facts)

    def _backends(self, site, name, spec, addresses, chances):
        """Add what one cluster has of a service; return place -> its endpoints in words."""
        capacity = {CAPACITY: str(self.random.choice((50, 100, 150, 400)))} if self.chance(0.6) else {}
        self.objects += [
            (site.name, make("Service", name, spec=spec, metadata={"annotations": capacity})),
            (site.name, export(name)),
        ]
        if self.chance(0.1):
            self.doubted[site.name].add((NAMESPACE, name))
        entries, places = [], {}
        for zone in site.zones:
            well, number = self.random.choice(chances), self.random.randint(0, 8)
            states = [READY if self.chance(well) else self.random.choice((WAITING, WAITING, DRAINING)) for _ in range(number)]
            places[f"{site.name}/{zone}"] = _told(states)
            entries += [(next(addresses), zone, state) for state in states]
        self.objects.append((site.name, self._slice(name, [(address, zone, READY) for address, zone, _ in entries])))
        self.failed.append((site.name, self._slice(name, entries)))
        return places

    def _told_of(self, site, name):
        doubted = ", doubted" if (NAMESPACE, name) in self.doubted[site.name] else ""
        facts = ", ".join(f"{key} {value}" for key, value in site.spec.items())
        return f"region {site.region}, {facts}, standing {site.standing.name}{doubted}"

    def _slice(self, name, entries):
        listed = [endpoint(address, zone=zone, **state) for address, zone, state in entries]
        return endpoint_slice(name, listed, {"http": self.backend_port})

    def _route(self, name, kind, host, cluster):
        backend = {"group": "multicluster.x-k8s.io" if kind == "ServiceImport" else "", "kind": kind, "name": name, "port": 80}
        rule = {"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "backendRefs": [backend]}
        spec = {"parentRefs": [{"name": "public"}], "hostnames": [host], "rules": [rule]}
        self.objects.append((cluster, make("HTTPRoute", name, spec=spec)))

    # Policies

    def _policy(self, name, kind, where, *, is_stair):
        """Add what governs a service; return it for people."""
        if not is_stair and self.chance(0.1):
            return {}
        holder = FLEET if self.chance(0.7) else where.cluster
        target = {"kind": kind, "name": name, "group": "multicluster.x-k8s.io" if kind == "ServiceImport" else ""}
        if self.chance(0.2):
            target["port"] = 80
        while True:
            spec = {"targetRefs": [target], **self._settings(), **(self._stair() if is_stair else self._ladder())}
            item = make("TrafficPolicy", name, spec=spec)
            if not any(faults(holder, item, Known(self.members))):
                break
        self.objects.append((holder, item))
        tiers = [one["name"] for one in spec.get("tiers", ()) if one.get("gate") == "Manual"]
        if spec.get("strategy", {}).get("gate") == "Manual":
            tiers = ["standby" if spec["strategy"]["type"] == "RemoteDR" else "remote"]
        opened = [tier for tier in tiers if self.chance(0.5)]
        for tier in opened:
            gate = {"cluster": holder, "namespace": NAMESPACE, "policy": name, "tier": tier}
            self.failed.append((FLEET, make("TrafficOverride", f"{name}-{len(self.failed)}", spec={"open": gate})))
        return {"policy": {"holder": holder or "the fleet", **spec}, **({"open": opened} if opened else {})}

    def _flomesh(self, name, where, addresses):
        """Add an import of other clusters' gateways, and a policy; return both for people."""
        keys = {site.name: f"{site.region}/default/default/{site.name}" for site in self.sites}
        others = {key: next(addresses) for site, key in keys.items() if site != where.cluster}
        ways = [flomesh_world.gateway(key, address, port=self.backend_port) for key, address in others.items()]
        kind = self.random.choice(("Locality", "FailOver", "FailOver", "ActiveActive", "ActiveActive"))
        targets = self.some([*keys.values()], 3) if self.chance(0.7) else []
        if kind == "ActiveActive":
            targets = [(key, self.random.choice((0, 10, 50, 100))) if self.chance(0.7) else key for key in targets]
        policy = flomesh_world.policy(kind, *targets, name=name)
        self.objects += [(where.cluster, flomesh_world.imported(name, *ways)), (where.cluster, policy)]
        return {"gateways": others, "Flomesh policy": {"type": kind, "targets": [str(one) for one in targets]}}

    def _drain(self, name):
        """Add a drain in the middle of its ramp, or at its end, by chance; return it for people."""
        if self.chance(0.6):
            return {}
        steps, site = self.random.randint(2, 10), self.random.choice(self.sites)
        cluster, zone = {"cluster": site.name}, {"zone": self.random.choice(site.zones)}
        place = self.random.choice((cluster, {"region": site.region}, zone, {**cluster, **zone}))
        drain = {**place, "step": self.random.randint(1, steps if self.chance(0.15) else steps - 1), "steps": steps}
        spec = {"drain": {**drain, "services": [f"{NAMESPACE}/{name}"]}}
        self.failed.append((FLEET, make("TrafficOverride", f"{name}-drain", spec=spec)))
        return {"drain": drain}

    def _settings(self):
        spec: dict[str, object] = {}
        if self.chance(0.4):
            spec["spillBelowHealthyPercent"] = self.random.choice((30, 50, 72, 90, 100, 100))
        if self.chance(0.4):
            spec["panicBelowHealthyPercent"] = self.random.choice((20, 40, 60, 80, 100))
        if self.chance(0.1):
            spec["sovereignty"] = [self._place()]
        return spec

    def _ladder(self):
        if self.chance(0.1):
            return {}
        return {"strategy": self._strategy()} if self.chance(0.4) else {"tiers": self._tiers()}

    def _stair(self):
        names = self.random.sample([site.name for site in self.sites], len(self.sites))
        return {"tiers": [{"name": name, "places": [{"clusters": [name]}]} for name in names]}

    def _strategy(self):
        strategy: dict[str, object] = {"type": self.random.choice(STRATEGIES)}
        names = [site.name for site in self.sites]
        match strategy["type"]:
            case "FailOver":
                strategy["clusters"] = self.some(names, 4)
            case "ActiveActive":
                strategy["weights"] = self._weights() if self.chance(0.6) else []
            case "TwoSitesThreeCenters" | "RemoteDR":
                regions = [*self.regions]
                self.random.shuffle(regions)
                strategy |= {"primary": regions[0], "remote": regions[-1], "gate": self.random.choice(("Open", "Manual"))}
        return strategy

    def _tiers(self):
        tiers = [self._tier(index) for index in range(self.random.choice((1, 2, 3, 3, 3, 4)))]
        return [*tiers, {"name": "the rest", "places": [{"clusters": ["*"]}]}] if self.chance(0.6) else tiers

    def _tier(self, index):
        places = [self._place() for _ in range(self.random.choice((1, 1, 2)))]
        tier: dict[str, object] = {"name": f"tier {index}", "places": places}
        if index and self.chance(0.25):
            tier["gate"] = self.random.choice(("Manual", "Manual", "Manual", "Closed"))
        if self.chance(0.3):
            tier["weights"] = self._weights()
        elif self.chance(0.3):
            tier["weighBy"] = "Capacity"
        return tier

    def _place(self):
        names = ["@own", *(site.name for site in self.sites)]
        zones = sorted({zone for site in self.sites for zone in site.zones})
        kind = self.random.choice(("clusters", "clusters", "clusters", "regions", "zones", "both", "others"))
        match kind:
            case "clusters":
                return {"clusters": self.some(names)}
            case "regions":
                return {"regions": self.some(["@own", *self.regions])}
            case "zones":
                return {"zones": self.some(["@own", *zones])}
            case "both":
                return {"clusters": self.some(names, 3), "zones": self.some(["@own", *zones])}
        providers = sorted({site.spec["provider"] for site in self.sites})
        if self.chance(0.5):
            return {"providers": self.some(["@own", *providers])}
        return {"clusterSelector": {"matchLabels": {"stage": self.random.choice(providers)[-1]}}}

    def _weights(self):
        """Return weights of all places, some of them in particular."""
        named = [{"cluster": one} for one in ("@own", *(site.name for site in self.sites))]
        named += [{"region": one} for one in ("@own", *self.regions)] + [{"zone": "@own"}, {"zone": "a"}]
        weights = [{**one, "weight": self.random.choice((0, 1, 2, 5, 30))} for one in self.some(named, 4)]
        return [*weights, {"weight": self.random.randint(1, 9)}] if self.chance(0.7) else weights


def _told(states):
    names = {id(READY): "ready", id(WAITING): "not ready", id(DRAINING): "draining"}
    counts = Counter(names[id(state)] for state in states)
    return ", ".join(f"{number} {name}" for name, number in sorted(counts.items())) or "none"
