"""A real API server refuses the TrafficPolicies that the code would not accept, and takes the others."""

import json
from pathlib import Path

import kubernetes_build
import pytest
import pytest_asyncio
from crds import install
from kubernetes_api import ApiError, collection, path_of
from policy_cases import BAD, GOOD, MALFORMED, document
from workload import namespace

pytestmark = pytest.mark.asyncio(loop_scope="session")
CRD = Path(kubernetes_build.HERE).parent / "deploy" / "crds" / "trafficpolicies.yaml"
NAMESPACE = "policies"


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def api(clusters):
    """A cluster that knows TrafficPolicies."""
    found = clusters["east"].api
    await install(found, [CRD])
    await found.apply(namespace(NAMESPACE))
    return found


async def created(api, name, spec):
    """Return what an API server would make of a policy."""
    item = document(name, spec, NAMESPACE)
    path = collection(item["apiVersion"], item["kind"], NAMESPACE)
    return await api.ask("POST", path, query={"dryRun": "All", "fieldValidation": "Strict"}, body=item)


@pytest.mark.parametrize("name", GOOD)
async def test_good_policies_are_accepted_as_they_are(api, name):
    item = await created(api, name, GOOD[name])
    assert item["spec"] == GOOD[name]


@pytest.mark.parametrize("name", BAD)
async def test_bad_policies_are_refused_with_the_words_of_the_code(api, name):
    with pytest.raises(ApiError, match="is invalid") as refused:
        await created(api, name, BAD[name].spec)
    assert refused.value.status == 422
    assert BAD[name].says in str(refused.value)


@pytest.mark.parametrize("name", MALFORMED)
async def test_malformed_policies_are_refused_at_the_same_field(api, name):
    with pytest.raises(ApiError, match="is invalid") as refused:
        await created(api, name, MALFORMED[name].spec)
    assert f"{MALFORMED[name].field}: " in str(refused.value)


async def test_fields_that_do_not_exist_are_refused(api):
    with pytest.raises(ApiError, match=r"unknown field \"spec\.strategy\.cluster\""):
        await created(api, "slip", {"targetRefs": [], "strategy": {"type": "FailOver", "cluster": ["west"]}})


async def test_kubectl_shows_what_matters(api):
    targets = [{"kind": "Service", "name": name} for name in ("web", "cart")]
    item = document("shown", {**GOOD["fail-over"], "targetRefs": targets}, NAMESPACE)
    await api.apply(item)
    accepted = {
        "type": "Accepted",
        "status": "True",
        "reason": "Accepted",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    await api.patch_status(item, {"conditions": [accepted]})
    table = await api.ask("GET", path_of(item), accept="application/json;as=Table;v=v1;g=meta.k8s.io")
    columns = [column["name"] for column in table["columnDefinitions"]]
    row = dict(zip(columns, table["rows"][0]["cells"], strict=True))
    await api.delete(item)
    assert columns == ["Name", "First target", "All targets", "Default", "Strategy", "Accepted", "Age"]
    assert (row["First target"], row["Strategy"], row["Accepted"]) == ("web", "FailOver", "True")
    assert json.loads(row["All targets"]) == targets
