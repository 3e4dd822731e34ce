"""A cluster becomes a member by one command, and leaves by another."""

import pytest
import pytest_asyncio
import yaml
from crds import install
from interop_waiting import eventually
from kubernetes_api import path_of
from live_lab import run, serving, states
from test_registries import DEPLOY
from workload import named

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def cleared(clusters):
    """Nothing of one test is there in the next, and nothing of other tests: they write leases there."""
    await clear(clusters)
    yield
    await clear(clusters)


async def clear(clusters):
    for cluster in clusters.values():
        await cluster.api.delete(named("v1", "Namespace", "isthmus-system"))
        await eventually(lambda cluster=cluster: is_gone(cluster.api), timeout_s=30)


async def is_gone(api):
    return not await api.answers("/api/v1/namespaces/isthmus-system")


async def test_join_serve_and_leave(clusters, tmp_path):
    east, west = clusters["east"], clusters["west"]
    await install(east.api, sorted(DEPLOY.glob("*.yaml")))
    join = ("clusters", "join", "west", "--kubeconfig", west.kubeconfig, "--hub", east.kubeconfig, "--region", "r-west")
    out, _ = await run(*join, "--dry-run", "-o", "yaml")
    planned = [item for item in yaml.safe_load_all(out) if item]
    assert [item["kind"] for item in planned][-2:] == ["Secret", "MemberCluster"]
    out, err = await run(*join, "--dry-run")
    assert "cluster west: Secret isthmus-system/isthmus-member-token: would be created" in out
    assert "nothing was changed, and no token made" in err
    assert not await west.api.answers("/api/v1/namespaces/isthmus-system/serviceaccounts/isthmus-member")

    out, err = await run(*join)
    assert "the hub: MemberCluster west: created" in out
    assert "cluster west is joined" in err
    for item in planned:
        await (east if item in planned[-2:] else west).api.get(path_of(item))
    secret = await east.api.get("/api/v1/namespaces/isthmus-system/secrets/cluster-west")
    out, err = await run(*join)
    assert {line.rpartition(": ")[2] for line in out.splitlines()} == {"unchanged"}
    assert "cluster west was joined already, nothing has changed" in err
    again = await east.api.get("/api/v1/namespaces/isthmus-system/secrets/cluster-west")
    assert again["metadata"]["resourceVersion"] == secret["metadata"]["resourceVersion"]

    with serving(tmp_path, [], declared=False, arguments=("--hub", str(east.kubeconfig))) as plane:
        await plane.wait_ready()
        await eventually(lambda: are(plane, {"west": "Connected"}), timeout_s=30)
        found = {item["code"] for item in (await plane.admin("/v1/problems"))["items"]}
        assert not {code for code in found if code.startswith("XDS03")}
        plane.check()
    out, err = await run("check", "--hub", east.kubeconfig)
    assert "registers west" in out
    assert "2 clusters: everything is in place" in err

    leave = ("clusters", "leave", "west", "--kubeconfig", west.kubeconfig, "--hub", east.kubeconfig)
    out, _ = await run(*leave, "--dry-run")
    assert "the hub: Secret isthmus-system/cluster-west: would be deleted" in out
    await run(*leave)
    await eventually(lambda: is_gone(west.api), timeout_s=30)
    for api, items in ((west.api, planned[:-3]), (east.api, planned[-2:])):
        assert [path_of(item) for item in items if await api.answers(path_of(item))] == []
    _, err = await run(*leave, exits=1)
    assert "the hub registers no cluster west; nothing was deleted" in err
    _, err = await run(*leave[:-2])
    assert "nothing there is of a join of cluster west" in err


async def test_what_others_made_stays(clusters):
    west = clusters["west"]
    role = named("rbac.authorization.k8s.io/v1", "ClusterRole", "isthmus-mcs-writer", rules=[])
    await west.api.delete(role)
    await west.api.apply(role)
    try:
        join = ("clusters", "join", "west", "--kubeconfig", west.kubeconfig, "--mcs")
        _, err = await run(*join, exits=1)
        assert "cluster west: ClusterRole isthmus-mcs-writer cannot be applied: 409" in err
        assert "somebody else has set that field" in err
        await west.api.delete(role)
        out, err = await run(*join)
        assert yaml.safe_load_all(out)
        assert "this Secret holds a token" in err
        await west.api.apply(config := named("v1", "ConfigMap", "notes", "isthmus-system"))
        out, _ = await run("clusters", "leave", "west", "--kubeconfig", west.kubeconfig)
        assert "Namespace isthmus-system: left, something else is in it" in out
        await west.api.get(path_of(config))
    finally:
        await west.api.delete(role)


async def test_a_hub_that_is_a_member(clusters):
    east = clusters["east"]
    where = ("east", "--kubeconfig", east.kubeconfig, "--hub", east.kubeconfig)
    out, _ = await run("clusters", "join", *where)
    assert "the hub: Namespace isthmus-system: unchanged" in out
    out, _ = await run("clusters", "leave", *where)
    assert "cluster east: Namespace isthmus-system: deleted" in out


async def test_rights_that_are_missing_are_named(clusters, kubeconfigs):
    _, err = await run("clusters", "join", "west", "--kubeconfig", kubeconfigs["west"], "--namespace", "new", exits=1)
    assert "cluster west: Namespace new cannot be applied: 403" in err
    assert "the right to `create` and `patch` namespaces is missing" in err


async def are(plane, wanted):
    return await states(plane) == wanted
