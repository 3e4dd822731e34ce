"""The book of policies: which is in force, which governs, and what of it stays the same when it is looked up again."""

from __future__ import annotations

import gc

import pytest
from fleet_world import (
    book_of,
    endpoint,
    endpoint_slice,
    export,
    fleet_of,
    make,
    member,
    node,
    refresh,
    service,
    tier,
    traffic_policy,
)

from xds.model.events import FLEET, Delete, ObjectKey, Upsert
from xds.model.service import CLUSTERSET, ServiceKey
from xds.model.view import View
from xds.policy import targets as policy_targets
from xds.policy.explanation import explain
from xds.policy.ladder import Ladder
from xds.problems import did_you_mean

EAST = View(cluster="east", region="eu", zone="a")
EAST_DRAINED, ZONE_DRAINED = {"cluster": "east"}, {"zone": "a", "steps": 10, "step": 9}
WEST = View(cluster="west", region="us", zone="a")
KEY = ServiceKey("shop", "web", "east")
IMPORT = {"group": "multicluster.x-k8s.io", "kind": "ServiceImport", "name": "web"}
PORT_80 = {"kind": "Service", "name": "web", "port": 80}
OLD, YOUNG = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"


def cluster(number):
    ports, targets = {"http": 80, "tcp": 9000}, {"http": 8080, "tcp": 9000}
    return [
        found
        for name in ("web", "api")
        for found in (
            service(name, ports),
            export(name),
            endpoint_slice(name, [endpoint(f"10.{number}.{len(name)}.1", zone="a")], targets),
        )
    ]


def world(*fleet_wide, east=(), west=()):
    """Return a fleet of two clusters that have and export `web` and `api` on ports 80 and 9000."""
    members = member("east", "eu", zones=["a"]), member("west", "us", zones=["a"])
    return fleet_of({"east": [*cluster(1), *east], "west": [*cluster(2), *west]}, *members, *fleet_wide)


def governor(fleet, book, view=EAST, *, key=KEY, port=80):
    return book.governing(fleet.services[key], port, view.cluster).policy.name


def change(fleet, book, *events):
    fleet.apply(events)
    refresh(book, fleet)


def told(book):
    return [(problem.code, str(problem.ref), problem.field, problem.message, problem.hint) for problem in book.problems()]


def test_names_that_are_near_are_looked_for_once(monkeypatch):
    looked = []
    monkeypatch.setattr(policy_targets, "did_you_mean", lambda word, known: looked.append(word) or did_you_mean(word, known))
    fleet = world(*(traffic_policy(f"p{number}", f"webb{number}") for number in range(9)))
    book = book_of(fleet)
    before = told(book)
    assert {hint for *_, hint in before} == {"did you mean 'web'?"}
    for number in range(3):
        change(fleet, book, Upsert("east", endpoint_slice("web", [endpoint(f"10.1.3.{number}", zone="a")], {"http": 8080})))
    assert told(book) == before
    assert len(looked) <= 9
    change(fleet, book, Upsert("east", service("webb1s")))
    assert {hint for *_, hint in told(book)} != {"did you mean 'web'?"}


RANKS = [
    ("port", "east", (PORT_80,), {}),
    ("port", FLEET, (PORT_80,), {}),
    ("service", "east", ("web",), {}),
    ("service", FLEET, ("web",), {}),
    ("namespace", "east", (), {"defaultFor": "Namespace"}),
    ("namespace", FLEET, (), {"defaultFor": "Namespace"}),
    ("fleet", FLEET, (), {"defaultFor": "Fleet"}),
]
"""(name, holder, targets, spec), the most specific first."""


def ranked(index):
    name, holder, targets, spec = RANKS[index]
    return Upsert(holder, traffic_policy(name, *targets, **spec)), f"TrafficPolicy shop/{name} in {holder or 'the fleet'}"


@pytest.mark.parametrize("order", [1, -1])
def test_the_most_specific_governs_and_the_clusters_own_before_the_fleets(order):
    fleet = world()
    book = book_of(fleet)
    assert governor(fleet, book) == "no policy"
    fleet.apply([ranked(index)[0] for index in range(len(RANKS))[::order]])
    refresh(book, fleet)
    for index in range(len(RANKS)):
        event, name = ranked(index)
        assert governor(fleet, book) == name
        change(fleet, book, Delete(event.cluster, event.key))
    assert governor(fleet, book) == "no policy"


def test_a_clusters_policy_governs_its_own_clients_alone():
    fleet = world(east=[traffic_policy("web", IMPORT, timeoutSeconds=3)])
    book, exported = book_of(fleet), ServiceKey("shop", "web", CLUSTERSET)
    assert governor(fleet, book, EAST, key=exported) == "TrafficPolicy shop/web in east"
    assert governor(fleet, book, WEST, key=exported) == "no policy"
    assert governor(fleet, book, View(), key=exported) == "no policy"
    assert governor(fleet, book, EAST) == "no policy", "the Service of that name is another subject"


def test_a_policy_of_one_port_leaves_the_others_to_less_specific_ones():
    fleet = world(traffic_policy("port", PORT_80), traffic_policy("all", "web"))
    book = book_of(fleet)
    assert governor(fleet, book, port=80) == "TrafficPolicy shop/port in the fleet"
    assert governor(fleet, book, port=9000) == "TrafficPolicy shop/all in the fleet"


def test_the_most_specific_governs_whole():
    wide = traffic_policy("wide", defaultFor="Fleet", timeoutSeconds=9, retry={"attempts": 5}, panicBelowHealthyPercent=50)
    fleet = world(wide, traffic_policy("web", "web", timeoutSeconds=3))
    book = book_of(fleet)
    governing = book.governing(fleet.services[KEY], 80, "east").policy
    assert (governing.route.timeout_s, governing.route.retry, governing.cluster.panic_percent) == (3, None, 0)
    assert book.routing(fleet.services[ServiceKey("shop", "api", "east")], 80, cluster="east").timeout_s == 9


@pytest.mark.parametrize("first", ["a", "b"])
def test_of_two_for_one_target_the_older_governs(first):
    ages = {first: OLD, {"a": "b", "b": "a"}[first]: YOUNG}
    both = [traffic_policy(name, "web", created=created) for name, created in ages.items()]
    fleet = world(*both)
    book = book_of(fleet)
    winner = f"TrafficPolicy shop/{first} in the fleet"
    assert governor(fleet, book) == winner
    loser = f"TrafficPolicy shop/{both[1].metadata.name} in the fleet"
    message = f"Service shop/web is governed by {winner}, which is older"
    assert told(book) == [("XDS0603", loser, "spec.targetRefs[0]", message, "keep one of them")]
    (fault,) = [fault for _, entry in book.entries() for fault in entry.faults]
    assert fault.reason == "Conflicted"
    change(fleet, book, Delete(FLEET, ObjectKey("TrafficPolicy", "shop", first)))
    assert governor(fleet, book) == loser
    assert told(book) == []


def test_of_two_defaults_of_one_age_the_first_by_name_governs():
    fleet = world(traffic_policy("b", defaultFor="Fleet"), traffic_policy("a", defaultFor="Fleet"))
    book = book_of(fleet)
    assert governor(fleet, book) == "TrafficPolicy shop/a in the fleet"
    message = "the default of the fleet is governed by TrafficPolicy shop/a in the fleet, which comes first by name"
    assert told(book) == [("XDS0603", "TrafficPolicy shop/b in the fleet", "spec.defaultFor", message, "keep one of them")]


def test_one_that_loses_a_target_keeps_the_others():
    fleet = world(traffic_policy("both", "web", "api", created=YOUNG), traffic_policy("web", "web", created=OLD))
    book = book_of(fleet)
    assert governor(fleet, book) == "TrafficPolicy shop/web in the fleet"
    assert governor(fleet, book, key=ServiceKey("shop", "api", "east")) == "TrafficPolicy shop/both in the fleet"
    assert [code for code, *_ in told(book)] == ["XDS0603"]
    assert not any(entry.faults for _, entry in book.entries())


@pytest.mark.parametrize(
    ("holder", "ref", "field", "message", "hint"),
    [
        (FLEET, "wbe", "name", "there is no Service shop/wbe", "did you mean 'web'?"),
        ("east", "wbe", "name", "there is no Service shop/wbe in east", "did you mean 'web'?"),
        (FLEET, "frontend", "name", "there is no Service shop/frontend", "create it, or export it, or take it out of the list"),
        (FLEET, IMPORT | {"name": "ap"}, "name", "there is no ServiceImport shop/ap", "did you mean 'api'?"),
        (FLEET, PORT_80 | {"port": 81}, "port", "Service shop/web has no port 81", "it has 80, 9000"),
        (FLEET, IMPORT | {"port": 1}, "port", "ServiceImport shop/web has no port 1", "it has 80, 9000"),
    ],
)
def test_a_target_that_does_not_exist_is_said(holder, ref, field, message, hint):
    fleet = world()
    fleet.apply([Upsert(holder, traffic_policy("p", "api", ref))])
    book = book_of(fleet)
    where = f"TrafficPolicy shop/p in {holder or 'the fleet'}"
    assert told(book) == [("XDS0602", where, f"spec.targetRefs[1].{field}", message, hint)]
    assert governor(fleet, book, key=ServiceKey("shop", "api", "east")) == where, "the others are governed"


def test_a_target_may_come_later():
    fleet = world(traffic_policy("new", "new", timeoutSeconds=3))
    book = book_of(fleet)
    assert [code for code, *_ in told(book)] == ["XDS0602"]
    change(fleet, book, Upsert("east", service("new")))
    assert told(book) == []
    assert governor(fleet, book, key=ServiceKey("shop", "new", "east")) == "TrafficPolicy shop/new in the fleet"


@pytest.mark.parametrize(
    "typo", [{"tiers": [tier("one", {"regions": ["europe"]})]}, {"targetRefs": [{"kind": "Service", "name": "wbe"}]}]
)
def test_what_was_accepted_last_stays_in_force(typo):
    fleet = world(traffic_policy("web", "web", timeoutSeconds=3))
    book = book_of(fleet)
    accepted = book.governing(fleet.services[KEY], 80, "east")
    change(fleet, book, Upsert(FLEET, traffic_policy("web", "web", **{"timeoutSeconds": 9, **typo})))
    assert book.governing(fleet.services[KEY], 80, "east") is accepted
    ((_, _, _, message, _),) = told(book)
    assert message.endswith("; the version that was accepted last stays in force")
    change(fleet, book, Upsert(FLEET, traffic_policy("web", "api", **{"timeoutSeconds": 9, **typo})))
    assert book.governing(fleet.services[KEY], 80, "east") is accepted, "and the one before the last"
    change(fleet, book, Upsert(FLEET, traffic_policy("web", "web", timeoutSeconds=9)))
    assert book.routing(fleet.services[KEY], 80, cluster="east").timeout_s == 9
    assert told(book) == []


def test_a_region_that_goes_takes_no_policy_out_of_force():
    fleet = world(traffic_policy("web", "web", tiers=[tier("one", {"clusters": ["@own"]}), tier("two", {"regions": ["us"]})]))
    book = book_of(fleet)
    accepted = book.governing(fleet.services[KEY], 80, "east")
    change(fleet, book, Delete(FLEET, ObjectKey("MemberCluster", "", "west")))
    assert book.governing(fleet.services[KEY], 80, "east") is accepted
    ((code, _, _, message, hint),) = told(book)
    assert (code, hint) == ("XDS0601", "known regions: eu")
    assert message == "there is no region 'us'; the version that was accepted last stays in force"


def test_one_that_was_never_accepted_has_no_effect():
    bad = traffic_policy("web", "web", created=OLD, timeoutSeconds=3, sovereignty=[{"regions": ["eu"]}, {"regions": ["mars"]}])
    fleet = world(bad, traffic_policy("good", "web", created=YOUNG))
    book = book_of(fleet)
    assert governor(fleet, book) == "TrafficPolicy shop/good in the fleet", "not even on the other of its target"
    assert book.governing(fleet.services[KEY], 80, "east").sovereignty == ()
    assert [(code, message) for code, _, _, message, _ in told(book)] == [
        ("XDS0601", "there is no region 'mars'; nothing of it is in force")
    ]


def test_what_comes_again_after_it_was_deleted_has_nothing_to_fall_back_to():
    fleet = world(traffic_policy("web", "web", timeoutSeconds=3))
    book = book_of(fleet)
    change(fleet, book, Delete(FLEET, ObjectKey("TrafficPolicy", "shop", "web")))
    change(fleet, book, Upsert(FLEET, traffic_policy("web", "web", tiers=[tier("one", {})])))
    assert governor(fleet, book) == "no policy"


def test_what_is_kept_by_governance_and_ladder_is_kept_as_long_as_nothing_changes_for_a_service():
    sovereign = traffic_policy("s", defaultFor="Fleet", sovereignty=[{"regions": ["us"]}])
    fleet = world(traffic_policy("web", "web", strategy={"type": "FailOver"}), sovereign)
    book = book_of(fleet)

    def seen():
        web, api = fleet.services[KEY], fleet.services[ServiceKey("shop", "api", "east")]
        return [
            found
            for one in (web, api)
            for found in (book.governing(one, 80, "east"), book.ladder(one, 80, EAST), book.governing(one, 80, "west"))
        ]

    before = seen()
    for events in (
        [Upsert("east", endpoint_slice("web", []))],
        [Upsert("east", service("other"))],
        [Upsert(FLEET, traffic_policy("other", "other", timeoutSeconds=3))],
        [Upsert("west", traffic_policy("api", "api", timeoutSeconds=4))],
        [Upsert(FLEET, traffic_policy("broken", "web", tiers=[tier("one", {})]))],
        [Upsert(FLEET, traffic_policy("web", "web", strategy={"type": "FailOver"}))],
        [Upsert(FLEET, member("west", "us", zones=["a", "b"]))],
    ):
        change(fleet, book, *events)
        after = seen()
        assert [one is other for one, other in zip(before, after, strict=True)] == [True] * 5 + [
            not any(getattr(event, "cluster", "") == "west" for event in events) and before[5] is after[5]
        ]
        before = after
    change(fleet, book, Upsert(FLEET, traffic_policy("web", "web", strategy={"type": "Locality"})))
    assert [one is other for one, other in zip(before, seen(), strict=True)] == [False] * 3 + [True] * 3


def test_ladders_are_made_anew_when_clusters_are_labelled_otherwise():
    fleet = world(traffic_policy("web", "web"))
    book = book_of(fleet)
    before = book.ladder(fleet.services[KEY], 80, EAST)
    change(fleet, book, Upsert(FLEET, member("west", "us", zones=["a"], provider="blue")))
    assert book.ladder(fleet.services[KEY], 80, EAST) is not before


def left_out(fleet, book, view=EAST, key=KEY):
    return {one.locality.cluster: one.reason for one in book.rank(fleet.services[key], 80, view).left_out}


def test_sovereignty_adds_up():
    fleet = world(
        traffic_policy("fleet", defaultFor="Fleet", sovereignty=[{"regions": ["us"]}]),
        traffic_policy("web", "web", strategy={"type": "ActiveActive"}),
        traffic_policy("port", PORT_80, strategy={"type": "ActiveActive"}, sovereignty=[{"clusters": ["east"], "zones": ["a"]}]),
    )
    book = book_of(fleet)
    assert left_out(fleet, book) == {
        "west": "never used, by the sovereignty of TrafficPolicy shop/fleet in the fleet",
        "east": "never used, by the sovereignty of TrafficPolicy shop/port in the fleet",
    }
    ranking = book.rank(fleet.services[KEY], 9000, EAST)
    assert [[share.locality.cluster for share in one.shares] for one in ranking.tiers] == [["east"]]


def test_sovereignty_of_a_cluster_is_about_its_own_clients():
    east = traffic_policy("east", defaultFor="Namespace", sovereignty=[{"clusters": ["west"]}])
    fleet, exported = world(east=[east]), ServiceKey("shop", "web", CLUSTERSET)
    book = book_of(fleet)
    assert left_out(fleet, book, key=exported) == {"west": "never used, by the sovereignty of TrafficPolicy shop/east in east"}
    assert left_out(fleet, book, WEST, key=exported) == {}


def test_a_tier_that_selects_nothing_is_judged_anew_once_something_is_there():
    place = {"clusters": ["west"], "regions": ["eu"]}
    fleet = world(traffic_policy("web", "web", tiers=[tier("west", place)]))
    (problem,) = told(book := book_of(fleet))
    assert problem[:3] == ("XDS0601", "TrafficPolicy shop/web in the fleet", "spec.tiers[0].places")
    assert not book.awaits(fleet.services.values())
    labelled = [endpoint("10.2.9.1", nodeName="far")]
    fleet.apply([Upsert("west", node("far", "a", "eu")), Upsert("west", endpoint_slice("web", labelled))])
    assert book.awaits(fleet.services.values())
    refresh(book, fleet)
    assert not told(book)


def test_who_forgot_the_namespace_is_told_where_there_is_such_a_service():
    book = book_of(world(traffic_policy("web", "web", namespace="default")))
    (problem,) = told(book)
    assert (problem[0], problem[3], problem[4]) == (
        "XDS0602",
        "there is no Service default/web",
        "a policy is about Services of its own namespace; there is one in shop",
    )


def test_letters_in_each_others_place_are_the_likelier_slip():
    assert did_you_mean("r-esat", {"r-east", "r-west"}) == "did you mean 'r-east'?"
    assert did_you_mean("r-wst", {"r-east", "r-west"}) == "did you mean 'r-west'?"
    assert did_you_mean("mars", {"r-east", "r-west"}) == ""


def test_what_somebody_asks_about_once_is_not_kept():
    fleet = world(traffic_policy("web", "web", tiers=[tier("zone", {"zones": ["@own"]}), tier("all", {"clusters": ["*"]})]))
    book = book_of(fleet)

    def ladders():
        gc.collect()
        return sum(isinstance(one, Ladder) for one in gc.get_objects())

    before = ladders()
    for number in range(20):
        explain(fleet, book, fleet.services[KEY], 80, View("east", zone=f"nowhere-{number}"))
    assert ladders() == before


@pytest.mark.parametrize("drain", [EAST_DRAINED, ZONE_DRAINED, {"zone": "a"}])
@pytest.mark.parametrize(
    ("key", "policy"),
    [
        (KEY, None),
        (KEY, traffic_policy("web", "web", strategy={"type": "Locality"})),
        (ServiceKey("shop", "web"), traffic_policy("web", IMPORT, strategy={"type": "Locality"})),
        (ServiceKey("shop", "web"), traffic_policy("web", defaultFor="Namespace", strategy={"type": "Locality"})),
    ],
)
def test_a_drain_takes_nothing_from_clients_who_have_nowhere_else_to_go(key, policy, drain):
    override = make("TrafficOverride", "d", spec={"drain": drain})
    fleet = world(*([policy] if policy else []), override)
    book = book_of(fleet)
    (tier,) = book.rank(fleet.services[key], 80, EAST).tiers
    assert [(share.healthy, share.weight) for share in tier.shares] == [(1, 1)]
    both = [endpoint("10.1.3.1", zone="a"), endpoint("10.1.3.2", zone="b")]
    fleet.apply([Upsert("east", endpoint_slice("web", both, {"http": 8080, "tcp": 9000}))])
    (tier,) = book.rank(fleet.services[key], 80, EAST).tiers
    assert len(tier.shares) == (2 if drain != {"zone": "a"} else 1), "a zone is drained where another one is left"


def test_a_policy_for_the_clients_own_zone_waits_until_there_is_any():
    items = [service("web"), export("web"), endpoint_slice("web", [endpoint("10.1.0.1")])]
    fleet = fleet_of({"east": items}, member("east"), traffic_policy("web", "web", tiers=[tier("zone", {"zones": ["@own"]})]))
    book = book_of(fleet)
    assert book.governing(fleet.services[KEY], 80, "east").policy.origin is None
    assert not book.awaits(fleet.services.values())
    fleet.apply([Upsert("east", endpoint_slice("web", [endpoint("10.1.0.1", zone="a")]))])
    assert book.awaits(fleet.services.values())
    refresh(book, fleet)
    assert book.governing(fleet.services[KEY], 80, "east").policy.origin


def test_a_service_that_only_an_earlier_version_of_a_policy_names_is_not_said_to_be_named():
    fleet = world(traffic_policy("web", "web"))
    book = book_of(fleet)
    steps = [step.text for step in explain(fleet, book, fleet.services[KEY], 80, EAST).chain if step.stage == "widening"]
    assert steps == ["a policy names it, so what is exported by west counts, too, if that policy governs"]
    fleet.apply([Upsert(FLEET, traffic_policy("web", "api"))])
    refresh(book, fleet)
    steps = [step.text for step in explain(fleet, book, fleet.services[KEY], 80, EAST).chain if step.stage == "widening"]
    assert steps == ["a policy named it, so what is exported by west counts, too, if that version still governs"]
