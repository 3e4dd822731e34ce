import pytest

from xds.problems import Ref
from xds.protocol.blame import named_in, objects_named_in

QUOTED_CLUSTER = """goo.gle/debugproto
name: "one"
type: EDS
eds_cluster_config {
  eds_config {
    ads {
    }
    resource_api_version: V3
  }
  service_name: "two"
}
transport_socket {
  typed_config {
    type_url: "x"
  }
}
: Proto constraint validation failed (ClusterValidationError.TransportSocket: embedded message failed validation | caused by \
TransportSocketValidationError.Name: value length must be at least 1 characters)"""

QUOTED_MANAGER = """Error adding/updating listener(s) web.shop:80: goo.gle/debugstr
route_config {
  name: "inline"
  virtual_hosts {
    name: "all"
    domains: "*"
  }
}
http_filters {
  name: "router"
}
: Proto constraint validation failed (HttpConnectionManagerValidationError.StatPrefix: value length must be at least 1 characters)
api: error adding listener named 'api': address is necessary
"""

DUPLICATE_ADDRESS = (
    "Error adding/updating listener(s) m: error adding listener: 'm' has duplicate address '127.0.0.1:15510' as existing "
    "listener, to check if the listener has duplicated addresses with other listeners or 'enable_reuse_port' is set to 'false' "
    "for the listener\n"
)

NOT_PROVIDED = (
    "Error adding/updating cluster(s) bad.shop:80: cluster manager: cluster provided LB specified but cluster 'bad.shop:80' "
    "did not provide one. Check cluster documentation., worse:80: Didn't find a registered implementation for "
    "'nonexistent.socket' with type URL: ''"
)

CUT = "Error adding/updating cluster(s) web: no, db-1.some-rather-long-name: no, bad...(truncated)"

REAL = [  # watched on Envoy 1.40
    (QUOTED_CLUSTER, {"one", "two"}, {"one"}),
    (QUOTED_MANAGER, {"web.shop:80", "api", "inline", "all", "router"}, {"web.shop:80", "api"}),
    (DUPLICATE_ADDRESS, {"l", "m"}, {"m"}),
    (NOT_PROVIDED, {"bad.shop:80", "worse:80", "good:80", "bad.shop"}, {"bad.shop:80", "worse:80"}),
    ("Unexpected EDS cluster (expecting b): other", {"a", "b", "c"}, {"b"}),
    ("Unexpected SDS secret (expecting ca): other", {"ca", "cert"}, {"ca"}),
    ("Only a single wildcard domain is permitted in route r2", {"r1", "r2"}, {"r2"}),
    ("duplicate name a found among added/updated resources", {"a", "b"}, {"a"}),
    ("duplicate name b found in the union of added+removed resources", {"b", "c"}, {"b"}),
    ("route: unknown cluster 'nowhere'", {"r1", "r2"}, set()),
    (
        "malformed IP address: not-an-ip. Consider setting resolver_name or setting cluster type to 'STRICT_DNS'",
        {"web:80"},
        set(),
    ),
    ("Invalid duration: Expected positive duration: goo.gle/debugproto   \nseconds: -1\n", {"web:80"}, set()),
    (CUT, {"web", "db-1.some-rather-long-name", "bad"}, {"web", "db-1.some-rather-long-name"}),
]


@pytest.mark.parametrize(
    ("error", "names", "found"),
    [
        *REAL,
        ("Error adding/updating cluster(s) web: bad, db: worse", {"web", "db", "mail"}, {"web", "db"}),
        ("web.shop.svc:80: no", {"web.shop.svc:80", "web.shop.svc:8080", "web.shop.svc", "web"}, {"web.shop.svc:80"}),
        ("[resource index 0: web:80: INVALID]", {"web", "web:80", "eb:80", "web:8"}, {"web:80"}),
        ("my-web is bad", {"web", "my", "my-web"}, {"my-web"}),
        ("'web'", {"web"}, {"web"}),
        ("see web.", {"web"}, {"web"}),
        ("xdstp://a/b.c/d?e=f is bad", {"xdstp://a/b.c/d?e=f", "d"}, {"xdstp://a/b.c/d?e=f"}),
        ("anything", {""}, set()),
        ("", {"web"}, set()),
    ],
)
def test_names_are_found_whole(error, names, found):
    assert named_in(error, names) == found


WEB, CART = (Ref("east", "Service", "shop", name) for name in ("web", "cart"))
EDGE = Ref("", "GatewayClass", "", "edge")


@pytest.mark.parametrize(
    ("error", "found"),
    [
        ("cluster web.shop.svc.cluster.local:80 is bad", (WEB,)),
        ("see shop/cart and web.shop", (WEB, CART)),
        ("my-web.shop, web.shopping and xshop/cart are others", (WEB, CART, EDGE)),
        ("edge is bad", (EDGE,)),
        ("web is bad", (WEB, CART, EDGE)),
        ("", (WEB, CART, EDGE)),
    ],
)
def test_objects_are_those_that_the_error_names_or_all(error, found):
    assert objects_named_in(error, (WEB, CART, EDGE)) == found
    assert objects_named_in(error, (CART,)) == (CART,)


@pytest.mark.parametrize(
    ("error", "names", "found"),
    [
        ("cannot use xdstp://a/b?x=1 here", {"xdstp://a/b?x=1", "xdstp://a/b"}, {"xdstp://a/b?x=1", "xdstp://a/b"}),
        ("listener:web: no", {"web", "listener", "listener:web"}, {"web", "listener:web"}),
        ("no such thing as web...", {"web", "we", "as"}, {"web", "as"}),
        ("x " * 20_000 + "web", {"web", "x"}, {"x"}),
        ("a" * 100_000, {"a", "b"}, set()),
        ("", {"", "web"}, set()),
    ],
)
def test_names_of_other_characters_and_long_texts(error, names, found):
    assert named_in(error, names) == found
