"""Flomesh's kinds on real API servers, which have the MCS API's kinds of the same names, too."""

import json
from pathlib import Path

import pytest
import pytest_asyncio
import yaml
from crds import install
from interop_waiting import eventually
from live_lab import serving, xdsctl
from reader_access import NAME, role
from workload import named, namespace, service

pytestmark = pytest.mark.asyncio(loop_scope="session")
HERE = Path(__file__).parent
CRDS = HERE / "registry_crds" / "flomesh_services.yaml"
READER = HERE.parent / "deploy" / "remote" / "read-only.yaml"
GROUPS = ("multicluster.flomesh.io", "flomesh.io")
SPACE = "flomesh-shop"


@pytest_asyncio.fixture(loop_scope="session")
async def east(clusters):
    """A cluster with an account that may do what we tell users to grant, and a namespace."""
    api = clusters["east"].api
    (granted,) = [item for item in yaml.safe_load_all(READER.read_text()) if item["kind"] == "ClusterRole"]
    await api.apply({**granted, "metadata": {"name": NAME}}, namespace(SPACE))
    yield api
    await api.delete(*yaml.safe_load_all(CRDS.read_text()), namespace(SPACE))
    await api.apply(role())


def objects(group):
    """Return an export, an import and a policy of a group."""
    version, name = f"{group}/v1alpha1", group.partition(".")[0]
    rules = [{"portNumber": 80, "path": f"/{name}", "pathType": "Prefix"}]
    target = {"host": "192.0.2.1", "ip": "192.0.2.1", "port": 8081, "path": f"/{name}"}
    ports = [{"port": 80, "protocol": "TCP", "endpoints": [{"clusterKey": "default/default/default/west", "target": target}]}]
    return [
        named(version, "ServiceExport", name, SPACE, spec={"rules": rules}),
        named(version, "ServiceImport", name, SPACE, spec={"type": "ClusterSetIP", "ports": ports}),
        named(version, "GlobalTrafficPolicy", name, SPACE, spec={"lbType": "FailOver"}),
    ]


async def described(plane, name):
    """Return what is told of Flomesh's objects of a name, or None while there is nothing of it."""
    items = (await plane.admin("/v1/services"))["items"]
    if not any(item["name"].startswith(f"{name}.{SPACE}.") for item in items):
        return None
    found = json.loads(await xdsctl(plane, "describe", "service", f"{SPACE}/{name}", "-o", "json"))
    (one,) = found["flomesh"] or [None]
    return one


async def test_both_groups_are_picked_up_when_their_crds_appear(east, kubeconfigs, tmp_path):
    with serving(tmp_path, [kubeconfigs["east"]], declared=False) as plane:
        await plane.wait_ready()
        await east.apply(*(service(group.partition(".")[0], SPACE) for group in GROUPS))
        await install(east, [CRDS])
        await east.apply(*(item for group in GROUPS for item in objects(group)))
        for group in GROUPS:
            name = group.partition(".")[0]
            await eventually(lambda name=name: _is_whole(plane, name), timeout_s=60)
            found = await described(plane, name)
            assert found["exports"][0]["object"]["kind"] == f"ServiceExport.{group}"
            assert found["gateways"][0]["path"] == f"/{name}"
            assert found["policy"]["lb_type"] == "FailOver"
        # An export of the MCS API with the same name is another object.
        await east.apply(named("multicluster.x-k8s.io/v1beta1", "ServiceExport", "flomesh", SPACE))
        await eventually(lambda: _is_exported(plane, "flomesh"))
        await east.delete(objects("flomesh.io")[0])
        await eventually(lambda: _has_no_export(plane, "flomesh"))
        assert await _is_exported(plane, "flomesh")
        codes = {problem["code"] for problem in (await plane.admin("/v1/problems"))["items"]}
        assert not [code for code in codes if code.startswith("XDS03")]
        plane.check()


async def _is_whole(plane, name):
    found = await described(plane, name)
    return found is not None and found["exports"] and found["gateways"] and "policy" in found


async def _has_no_export(plane, name):
    return not (await described(plane, name))["exports"]


async def _is_exported(plane, name):
    items = (await plane.admin("/v1/services"))["items"]
    return any(item["name"] == f"{name}.{SPACE}.svc.clusterset.local" for item in items)
