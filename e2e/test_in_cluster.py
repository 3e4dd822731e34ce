"""What is in deploy/, on a real API server that takes no field that it does not know; and the control plane with these rights."""

import base64
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from crds import install
from interop_waiting import eventually
from live_lab import serving, states
from workload import named

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]
DEPLOY = Path(__file__).parents[1] / "deploy"
NAMESPACE = "isthmus-system"


async def apply_all(api):
    """Apply every file (`KubernetesApi.apply` is strict)."""
    await install(api, sorted((DEPLOY / "crds").glob("*.yaml")))
    files = ["control-plane/hub-reader.yaml", "control-plane/deployment.yaml", *(f"remote/{one.name}" for one in remote())]
    for file in files:
        await api.apply(*[item for item in yaml.safe_load_all((DEPLOY / file).read_text()) if item])


def remote():
    return sorted((DEPLOY / "remote").glob("*.yaml"))


async def test_the_control_plane_runs_as_its_service_account(clusters, kubeconfigs, tmp_path, monkeypatch):
    east = clusters["east"].api
    await apply_all(east)
    account = tmp_path / "account"
    account.mkdir()
    path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/isthmus/token"
    token = (await east.ask("POST", path, body={"spec": {"expirationSeconds": 3600}}))["status"]["token"]
    (account / "token").write_text(token)
    (account / "ca.crt").write_bytes(base64.b64decode(east.authority))
    server = urlsplit(east.url)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", server.hostname)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.port))
    secret = named(
        "v1", "Secret", "west", NAMESPACE, data={"kubeconfig": base64.b64encode(kubeconfigs["west"].read_bytes()).decode()}
    )
    secret["metadata"]["labels"] = {"traffic.isthmus.dev/cluster": "west"}
    spec = {"region": "r-west", "stale": {"demoteAfterSeconds": 30}}
    member = named("traffic.isthmus.dev/v1alpha1", "MemberCluster", "west", spec=spec)
    try:
        await east.apply(secret, member)
        with serving(tmp_path, [], declared=False, arguments=("--hub", f"in-cluster:{account}")) as plane:
            await plane.wait_ready()
            await eventually(lambda: is_connected(plane), timeout_s=30)
            problems = (await plane.admin("/v1/problems"))["items"]
            assert [one for one in problems if one["code"].startswith("XDS03")] == []
    finally:
        await east.delete(secret, member)


async def is_connected(plane):
    return await states(plane) == {"west": "Connected"}
