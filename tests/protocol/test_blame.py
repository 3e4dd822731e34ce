import pytest

from xds.protocol.blame import named_in


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
