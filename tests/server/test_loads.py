"""Loads as a value: what reports add up to, and that no client can make them grow without bound."""

from xds.model.service import Locality
from xds.server.loads import CATEGORIES, LOCALITIES, OTHER, TEXT_CHARS, Load, Loads
from xds.wire import envoy

EAST = Locality("eu", "eu-1", "east")
WEST = Locality("us", "us-1", "west")
KNOWN = {"web", "api"}


def stats(cluster, *localities, dropped=None):
    """Statistics of one cluster; localities are (place, issued, succeeded, failed, in progress)."""
    message = envoy.ClusterStats(cluster_name=cluster)
    for place, issued, succeeded, failed, under_way in localities:
        message.upstream_locality_stats.add(
            locality={"region": place.region, "zone": place.zone, "sub_zone": place.cluster},
            total_issued_requests=issued,
            total_successful_requests=succeeded,
            total_error_requests=failed,
            total_requests_in_progress=under_way,
        )
    for category, number in (dropped or {}).items():
        message.dropped_requests.add(category=category, dropped_count=number)
        message.total_dropped_requests += number
    return message


def reported(*reports, loads=None, reporter=1, view="eu"):
    loads = loads or Loads()
    if reporter not in loads._reporters:
        loads.join(reporter)
    for now_s, report in enumerate(reports):
        loads.report(reporter, view, KNOWN, report, now_s=now_s)
    return loads


def test_reports_are_increments():
    loads = reported(
        [stats("web", (EAST, 10, 8, 1, 1), (WEST, 2, 2, 0, 0)), stats("api", (EAST, 1, 1, 0, 0))],
        [stats("web", (EAST, 5, 5, 1, 0))],
    )
    assert loads.totals()["web"].localities == {EAST: Load(15, 13, 2), WEST: Load(2, 2, 0)}
    assert loads.totals()["web"].reported_at_s == 1
    assert loads.totals()["api"].localities == {EAST: Load(1, 1, 0)}


def test_views_are_told_apart_and_added_up():
    loads = reported([stats("web", (EAST, 1, 1, 0, 0))])
    reported([stats("web", (EAST, 2, 2, 0, 0))], loads=loads, reporter=2, view="us")
    assert {(view, name): held.localities for view, name, held in loads.by_view()} == {
        ("eu", "web"): {EAST: Load(1, 1)},
        ("us", "web"): {EAST: Load(2, 2)},
    }
    assert loads.totals()["web"].localities == {EAST: Load(3, 3)}


def test_what_is_in_progress_is_the_latest_of_each_client_and_ends_with_it():
    loads = reported([stats("web", (EAST, 4, 0, 0, 4))], [stats("web", (EAST, 0, 1, 0, 3))])
    reported([stats("web", (EAST, 7, 0, 0, 7))], loads=loads, reporter=2)
    assert loads.in_progress() == {("eu", "web", EAST): 10}
    loads.leave(2)
    assert loads.in_progress() == {("eu", "web", EAST): 3}
    assert loads.totals()["web"].localities == {EAST: Load(11, 1)}
    reported([], loads=loads)
    assert loads.in_progress() == {}


def test_a_locality_of_several_priorities_counts_once():
    loads = reported([stats("web", (EAST, 1, 1, 0, 2), (EAST, 2, 2, 0, 3))])
    assert loads.totals()["web"].localities == {EAST: Load(3, 3)}
    assert loads.in_progress() == {("eu", "web", EAST): 5}


def test_drops():
    loads = reported([stats("web", dropped={"lb": 2, "throttle": 3})], [stats("web", dropped={"lb": 1})])
    assert (loads.totals()["web"].dropped, loads.totals()["web"].categories) == (6, {"lb": 3, "throttle": 3})


def test_clusters_that_the_view_does_not_have_are_only_counted():
    loads = reported([stats("isthmus_xds", (EAST, 1, 1, 0, 1)), stats("web", (EAST, 1, 1, 0, 0))])
    assert list(loads.totals()) == ["web"]
    assert (loads.ignored_clusters, loads.reports, loads.in_progress()) == (1, 1, {})


def test_idle_clusters_leave_no_trace():
    assert dict(reported([stats("web")]).totals()) == {}


def test_invented_localities_share_one_row():
    places = [Locality("eu", f"zone-{number}", "") for number in range(LOCALITIES + 20)]
    loads = reported([stats("web", *[(place, 1, 1, 0, 1) for place in places])])
    held = loads.totals()["web"].localities
    assert len(held) == LOCALITIES + 1
    assert held[OTHER] == Load(20, 20)
    assert loads.in_progress()["eu", "web", OTHER] == 20
    assert len(loads.in_progress()) == LOCALITIES + 1


def test_invented_categories_share_one_row():
    loads = reported([stats("web", dropped={f"c-{number}": 1 for number in range(CATEGORIES + 5)})])
    assert len(loads.totals()["web"].categories) == CATEGORIES + 1
    assert loads.totals()["web"].categories["other"] == 5


def test_the_clusters_reported_longest_ago_make_room():
    loads = Loads(clusters=2)
    loads.join(1)
    for name in ("a", "b", "a", "c"):
        loads.report(1, "eu", {"a", "b", "c"}, [stats(name, (EAST, 1, 1, 0, 0))], now_s=0)
    assert list(loads.totals()) == ["a", "c"]
    assert [name for _, name, _ in loads.by_view()] == ["a", "c"]
    assert loads.totals()["a"].localities == {EAST: Load(2, 2)}


def test_long_names_are_not_kept():
    nowhere = Locality("x" * (TEXT_CHARS + 1), "eu-1", "east")
    loads = reported([stats("web", (nowhere, 1, 1, 0, 1), (EAST, 2, 2, 0, 0), dropped={"y" * (TEXT_CHARS + 1): 3})])
    assert loads.totals()["web"].localities == {OTHER: Load(1, 1), EAST: Load(2, 2)}
    assert loads.totals()["web"].categories == {"other": 3}
    assert loads.in_progress() == {("eu", "web", OTHER): 1}
