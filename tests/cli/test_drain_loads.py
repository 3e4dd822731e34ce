"""What `xdsctl drain` knows of loads, and whether the rest can carry them."""

from dataclasses import replace

import pytest
from drained_fleet import interrupt, kept
from fake_plane import EAST, NOW_S

from xds.cli.carrying import objections, rates
from xds.cli.offline import Offline
from xds.wire import envoy

WEB_CLUSTER = "web.shop.svc.cluster.local:80"


@pytest.fixture
def measured(asked, plane, directory, monkeypatch):
    """Drain with a control plane of the same fleet, to which clients report loads: requests in 10 s."""
    plane.take(Offline(directory).fleet)
    plane.members = dict(plane.members)

    def run(*arguments, requests, **options):
        def report(issued, now_s):
            stats = envoy.ClusterStats(cluster_name=WEB_CLUSTER)
            stats.upstream_locality_stats.add(locality={"sub_zone": "east"}, total_issued_requests=issued)
            plane.loads.report(1, EAST, {WEB_CLUSTER}, [stats], now_s=now_s)

        plane.loads.join(1)
        report(7, NOW_S)
        monkeypatch.setattr("xds.cli.carrying.time.sleep", lambda _: report(requests, NOW_S + 10))
        return asked("drain", "cluster=east", *arguments, "--clusters", directory, **options)

    return run


def test_loads_that_clients_report_count(measured, directory):
    result = measured(requests=1500, exits=1)
    assert result.stderr.startswith("measuring for 12 s what clients send; --load tells it instead\n")
    assert "BREACH: west/us-1 gets 150 requests/s, and its endpoints bear 100\n" in result.stderr
    assert "measuring" not in measured("--load", "shop/web=50", requests=1500).stderr


def test_an_interrupt_while_loads_are_measured_says_that_nothing_has_changed(measured, directory, monkeypatch):
    monkeypatch.setattr("xds.cli.carrying.World.measured", lambda _: interrupt())
    assert measured(requests=900, exits=130).stderr.rstrip() == "nothing has been changed"
    assert kept(directory) == {}


def test_loads_that_the_rest_can_carry(measured):
    assert "cluster east is drained" in measured(requests=900).stdout


def test_loads_of_another_fleet_do_not_count(measured, plane):
    plane.members["north"] = replace(plane.members["east"], name="north")
    assert "measuring" not in measured(requests=1500).stderr


def load(issued, at, cluster="web.shop.svc.cluster.local:80", view="a"):
    moment = f"2026-11-25T08:00:{at:02}Z"
    return {"view": view, "cluster": cluster, "localities": [{"issued": str(issued)}], "reported_at": moment}


def test_rates_are_what_clients_reported_meanwhile():
    before = [load(100, 0), load(10, 0, view="b"), load(5, 0, cluster="passthrough")]
    after = [load(300, 10), load(60, 5, view="b"), load(50, 9, cluster="passthrough"), load(7, 9, view="new")]
    assert rates(before, after) == {"shop/web": 30.0}
    assert rates(after, after) == {}


def test_a_panic_and_what_was_bad_before_are_no_objections():
    def problem(kind, *, is_new):
        return {"kind": kind, "message": "m", "is_new": is_new}

    problems = [problem("panic", is_new=True), problem("blackhole", is_new=False), problem("sovereignty", is_new=True)]
    services = [{"service": "s", "from": place, "problems": problems} for place in ("east/", "west/w")]
    assert objections({"services": services}) == ["s: SOVEREIGNTY: m, from east, west/w"]
