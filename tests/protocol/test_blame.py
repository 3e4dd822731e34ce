import pytest

from xds.problems import Ref
from xds.protocol.blame import named_in, objects_named_in


@pytest.mark.parametrize(
    ("error", "names", "found"),
    [
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
