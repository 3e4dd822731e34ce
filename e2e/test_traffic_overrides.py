"""A real API server refuses the TrafficOverrides that do nothing, takes the others, and `xdsctl` writes them there."""

import asyncio
import sys
from pathlib import Path

import kubernetes_build
import pytest
import pytest_asyncio
from crds import install
from kubernetes_api import ApiError, collection
from override_cases import BAD, GOOD, document

pytestmark = pytest.mark.asyncio(loop_scope="session")
CRD = Path(kubernetes_build.HERE).parent / "deploy" / "crds" / "trafficoverrides.yaml"
PATH = collection("traffic.isthmus.dev/v1alpha1", "TrafficOverride", "")
NOBODY = ("--admin-address", "127.0.0.1:1")


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def cluster(clusters):
    """A hub that knows TrafficOverrides."""
    await install(clusters["east"].api, [CRD])
    return clusters["east"]


@pytest.fixture
def xdsctl(cluster):
    """Run a command that writes to the hub; return its exit code and what it says."""

    async def run(*words):
        command = (Path(sys.executable).parent / "xdsctl", *words, "--hub", cluster.kubeconfig)
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
        said, _ = await process.communicate()
        return process.returncode, said.decode()

    return run


async def created(cluster, spec):
    """Return what an API server would make of an override."""
    query = {"dryRun": "All", "fieldValidation": "Strict"}
    return await cluster.api.ask("POST", PATH, query=query, body=document("d", spec))


@pytest.mark.parametrize("case", GOOD)
async def test_good_overrides_are_accepted(cluster, case):
    item = await created(cluster, GOOD[case])
    wanted = GOOD[case]
    if "drain" in wanted:
        wanted = {**wanted, "drain": {"step": 1, "steps": 1, **wanted["drain"]}}
    assert item["spec"] == wanted


@pytest.mark.parametrize("case", BAD)
async def test_bad_overrides_are_refused(cluster, case):
    spec, named = BAD[case]
    with pytest.raises(ApiError, match="is invalid") as refused:
        await created(cluster, spec)
    assert refused.value.status == 422
    assert named in str(refused.value)


async def test_what_xdsctl_writes_comes_moves_and_goes(cluster, xdsctl):
    code, said = await xdsctl("drain", "cluster=east", "--force", "--ramp", "1s", "--steps", "2", *NOBODY)
    assert (code, "step 2 of 2: cluster east gets nothing\n" in said) == (0, True), said
    assert "drained already" in (await xdsctl("drain", "cluster=east", *NOBODY))[1]
    assert (await xdsctl("gate", "open", "shop/web", "remote", *NOBODY))[0] == 0
    table = await cluster.api.ask("GET", PATH, accept="application/json;as=Table;v=v1;g=meta.k8s.io")
    shown = [column["name"] for column in table["columnDefinitions"]]
    assert shown == ["Name", "What", "Step", "Steps", "Reason", "Age"]
    assert [row["cells"][1:3] for row in table["rows"]] == [["drain cluster=east", 2], ["open shop/web remote", None]]
    assert (await xdsctl("undrain", "east", "--ramp", "1s"))[0] == 0
    assert (await xdsctl("gate", "close", "shop/web", "remote"))[0] == 0
    assert (await cluster.api.ask("GET", PATH))["items"] == []


async def test_what_somebody_else_made_stays(cluster, xdsctl):
    item = document("mine", {"drain": {"cluster": "west"}})
    await cluster.api.apply(item)
    code, said = await xdsctl("undrain", "west")
    assert (code, said.partition(";")[0]) == (1, "Error: the hub: xdsctl did not make TrafficOverride mine")
    await cluster.api.delete(item)
