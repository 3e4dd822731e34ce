import pytest
from dns_specification import answer, records
from dns_world import GRPC, HTTP, World, clusterset_ip, endpoint, headless, labels
from hypothesis import given
from hypothesis import strategies as st

from xds.dns.names import Target
from xds.dns.zone import Zone
from xds.errors import ConfigurationError
from xds.model.events import Standing
from xds.model.fleet import FleetChange
from xds.model.members import Member
from xds.model.service import Health, Port, Protocol, ServiceKey

SHOP = "shop.svc.clusterset.local"


def zone_of(*services, cluster="east"):
    zone = Zone(World.of(*services))
    zone.open(cluster)
    return zone


def ask(zone, name, kind="A"):
    found = zone.answer(labels(name), kind)
    return str(found.outcome), set(found.data)


DUAL = clusterset_ip("dual", east=("10.96.0.2", "fd00::2"), ports=(HTTP, GRPC, Port(99, "", Protocol.TCP)))
DB = headless(
    endpoint("10.1.0.1", "fd01::1", hostname="db-0"),
    endpoint("10.2.0.1", hostname="db-0", cluster="west"),
    endpoint("10.2.0.2", cluster="west"),
    endpoint("fd02::3", cluster="west"),
    endpoint("10.1.0.9", hostname="gone", health=Health.UNHEALTHY),
    endpoint("10.1.0.8", hostname="leaving", health=Health.DRAINING),
    endpoint("10.9.0.1", hostname="far", network="other"),
    ports=(HTTP, Port(99, "", Protocol.TCP)),
)
IDLE = headless(endpoint("10.1.0.9", health=Health.UNHEALTHY), name="idle")


@pytest.mark.parametrize(
    ("name", "kind", "outcome", "data"),
    [
        (f"web.{SHOP}", "A", "NOERROR", {"10.96.0.1"}),
        (f"web.{SHOP}", "AAAA", "NOERROR", set()),
        (f"web.{SHOP}", "SRV", "NOERROR", set()),
        (f"web.{SHOP}", "ANY", "NOERROR", {"10.96.0.1"}),
        (f"dual.{SHOP}", "AAAA", "NOERROR", {"fd00::2"}),
        (f"_http._tcp.dual.{SHOP}", "SRV", "NOERROR", {Target(80, labels(f"dual.{SHOP}"))}),
        (f"_grpc._tcp.dual.{SHOP}", "SRV", "NOERROR", {Target(90, labels(f"dual.{SHOP}"))}),
        (f"_http._tcp.dual.{SHOP}", "A", "NOERROR", set()),
        (f"_tcp.dual.{SHOP}", "SRV", "NOERROR", set()),
        (f"_http._udp.dual.{SHOP}", "SRV", "NXDOMAIN", set()),
        (f"__tcp.dual.{SHOP}", "SRV", "NXDOMAIN", set()),
        (f"east.web.{SHOP}", "A", "NXDOMAIN", set()),
        (f"x.web.{SHOP}", "A", "NXDOMAIN", set()),
        (f"db.{SHOP}", "A", "NOERROR", {"10.1.0.1", "10.2.0.1", "10.2.0.2"}),
        (f"db.{SHOP}", "AAAA", "NOERROR", {"fd01::1", "fd02::3"}),
        (f"db-0.east.db.{SHOP}", "A", "NOERROR", {"10.1.0.1"}),
        (f"db-0.east.db.{SHOP}", "AAAA", "NOERROR", {"fd01::1"}),
        (f"db-0.west.db.{SHOP}", "A", "NOERROR", {"10.2.0.1"}),
        (f"db-0.west.db.{SHOP}", "AAAA", "NOERROR", set()),
        (f"10-2-0-2.west.db.{SHOP}", "A", "NOERROR", {"10.2.0.2"}),
        (f"fd02--3.west.db.{SHOP}", "AAAA", "NOERROR", {"fd02::3"}),
        (
            f"_http._tcp.db.{SHOP}",
            "SRV",
            "NOERROR",
            {Target(8080, labels(f"{host}.db.{SHOP}")) for host in ("db-0.east", "db-0.west", "10-2-0-2.west", "fd02--3.west")},
        ),
        # No record for a cluster alone (2.4.4); NODATA, since there are names below it (RFC 8020).
        (f"east.db.{SHOP}", "A", "NOERROR", set()),
        (f"north.db.{SHOP}", "A", "NXDOMAIN", set()),
        (f"gone.east.db.{SHOP}", "A", "NXDOMAIN", set()),
        (f"leaving.east.db.{SHOP}", "A", "NXDOMAIN", set()),
        (f"far.east.db.{SHOP}", "A", "NXDOMAIN", set()),
        (f"idle.{SHOP}", "A", "NXDOMAIN", set()),
        (f"_http._tcp.idle.{SHOP}", "SRV", "NXDOMAIN", set()),
        ("idle.other.svc.clusterset.local", "A", "NXDOMAIN", set()),
        (SHOP, "A", "NOERROR", set()),
        ("other.svc.clusterset.local", "A", "NXDOMAIN", set()),
        ("svc.clusterset.local", "A", "NOERROR", set()),
        ("pod.clusterset.local", "A", "NXDOMAIN", set()),
        ("clusterset.local", "A", "NOERROR", set()),
        ("dns-version.clusterset.local", "TXT", "NOERROR", {"1.0.0"}),
        ("dns-version.clusterset.local", "A", "NOERROR", set()),
        ("x.dns-version.clusterset.local", "TXT", "NXDOMAIN", set()),
        ("web.shop.svc.cluster.local", "A", "REFUSED", set()),
        ("xclusterset.local", "A", "REFUSED", set()),
        ("local", "A", "REFUSED", set()),
        ("1.0.96.10.in-addr.arpa", "PTR", "REFUSED", set()),
    ],
)
def test_answers(name, kind, outcome, data):
    zone = zone_of(clusterset_ip(), DUAL, DB, IDLE, headless(endpoint("10.1.0.9"), name="idle", namespace="x", visible_in=()))
    assert ask(zone, name, kind) == (outcome, data)


def test_ttls():
    zone = zone_of(clusterset_ip())
    assert zone.answer(labels(f"web.{SHOP}"), "A").ttl_s == 5
    assert zone.answer(labels("dns-version.clusterset.local"), "TXT").ttl_s == 28_800


def test_each_member_has_its_own_addresses():
    web = clusterset_ip()
    assert ask(zone_of(web, cluster="west"), f"web.{SHOP}") == ("NOERROR", {"10.97.0.1"})
    assert ask(zone_of(clusterset_ip(west=("10.97.0.1",))), f"web.{SHOP}") == ("NXDOMAIN", set())
    assert ask(zone_of(clusterset_ip(visible_in=("west",))), f"web.{SHOP}") == ("NXDOMAIN", set())


def test_a_demoted_endpoint_is_ready():
    assert ask(zone_of(headless(endpoint("10.1.0.1", health=Health.DEGRADED))), f"db.{SHOP}") == ("NOERROR", {"10.1.0.1"})


def test_an_endpoint_of_a_lost_cluster_is_told_to_its_own_clients_alone():
    db = headless(endpoint("10.1.0.1", standing=Standing.REMOVED))
    assert ask(zone_of(db), f"db.{SHOP}") == ("NOERROR", {"10.1.0.1"})
    assert ask(zone_of(db, cluster="west"), f"db.{SHOP}")[1] == set()


def test_a_hostname_that_is_none_is_not_used():
    zone = zone_of(headless(endpoint("10.1.0.1", hostname="a.b"), endpoint("10.1.0.2", hostname="UPPER")))
    assert ask(zone, f"10-1-0-1.east.db.{SHOP}") == ("NOERROR", {"10.1.0.1"})
    assert ask(zone, f"upper.east.db.{SHOP}") == ("NOERROR", {"10.1.0.2"})


def test_names_that_are_too_long_are_left_out():
    long = "n" * 63
    zone = zone_of(headless(endpoint("10.1.0.1", hostname=long, cluster=long), name=long, namespace=long))
    base = f"{long}.{long}.svc.clusterset.local"
    assert ask(zone, base) == ("NOERROR", {"10.1.0.1"})
    assert ask(zone, f"_http._tcp.{base}", "SRV") == ("NXDOMAIN", set())
    assert ask(zone_of(clusterset_ip("ü")), f"ü.{SHOP}") == ("NXDOMAIN", set())


def test_an_id_of_two_labels():
    zone = zone_of(headless(endpoint("10.1.0.1", hostname="db-0", cluster="east.prod")))
    assert ask(zone, f"db-0.east.prod.db.{SHOP}") == ("NOERROR", {"10.1.0.1"})
    assert ask(zone, f"prod.db.{SHOP}") == ("NOERROR", set())


def test_nothing_is_known_before_it_is_opened_or_while_the_member_is_gone():
    world = World.of(clusterset_ip())
    zone = Zone(world)
    zone.changed(FleetChange(services=frozenset(world.services)))
    assert ask(zone, f"web.{SHOP}") == ("SERVFAIL", set())
    assert ask(zone, "example.org") == ("REFUSED", set())
    zone.open("east")
    east = world.members.pop("east")
    zone.changed(FleetChange(members=True))
    assert ask(zone, f"web.{SHOP}") == ("SERVFAIL", set())
    world.members["east"] = east
    zone.changed(FleetChange(members=True))
    assert ask(zone, f"web.{SHOP}") == ("NOERROR", {"10.96.0.1"})


def test_pods_are_named_by_the_id_that_their_cluster_has_in_the_set():
    world = World.of(
        headless(endpoint("10.2.0.1", cluster="west", hostname="db-0"), endpoint("10.3.0.1", cluster="far", hostname="db-0"))
    )
    world.members["west"] = Member("west", property_id="site-b.prod")
    zone = Zone(world)
    zone.open("east")
    assert ask(zone, f"db-0.site-b.prod.db.{SHOP}") == ("NOERROR", {"10.2.0.1"})
    assert ask(zone, f"db-0.west.db.{SHOP}") == ("NXDOMAIN", set())
    assert ask(zone, f"db-0.far.db.{SHOP}") == ("NOERROR", {"10.3.0.1"})
    world.members["west"] = Member("west")
    zone.changed(FleetChange(members=True))
    assert ask(zone, f"db-0.west.db.{SHOP}") == ("NOERROR", {"10.2.0.1"})


def test_the_only_member_needs_no_name():
    world = World(members={"east": Member("east")})
    assert Zone(world).open(None) == "east"
    world.members["west"] = Member("west")
    with pytest.raises(ConfigurationError, match="--dns-cluster NAME; known are east, west"):
        Zone(world).open(None)
    with pytest.raises(ConfigurationError, match="there is no cluster 'north' to answer DNS for; known are east, west"):
        Zone(world).open("north")


def test_what_is_asked_for_and_does_not_exist_is_not_kept():
    zone = zone_of(clusterset_ip())
    for index in range(100):
        ask(zone, f"x{index}.{SHOP}")
    assert zone._names == {}


NAMES, NAMESPACES = ("web", "db", "svc"), ("shop", "svc")
KEYS = [ServiceKey(namespace, name) for namespace in NAMESPACES for name in NAMES]
PORTS = (HTTP, GRPC, Port(99, "", Protocol.TCP))
VIPS = st.sampled_from([(), ("10.96.0.1",), ("fd00::1",), ("10.96.0.2", "fd00::2")])
ENDPOINTS = st.builds(
    lambda addresses, **fields: endpoint(*addresses, **fields),
    st.sampled_from([("10.1.0.1",), ("10.1.0.2",), ("fd00::2",), ("10.1.0.3", "fd00::3")]),
    cluster=st.sampled_from(["east", "west"]),
    port=st.sampled_from([8080, 9090]),
    health=st.sampled_from([*Health, Health.HEALTHY]),
    network=st.sampled_from(["default", "default", "other"]),
    hostname=st.sampled_from(["", "", "a", "west"]),
)


@st.composite
def services(draw, key):
    ports = tuple(draw(st.lists(st.sampled_from(PORTS), unique=True, max_size=3)))
    if draw(st.booleans()):
        made = headless(name=key.name, namespace=key.namespace, ports=ports)
        made.endpoints.update({port.number: tuple(draw(st.lists(ENDPOINTS, max_size=4))) for port in ports})
        return made
    vips = draw(st.dictionaries(st.sampled_from(["east", "west"]), VIPS, min_size=1))
    visible_in = draw(st.sampled_from([("east", "west"), ("west",)]))
    return clusterset_ip(key.name, key.namespace, ports, visible_in, **vips)


STEPS = st.one_of(
    st.sampled_from(KEYS).flatmap(lambda key: st.tuples(st.just(key), st.none() | services(key))),
    st.sampled_from(["default", "other"]),
)
PREFIXES = ("", "east.", "a.", "a.east.", "_http._tcp.", "_tcp.", "_.", "x.")
GUESSES = {f"{prefix}{key.fqdn}" for prefix in PREFIXES for key in KEYS} | {f"{name}.svc.clusterset.local" for name in NAMESPACES}


@given(st.lists(STEPS, min_size=1, max_size=8))
def test_whatever_happens_it_answers_as_the_specification_says(steps):
    world = World()
    zone = Zone(world)
    zone.open("east")
    for step in steps:
        if isinstance(step, str):
            world.members["east"] = Member("east", network=step)
            zone.changed(FleetChange(members=True))
        else:
            zone.changed(world.put(*step))
        found = records(world.services.values(), "east", world.members["east"].network)
        names = {name for name, _, _ in found}
        parents = {name.split(".", cut)[-1] for name in names for cut in (1, 2) if name.count(".") >= cut}
        for name in sorted(names | parents | GUESSES | {"svc.clusterset.local"}):
            for kind in ("A", "AAAA", "SRV", "TXT"):
                outcome, told = ask(zone, name, kind)
                told = {(one.port, ".".join(one.host)) if isinstance(one, Target) else one for one in told}
                assert (outcome, told) == answer(found, name, kind), (name, kind)
