"""What KubeFed has left in a real cluster, read by `xdsctl analyze`."""

import json

import pytest
from interop_waiting import eventually
from live_lab import run
from workload import named

pytestmark = pytest.mark.asyncio(loop_scope="session")
GROUP = "types.kubefed.io"


def crd(kind):
    """Return a CRD that takes everything."""
    plural = f"{kind.lower()}s"
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1beta1", "served": True, "storage": True, "schema": schema}
    names = {"kind": kind, "plural": plural, "singular": kind.lower()}
    spec = {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]}
    return named("apiextensions.k8s.io/v1", "CustomResourceDefinition", f"{plural}.{GROUP}", spec=spec)


async def test_services_of_kubefed_and_the_exports_that_they_lack(clusters, shop):
    east, west = clusters["east"], clusters["west"]
    await east.api.apply(crd("FederatedService"), crd("FederatedDeployment"))
    try:
        await eventually(lambda: east.api.answers(f"/apis/{GROUP}/v1beta1/federateddeployments"), timeout_s=30)
        both = {"placement": {"clusters": [{"name": "east"}, {"name": "west"}]}}
        served = (named(f"{GROUP}/v1beta1", "FederatedService", name, shop.namespace, spec=both) for name in ("web", "pay"))
        await east.api.apply(*served, named(f"{GROUP}/v1beta1", "FederatedDeployment", "web", shop.namespace, spec=both))
        files = ("--kubeconfig", east.kubeconfig, "--kubeconfig", west.kubeconfig)
        out, _ = await run("analyze", *files, "-o", "json")
        found = json.loads(out)
        # The shop is exported in both clusters, under the name web.
        assert {one["name"]: one["exports"] for one in found["services"]} == {"web": [], "pay": ["east", "west"]}
        assert [one["objects"] for one in found["differences"]] == ["1 FederatedDeployment"]
        out, err = await run("analyze", *files)
        assert "EXPORT TO MAKE IN" in out
        assert "2 services, 1 of which lacks ServiceExports" in err
    finally:
        await east.api.delete(crd("FederatedService"), crd("FederatedDeployment"))
