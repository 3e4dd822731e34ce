"""A control plane made by hand, for tests of the admin API and of xdsctl."""

from collections import Counter

from xds.admin.state import Timing
from xds.model.events import MemberState
from xds.model.fleet import Fleet
from xds.model.members import Member
from xds.model.objects import ScopeSpec
from xds.model.service import Endpoint, Health, Locality, Port, Protocol, Service, ServiceKey
from xds.model.view import Role, View
from xds.problems import Problem, Ref
from xds.protocol import Rejection, ResourceStatus, State, StreamInfo, TypeStatus
from xds.server.admission import Admission
from xds.server.counters import Counters
from xds.server.loads import Loads
from xds.snapshot.resource import Resource
from xds.snapshot.store import SnapshotStore
from xds.wire import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET, envoy, to_bytes

WEB = "web.shop.svc.cluster.local:80"
PRIVATE_KEY = b"-----BEGIN PRIVATE KEY-----"
EAST = View("east", "default", "eu", "eu-1", Role.SIDECAR, "shop", listen="127.0.0.1:15001")
WEST = View("west", "default", "us", "us-1", Role.GATEWAY, "")
SERVICE = Ref("east", "Service", "shop", "web", "7")
EXPORT = Ref("east", "ServiceExport", "shop", "web")
NOW_S = 1_700_000_000.0


def cluster(name, timeout_s=1):
    message = envoy.Cluster(name=name)
    message.connect_timeout.FromSeconds(timeout_s)
    return Resource.of(CLUSTER, name, to_bytes(message), origins=(SERVICE,))


def secret(name):
    message = envoy.Secret(name=name)
    message.tls_certificate.private_key.inline_bytes = PRIVATE_KEY
    return Resource.of(SECRET, name, to_bytes(message))


def assignment(name):
    """Two endpoints first, one of them not healthy, then an empty priority, then one far away."""
    message = envoy.ClusterLoadAssignment(cluster_name=name)
    east = message.endpoints.add(
        locality={"region": "eu", "zone": "eu-1", "sub_zone": "east"}, load_balancing_weight={"value": 2}
    )
    message.endpoints.add(priority=1, locality={}, load_balancing_weight={"value": 1})
    west = message.endpoints.add(priority=2, locality={"region": "us", "sub_zone": "west"}, load_balancing_weight={"value": 1})
    for group, address, health in ((east, "10.0.0.1", "HEALTHY"), (east, "10.0.0.2", "UNHEALTHY"), (west, "fd00::1", "HEALTHY")):
        socket = group.lb_endpoints.add(health_status=health).endpoint.address.socket_address
        socket.address, socket.port_value = address, 8080
    return Resource.of(ENDPOINT, name, to_bytes(message))


def by_name(*resources):
    types = {}
    for resource in resources:
        types.setdefault(resource.type_url, {})[resource.name] = resource
    return types


def service(key, *addresses, vips, origins=()):
    place = Locality("eu", "eu-1", "east")
    found = tuple(Endpoint(place, (address,), 8080, Health.HEALTHY) for address in addresses)
    ports = (Port(80, "http", Protocol.HTTP), Port(81, "admin", Protocol.HTTP))
    return Service(key, ports, {80: found, 81: found}, vips, frozenset({"east"}), origins=origins)


def stream(node_id, view, types, *, kind="delta", connected_at_s=NOW_S, rejections=()):
    """Return a stream; what it rejected are `Rejection`s."""

    def withheld(type_url):
        return {found.resource.name: found for found in rejections if found.resource.type_url == type_url}

    def resources(type_url, among=None):
        return [
            ResourceStatus(name, State.ERROR, found.resource, found.resource.version, "old", None, None, found.error, found.at_s)
            for name, found in sorted(withheld(type_url).items())
            if among is None or name in among
        ]

    return StreamInfo(node_id, view, "ipv4:127.0.0.1:40000", kind, "ads", connected_at_s, types, resources, withheld)


def report_loads(plane, *, issued=10):
    """Have two clients report requests, and one of them requests that were dropped."""
    locality = {"region": "eu", "zone": "eu-1", "sub_zone": "east"}
    web, once, api = (envoy.ClusterStats(cluster_name=name) for name in (WEB, WEB, "api"))
    web.upstream_locality_stats.add(
        locality=locality,
        total_issued_requests=issued,
        total_successful_requests=8,
        total_error_requests=1,
        total_requests_in_progress=1,
    )
    once.upstream_locality_stats.add(locality=locality, total_issued_requests=1, total_successful_requests=1)
    api.dropped_requests.add(category="lb", dropped_count=3)
    api.total_dropped_requests = 3
    for reporter, view, stats in ((1, EAST, [web, api, envoy.ClusterStats(cluster_name="own")]), (2, WEST, [once])):
        plane.loads.join(reporter)
        plane.loads.report(reporter, view, {WEB, "api"}, stats, now_s=NOW_S)


class FakePlane:
    """`xds.admin.state.ControlPlane`, each value an attribute that a test may change."""

    def __init__(self):
        self.started_at_s = NOW_S
        self.xds_address = "127.0.0.1:18000"
        self.not_ready = ""
        self.hub = ""
        self.hub_failure = ""
        self.members = {
            "west": Member("west", "us", ("us-1",), state=MemberState.STALE, reason="no answer for 3 m"),
            "east": Member("east", "eu", ("eu-1", "eu-2"), state=MemberState.CONNECTED),
        }
        self.states_since_s = {"west": NOW_S, "east": NOW_S + 60}
        own, merged = ServiceKey("shop", "web", "east"), ServiceKey("shop", "web")
        self.services = {
            own: service(own, "10.0.0.1", "10.0.0.2", vips={"east": ("10.96.0.1",)}),
            merged: service(merged, "10.0.0.1", vips={"east": ("10.97.0.1",)}, origins=(EXPORT,)),
        }
        self.fleet = Fleet()
        self.clusters = {}
        self.imports = {}
        self.sharing = lambda _namespace, _name: None
        self.remotes = {}
        self.counters = Counters(
            streams_opened=Counter({"ads delta": 3}), streams_closed=Counter({"ads delta": 1}), nacks=Counter({"lds": 1}), wakes=5
        )
        self.admission = Admission(64, 2)
        self.admission.waiting, self.admission.active, self.admission.admitted, self.admission.overdue = 3, 2, 7, 1
        self.loads = Loads()
        self.dns_queries = {("A", "NXDOMAIN"): 3}
        self.timings = {"translate": Timing(2, 0.5)}
        self.found = [
            Problem("XDS0206", "has no ports", SERVICE, "spec.ports", "add a port", "east/web.yaml:3"),
            Problem("XDS0101", "cannot be parsed", source="west/bad.yaml:9"),
        ]
        self.store = SnapshotStore()
        listener = Resource.of(LISTENER, "outbound", to_bytes(envoy.Listener(name="outbound")), origins=(SERVICE, EXPORT))
        route = Resource.of(ROUTE, "outbound", to_bytes(envoy.RouteConfiguration(name="outbound")))
        first = by_name(cluster(WEB), cluster("old"), assignment(WEB), listener, route, secret("tls"))
        self.store.publish(EAST, first, at_s=NOW_S, trigger="the first client of the view")
        change = {CLUSTER: {WEB: cluster(WEB, 5), "new": cluster("new"), "old": None}}
        self.store.publish(EAST, change, at_s=NOW_S + 60, trigger="shop/web")
        self.store.publish(WEST, by_name(cluster(WEB)), at_s=NOW_S, trigger="the first client of the view")
        error = "Listener outbound:\nbad address"
        rejected = TypeStatus(State.ERROR, NOW_S, sent_version="b", nacked_nonce="1", nack_error=error, nack_at_s=NOW_S)
        rejected.nack_names, rejected.nack_blamed, rejected.nacks = ("outbound",), ("outbound",), 1
        self.rejection = Rejection(listener, error, NOW_S)
        self.suspects = []
        self.scopes = {}
        synced = TypeStatus(State.SYNCED, NOW_S, sent_version="a", acked_version="a")
        self.open = [
            stream("envoy-2", EAST, {LISTENER: rejected, CLUSTER: synced}, rejections=[self.rejection]),
            stream("envoy-1", EAST, {CLUSTER: TypeStatus(State.STALE, NOW_S), "type.googleapis.com/a.B": synced}),
            stream("gw", WEST, {CLUSTER: TypeStatus(State.NOT_SENT, NOW_S)}, kind="sotw"),
        ]

    def take(self, fleet):
        """Have the members, services and problems of a fleet instead."""
        self.members, self.services, self.found = fleet.members, fleet.services, fleet.problems()
        self.fleet = fleet
        self.clusters, self.imports = fleet.clusters, fleet.imports
        self.sharing, self.remotes = fleet.sharing, fleet.remotes

    def scope_of(self, member):
        return self.scopes.get(member, ScopeSpec())

    def source_of(self, member):
        return f"directory clusters/{member}"

    def problems(self):
        return self.found

    def quarantined(self):
        return self.suspects

    def streams(self):
        return self.open

    def versions(self, view=EAST):
        """Versions of the kept snapshots, oldest first."""
        return [snapshot.version for snapshot in self.store.history(view)]
