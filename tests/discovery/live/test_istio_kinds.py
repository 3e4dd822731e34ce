"""DestinationRules on an API server: read as Istio's CRD lets them be, and none of them hides the others."""

from __future__ import annotations

from xds.model.events import ObjectKey

FAILOVER = {"failover": [{"from": "r1", "to": "r2"}]}


def spec(**traffic):
    return {"host": "pay", "trafficPolicy": traffic}


async def test_rules_are_followed_while_they_change(server, member_of):
    server.store.add_kind("DestinationRule")
    server.store.put("DestinationRule", "pay", spec=spec(loadBalancer={"localityLbSetting": FAILOVER, "simple": "RANDOM"}))
    server.store.put("DestinationRule", "web", spec={"host": "web", "trafficPolicy": None, "subsets": None})
    async with member_of(server) as fleet:
        await fleet.until(lambda: fleet.names("DestinationRule") == {"pay", "web"})
        key = ("east", ObjectKey("DestinationRule", "shop", "pay"))
        assert fleet.objects[key].locality.failover[0].from_ == "r1"
        server.store.put("DestinationRule", "pay", spec=spec(loadBalancer=None, outlierDetection={"consecutive5xxErrors": 0}))
        await fleet.until(lambda: fleet.objects[key].outliers is not None)
        assert fleet.objects[key].outliers.consecutive_5xx_errors == 0
        server.store.put("DestinationRule", "web", spec={"host": 80})
        await fleet.until(lambda: "XDS0102" in fleet.found())
        assert fleet.found()["XDS0102"].field == "spec.host"
        server.store.delete("DestinationRule", "pay")
        await fleet.until(lambda: fleet.names("DestinationRule") == {"web"})
