"""A node's view: every default is told, and what nobody can serve is refused."""

from __future__ import annotations

import pytest

from xds.errors import NodeRejectedError
from xds.model.members import Member
from xds.model.node import KNOWN_KEYS, UNKNOWN_KEYS, Node, view_of
from xds.model.view import Intercept, Role, View

MEMBERS = {
    "east": Member("east", "eu", ("eu-a", "eu-b")),
    "north": Member("north", "eu", ("eu-c",)),
    "west": Member("west", "us", ("us-a",), network="blue"),
    "bare": Member("bare"),
}
PLACED = {"region": "eu", "zone": "eu-a"}
SIDECAR = View("east", "default", "eu", "eu-a", Role.SIDECAR, "shop", Intercept.EXPLICIT, "", "127.0.0.1:15001")


def resolve(*, by_node=False, members=MEMBERS, node_id="web-1", user_agent="", region="eu", zone="eu-a", **metadata):
    node = Node(node_id, "web", region, zone, {"isthmus": metadata} if metadata else {}, user_agent)
    view, problems = view_of(node, members, by_node=by_node)
    assert {problem.code for problem in problems} <= {"XDS0502", "XDS0504"}
    assert all(problem.message.startswith(f"node {node_id!r}: ") for problem in problems)
    return view, {problem.field.removeprefix("node."): problem.message.partition(": ")[2] for problem in problems}


def test_everything_said_and_nothing_to_note():
    assert resolve(cluster="east", namespace="shop") == (SIDECAR, {})


def test_nothing_said_at_all():
    view, noted = resolve(members={}, region="", zone="")
    assert view == View(role=Role.SIDECAR, namespace="default", listen="127.0.0.1:15001")
    assert noted == {
        "metadata.isthmus.cluster": "missing, and no single member fits the node's locality; only cluster-set names are served",
        "metadata.isthmus.namespace": "missing; using 'default'",
        "locality.region": "missing; nothing counts as the same region",
        "locality.zone": "missing; nothing counts as the same zone",
    }


def test_the_only_member_in_the_locality():
    view, noted = resolve(namespace="shop")
    assert view == SIDECAR
    assert noted == {"metadata.isthmus.cluster": "missing; using 'east', the only member in the node's locality"}


@pytest.mark.parametrize(("region", "zone"), [("eu", ""), ("eu", "eu-x"), ("mars", "m-1"), ("", "eu-a")])
def test_no_single_member_in_the_locality(region, zone):
    view, noted = resolve(namespace="shop", region=region, zone=zone)
    assert view.cluster == ""
    assert "only cluster-set names are served" in noted["metadata.isthmus.cluster"]


def test_region_and_network_default_to_the_members():
    view, noted = resolve(cluster="west", namespace="shop", region="", zone="us-a")
    assert (view.region, view.network) == ("us", "blue")
    assert noted == {"locality.region": "missing; using 'us'"}


def test_the_zone_defaults_to_the_only_one_of_the_member():
    view, noted = resolve(cluster="north", namespace="shop", zone="")
    assert view.zone == "eu-c"
    assert noted == {"locality.zone": "missing; using 'eu-c'"}


def test_a_member_without_a_place_gives_none():
    view, noted = resolve(cluster="bare", namespace="shop", region="", zone="")
    assert (view.region, view.zone) == ("", "")
    assert noted == {
        "locality.region": "missing; nothing counts as the same region",
        "locality.zone": "missing; nothing counts as the same zone",
    }


def test_a_network_of_its_own():
    assert resolve(cluster="east", namespace="shop", network="blue")[0].network == "blue"
    view, noted = resolve(cluster="east", namespace="shop", network="typo")
    assert view.network == "typo"
    assert noted == {
        "metadata.isthmus.network": "'typo' is no member's network, so no endpoint is reachable; members have blue, default"
    }


def test_grpc_is_proxyless_unless_it_says_otherwise():
    view, noted = resolve(cluster="east", user_agent="gRPC C-core linux")
    assert view == View("east", "default", "eu", "eu-a", Role.PROXYLESS, namespace="")
    assert noted == {}, "a namespace changes nothing for it"
    assert resolve(cluster="east", namespace="shop", role="sidecar", user_agent="gRPC Go")[0].role is Role.SIDECAR
    assert resolve(cluster="east", namespace="shop", user_agent="envoy")[0].role is Role.SIDECAR


def test_proxyless_and_gateway_views_do_not_differ_by_namespace():
    for role in ("proxyless", "gateway"):
        assert resolve(cluster="east", role=role, namespace="a") == resolve(cluster="east", role=role, namespace="b")


def test_gateways():
    assert resolve(cluster="east", role="gateway") == (View("east", "default", "eu", "eu-a", Role.GATEWAY, ""), {})
    assert resolve(cluster="east", role="gateway", gateway="shop/public")[0].gateway == "shop/public"
    assert resolve(cluster="east", role="gateway", gateway="public", namespace="shop")[0].gateway == "shop/public"
    view, noted = resolve(cluster="east", role="gateway", gateway="public")
    assert view.gateway == "default/public"
    assert noted == {"metadata.isthmus.namespace": "missing; using 'default'"}


def test_intercept_and_listen_belong_to_sidecars_and_nodes():
    assert resolve(cluster="east", namespace="shop", intercept="transparent")[0].listen == "0.0.0.0:15001"
    assert resolve(cluster="east", namespace="shop", role="node")[0] == View(
        "east", "default", "eu", "eu-a", Role.NODE, "shop", Intercept.EXPLICIT, "", "127.0.0.1:15001"
    )
    view, _ = resolve(cluster="east", role="gateway", intercept="transparent", listen="nonsense")
    assert (view.intercept, view.listen) == (Intercept.EXPLICIT, "")


def test_views_are_kept_apart_by_node_only_where_a_policy_needs_it():
    said = {"cluster": "east", "namespace": "shop", "node_name": "n1"}
    assert resolve(**said)[0].node_name == ""
    assert resolve(**said, by_node=True)[0].node_name == "n1"


def test_unknown_keys_are_noted():
    _, noted = resolve(cluster="east", namespace="shop", colour="red", labels={"a": "b"})
    assert noted == {"metadata.isthmus.colour": f"unknown key; known are {', '.join(sorted(KNOWN_KEYS))}"}


def test_thousands_of_unknown_keys_are_few_problems():
    _, noted = resolve(cluster="east", namespace="shop", **{f"key-{number:04}": "" for number in range(5000)})
    assert len(noted) == UNKNOWN_KEYS + 1
    assert noted["metadata.isthmus"] == f"4980 more unknown keys; known are {', '.join(sorted(KNOWN_KEYS))}"


@pytest.mark.parametrize("listen", ["127.0.0.1:1", "[::]:15001", "::1:65535", "0.0.0.0:15001"])
def test_where_one_can_listen(listen):
    assert resolve(cluster="east", namespace="shop", listen=listen)[0].listen == listen


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            {"cluster": "estonia"},
            "metadata.isthmus.cluster 'estonia' is not a member cluster; members are bare, east, north, west",
        ),
        ({"cluster": 7}, "metadata.isthmus.cluster must be a string, not int"),
        ({"namespace": ["shop"]}, "metadata.isthmus.namespace must be a string, not list"),
        ({"role": "router"}, "metadata.isthmus.role is 'router'; use one of sidecar, node, gateway, proxyless"),
        ({"intercept": "all"}, "metadata.isthmus.intercept is 'all'; use one of explicit, transparent"),
        *(
            ({"listen": text}, f"metadata.isthmus.listen is {text!r}; use ADDRESS:PORT, e.g. 127.0.0.1:15001")
            for text in (
                "15001",
                "localhost:15001",
                "127.0.0.1:0",
                "127.0.0.1:65536",
                "127.0.0.1:",
                "127.0.0.1:8٣",
                "[fe80::1%a]:1",
            )
        ),
        ({"network": None}, "metadata.isthmus.network must be a string, not NoneType"),
    ],
)
def test_refusals(said, reason):
    with pytest.raises(NodeRejectedError) as caught:
        resolve(**{"cluster": "east", **said})
    assert (caught.value.node_id, caught.value.reason) == ("web-1", reason)
    assert str(caught.value) == f"node 'web-1': {reason}"


def test_metadata_that_is_no_object():
    with pytest.raises(NodeRejectedError, match="must be an object, not str"):
        view_of(Node("a", metadata={"isthmus": "east"}), MEMBERS)


def test_no_members_at_all():
    with pytest.raises(NodeRejectedError, match="members are none"):
        resolve(members={}, cluster="east")


def test_views_for_people():
    assert str(SIDECAR) == "sidecar@east/eu/eu-a ns=shop explicit 127.0.0.1:15001"
    assert str(View(role=Role.GATEWAY, namespace="", gateway="shop/public")) == "gateway@-/-/- shop/public"
    assert str(View("east", "vpn", role=Role.PROXYLESS, namespace="")) == "proxyless@east/-/- net=vpn"
