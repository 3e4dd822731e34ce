"""A gateway with HTTPRoute, and the transparent variant of a sidecar's configuration, in a real Envoy."""

from dataclasses import replace

from xds.cli.demo.arithmetic import expected_shares
from xds.cli.demo.lab import EAST, Lab, gateway, sidecar
from xds.cli.demo.traffic import Client, measure_shares


async def test_a_gateway_serves_what_its_routes_expose(envoy, tmp_path, delta):
    async with Lab(tmp_path, envoy, [gateway()], delta=delta) as lab:
        shares, failures = await measure_shares(lab.clients[0], 500)
        (elsewhere,) = await Client("stranger", lab.proxies[0].port, "other.example.com").burst(1)
        await assert_nothing_rejected(lab)
    assert not failures
    assert shares.keys() == expected_shares(lab.world, "east").keys()
    assert elsewhere.status == 404


async def test_an_explicit_sidecar_answers_404_for_unknown_hosts(envoy, tmp_path):
    async with Lab(tmp_path, envoy, [sidecar(EAST)]) as lab:
        (unknown,) = await Client("stranger", lab.proxies[0].port, "other.example.com").burst(1)
        await assert_nothing_rejected(lab)
    assert unknown.status == 404


async def test_envoy_accepts_the_transparent_configuration(envoy, tmp_path, delta):
    proxy = replace(sidecar(EAST), intercept="transparent")
    async with Lab(tmp_path, envoy, [proxy], delta=delta) as lab:
        (process,) = lab.envoys.values()
        await assert_nothing_rejected(lab)
        listeners = await process.admin("/listeners?format=json")
        dump = await process.admin("/config_dump?resource=dynamic_listeners")
    assert f'"port_value": {proxy.port}' in listeners
    assert "envoy.filters.listener.original_dst" in dump
    assert '"address_prefix": "10.96.0.10"' in dump


async def assert_nothing_rejected(lab):
    for process in lab.envoys.values():
        rejected = {name: count for name, count in (await process.stats("update_rejected")).items() if count}
        assert not rejected, process.log_tail()
