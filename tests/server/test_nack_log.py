"""The log of NACKs: each content once a minute, with the objects that it comes from."""

from __future__ import annotations

import pickle

import structlog
from structlog.testing import capture_logs

from xds.problems import Ref
from xds.protocol import Nack
from xds.server.nacks import AGAIN_S, KNOWN, OBJECTS, NackLog
from xds.snapshot.resource import Resource
from xds.wire import CLUSTER


def res(name, content=b"1", objects=1):
    origins = tuple(Ref("east", "Service", "shop", f"{name}{number or ''}", "7") for number in range(objects))
    return Resource.of(CLUSTER, name, content, origins=origins)


def nack(*resources, blamed=(), error="bad", removed=()):
    return Nack(CLUSTER, "1", error, resources, removed, 0.0, blamed)


def lines(*nacks, log=None, now_s=(0.0,)):
    log = log or NackLog(lambda: now_s[0])
    with capture_logs() as logged:
        for one in nacks:
            log.tell(one, structlog.get_logger().bind(node="n"))
    return logged


def test_the_blamed_are_named_with_their_objects():
    (line,) = lines(nack(res("web"), res("db"), blamed=("web",)))
    assert (line["log_level"], line["node"], line["type"], line["names"]) == ("warning", "n", "cds", "web")
    assert (line["objects"], line["error"]) == ("Service shop/web in east (7)", "bad")
    (line,) = lines(nack(res("web", objects=OBJECTS + 2), blamed=("web",)))
    assert line["objects"].endswith(" and 2 more")


def test_a_text_that_blames_nothing_says_so():
    (line,) = lines(nack(res("web"), res("db"), removed=("gone",)))
    assert (line["names"], "culprit" in line, "objects" in line) == ("web, db, gone", True, False)


def test_who_rejects_the_same_is_counted_until_the_next_line():
    now_s = [0.0]
    log = NackLog(lambda: now_s[0])
    same = nack(res("web"), blamed=("web",))
    assert [line["log_level"] for line in lines(same, same, same, log=log)] == ["warning", "debug", "debug"]
    assert lines(nack(res("web", b"2"), blamed=("web",)), log=log)[0]["log_level"] == "warning"
    now_s[0] = AGAIN_S
    (line,) = lines(same, log=log)
    assert (line["log_level"], line["silenced"]) == ("warning", 2)


def test_what_is_remembered_is_bounded():
    log = NackLog(lambda: 0.0)
    lines(*(nack(res("web", b"%d" % number), blamed=("web",)) for number in range(KNOWN + 5)), log=log)
    assert len(log._told) == KNOWN


def test_what_is_remembered_of_a_large_nack_is_small():
    log = NackLog(lambda: 0.0)
    many = tuple(f"s{number}" for number in range(10_000))
    resources = tuple(res(name) for name in many)
    first, second = nack(*resources, removed=many), nack(*resources, blamed=many)
    assert [line["log_level"] for line in lines(first, second, first, log=log)] == ["warning", "warning", "debug"]
    assert len(pickle.dumps(log._told)) < 1_000


def test_names_that_run_together_are_told_apart():
    log = NackLog(lambda: 0.0)
    split, joined = (nack(res("web"), removed=removed) for removed in (("a", "b"), ("ab",)))
    assert [line["log_level"] for line in lines(split, joined, log=log)] == ["warning", "warning"]
