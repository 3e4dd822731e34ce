"""Killing and restarting the control plane interrupts no traffic, and nothing that a proxy holds is sent again."""

import asyncio

from interop_waiting import eventually, health_of

from xds.cli.demo.manifests import HOST
from xds.cli.demo.places import Place, in_zone
from xds.cli.demo.traffic import traffic

RESPONSES = {
    "cds": r"cluster_manager\.cds\.update_success",
    "eds": r"cluster\.web\.shop\.svc\.clusterset\.local_80\.update_success",
    "lds": r"listener_manager\.lds\.update_success",
    "rds": r"http\.outbound\.rds\.outbound\.update_success",
}
"""Type -> the counter of accepted responses in Envoy's statistics."""


async def test_a_restart_interrupts_no_traffic_and_sends_nothing_that_is_held(sidecar_lab, delta):
    lab, (client,), (envoy,) = sidecar_lab, sidecar_lab.clients, sidecar_lab.envoys.values()
    async with traffic([client], rate=200):
        await asyncio.sleep(0.5)
        before = await responses(envoy)
        assert all(before.values()), before

        lab.control_plane.kill()
        await eventually(lambda: is_connected(envoy, 0))
        await asyncio.sleep(0.5)
        lab.control_plane.start()
        await lab.control_plane.wait_ready()
        await eventually(lambda: is_connected(envoy, 1), timeout_s=40)
        await eventually(lambda: is_settled(lab))
        await asyncio.sleep(1)
        sent = {name: count - before[name] for name, count in (await responses(envoy)).items()}

        # The restarted control plane is still one that serves changes.
        lab.turn_not_ready(in_zone(Place("east", "east-a")))
        await eventually(lambda: some_unhealthy(envoy))
    assert sent == ({"cds": 0, "eds": 0, "lds": 0, "rds": 0} if delta else {"cds": 0, "eds": 1, "lds": 0, "rds": 1})
    assert [answer for answer in client.answers if not answer.ok] == []
    rejected = await envoy.stats(r"update_rejected")
    assert not any(rejected.values()), rejected


async def responses(envoy):
    found = {}
    for name, pattern in RESPONSES.items():
        stats = await envoy.stats(f"^{pattern}$")
        found[name] = sum(stats.values())
    return found


async def is_connected(envoy, wanted):
    return (await envoy.stats(r"^control_plane\.connected_state$"))["control_plane.connected_state"] == wanted


async def is_settled(lab):
    """Every type that the proxy asked for is one that it holds."""
    proxies = (await lab.control_plane.admin("/v1/proxies")).get("items", [])
    types = [kind["state"] for proxy in proxies for kind in proxy.get("types", [])]
    return len(types) >= 4 and set(types) == {"SYNCED"}


async def some_unhealthy(envoy):
    return "UNHEALTHY" in health_of(await envoy.hosts(f"{HOST}:80")).values()
