"""A part of a real cluster: its API server is asked for no more than what is wanted."""

import pytest
import workload
from interop_waiting import eventually
from live_lab import services, serving, xdsctl
from shop import SERVICE, members

from xds.cli.demo.manifests import replace_file

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


async def test_only_what_is_exported_or_chosen_is_read(clusters, kubeconfigs, shop, tmp_path):
    west = clusters["west"].api
    private = workload.service("private", shop.namespace)
    await west.apply(private)
    names = f"{SERVICE}.{shop.namespace}", f"private.{shop.namespace}"

    async def known():
        """Return which of the two west's part of the fleet has, and how many endpoints the exported one has there."""
        found = await services(plane)
        own = {name: found.get(("west", f"{name}.svc.cluster.local")) for name in names}
        return [bool(one) for one in own.values()], (own[names[0]] or {}).get("endpoints", 0)

    async def is_known(exported, other, endpoints):
        return await known() == ([exported, other], endpoints)

    def declare(**scope):
        items = members()
        next(item for item in items if item["metadata"]["name"] == "west")["spec"]["scope"] = scope
        replace_file(tmp_path / "clusters" / "members.yaml", items)

    with serving(tmp_path, kubeconfigs.values()) as plane:
        await plane.wait_ready()
        await eventually(lambda: is_known(exported=True, other=True, endpoints=2))
        declare(exportedOnly=True)
        await eventually(lambda: is_known(exported=True, other=False, endpoints=2))
        assert "what it exports alone" in await xdsctl(plane, "describe", "cluster", "west")
        await west.delete(shop.export())
        await eventually(lambda: is_known(exported=False, other=False, endpoints=0))
        await west.apply(shop.export())
        await eventually(lambda: is_known(exported=True, other=False, endpoints=2))
        declare(namespaceSelector={"matchLabels": {"team": "shop"}})
        await eventually(lambda: is_known(exported=False, other=False, endpoints=0))
        chosen = workload.namespace(shop.namespace)
        chosen["metadata"]["labels"] = {"team": "shop"}
        await west.apply(chosen)
        await eventually(lambda: is_known(exported=True, other=True, endpoints=2))
        assert "XDS0308" not in {problem["code"] for problem in (await plane.admin("/v1/problems"))["items"]}
        plane.check()
