"""Problems of what clients reject: one for each content, naming nodes and objects, and bounded in number."""

from __future__ import annotations

import time

import pytest

from xds import rejections
from xds.model.view import Role, View
from xds.problem_log import ProblemLog
from xds.problems import Ref
from xds.protocol import Rejection, State, StreamInfo, TypeStatus, rejected
from xds.snapshot.resource import Resource
from xds.snapshot.store import SnapshotStore
from xds.wire import CLUSTER, LISTENER, ROUTE

EAST = View("east", "default", "eu", "eu-1", Role.SIDECAR, "shop")
SERVICE, EXPORT = (Ref("east", kind, "shop", "web", "7") for kind in ("Service", "ServiceExport"))
OTHER = Ref("east", "Service", "shop", "cart", "3")
GATEWAY = Ref("east", "Gateway", "shop", "edge")
ROUTES = tuple(Ref("east", "HTTPRoute", "shop", name) for name in ("cart", "web"))


def res(name, content="1", *, url=CLUSTER, origins=(SERVICE, EXPORT)):
    return Resource.of(url, name, content.encode(), origins=origins)


def stream(node, *resources, error="it is bad", at_s=1.0, state=State.ERROR, **status):
    blamed = tuple(resource.name for resource in resources)
    types = {found.type_url: TypeStatus(state, at_s, nack_error=error, nack_blamed=blamed, **status) for found in resources}
    held = {resource.name: Rejection(resource, error, at_s) for resource in resources}
    return StreamInfo(node, EAST, "peer", "delta", "ads", 0.0, types, lambda *_: [], lambda _: held)


def found(*streams, store=None):
    return list(rejections.problems(streams, store or SnapshotStore()))


def test_many_nodes_are_one_problem_that_names_the_object():
    (problem,) = found(*(stream(f"n{number}", res("web"), error=f"bad:\n {number}\n", at_s=number) for number in (2, 1, 3)))
    assert (problem.code, problem.ref) == ("XDS0503", SERVICE)
    assert problem.message == "3 nodes rejected cds 'web' (also made of ServiceExport shop/web in east): bad: 1"
    assert "`xdsctl nacks`" in problem.hint
    (problem,) = found(stream("n1", res("web", origins=())))
    assert (problem.ref, problem.message) == (None, "node 'n1' rejected cds 'web': it is bad")


@pytest.mark.parametrize(
    "error",
    [
        "cannot bind '0.0.0.0:8081': Address already in use",
        "error adding listener: 'gateway:8081' has duplicate address '0.0.0.0:8081' as existing listener",
    ],
)
def test_an_object_is_not_at_fault_for_an_address_that_is_taken(error):
    (problem,) = found(stream("n1", res("gateway:8081", url=LISTENER), error=error))
    assert problem.hint.startswith("free the address, then change the object or restart the proxy: what it rejected is not sent")


def test_other_content_and_other_names_are_other_problems():
    assert len(found(stream("a", res("web")), stream("b", res("web", "2")), stream("c", res("db")))) == 3
    assert found(stream("a", res("web"), state=State.SYNCED, acked_nonce="2", nacked_nonce="1")) == []


def test_the_error_narrows_the_objects():
    def ref(url, origins, error):
        (problem,) = found(stream("a", res("x", url=url, origins=origins), error=error))
        return problem.ref

    assert ref(LISTENER, (SERVICE, OTHER), "listener outbound: cart.shop.svc:80 is taken") == OTHER
    assert ref(ROUTE, (SERVICE, OTHER), "only a wildcard") is None
    assert ref(ROUTE, (GATEWAY, *ROUTES), "only a wildcard") is None
    assert ref(ROUTE, (GATEWAY, ROUTES[0]), "only a wildcard") == ROUTES[0]
    assert ref(LISTENER, (GATEWAY, *ROUTES), "address is taken") == GATEWAY


def test_the_object_is_the_one_that_is_there_now():
    store = SnapshotStore()
    newer = Ref("east", "Service", "shop", "web", "8")
    store.publish(EAST, {CLUSTER: {"web": res("web", origins=(newer,))}}, at_s=0, trigger="")
    assert found(stream("a", res("web")), store=store)[0].ref is newer
    assert found(stream("a", res("web", "2")), store=store)[0].ref is SERVICE


def test_a_culprit_that_is_searched_for():
    info = stream("a", state=State.STALE)
    info.types[CLUSTER] = TypeStatus(State.STALE, 1.0, nacked_nonce="3", nack_error="bad")
    (problem,) = found(info)
    assert problem.message == "node 'a' rejected a response of cds, of which the text names no resource: bad"


def test_one_more_node_is_no_new_problem_in_the_log(capsys):
    log, streams = ProblemLog(), [stream(f"n{number}", res("web")) for number in range(5)]
    for number in (1, 2, 5, 3):
        log.compare(rejections.problems(streams[:number], SnapshotStore()))
    assert capsys.readouterr().out.count("XDS0503") == 1
    log.compare(())
    assert "resolved" in capsys.readouterr().out


def test_a_fleet_that_rejects_everything_makes_few_problems():
    resources = [res(f"web-{number}") for number in range(150)]
    streams = [stream(f"n{number}", *resources) for number in range(1000)]
    began_s = time.perf_counter()
    result = found(*streams)
    print(f"1,000 nodes that reject 150 resources each: {(time.perf_counter() - began_s) * 1000:.0f} ms")
    assert len(result) == rejections.PROBLEMS + 1
    assert result[-1].message == "50 more resources are rejected"
    assert {len(entry.nodes) for entry in rejected(streams)} == {1000}
