"""A gateway with HTTPRoute, and the transparent variant of a sidecar's configuration, in a real Envoy."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from interop_waiting import eventually

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


VIP = "127.96.0.10"
"""A cluster IP that needs no redirection on this machine: whoever connects there ends up at a listener on 0.0.0.0."""


async def test_a_transparent_sidecar_goes_by_the_destination(envoy, tmp_path, delta):
    proxy = replace(sidecar(EAST), intercept="transparent")
    async with Lab(tmp_path, envoy, [proxy], delta=delta) as lab:
        file = lab.manifests.directory / "east/web.yaml"
        file.write_text(file.read_text().replace("10.96.0.10", VIP).replace("port: 80", f"port: {proxy.port}"))
        await eventually(lambda: has_active_chain(lab, VIP))
        await assert_nothing_rejected(lab)
        by_vip, failures = await measure_shares(Client("by VIP", proxy.port, f"{VIP}:{proxy.port}", host=VIP), 200)
        (by_name,) = await Client("by name", proxy.port, "web.shop", host=VIP).burst(1)
        (elsewhere,) = await Client("elsewhere", proxy.port, "web.shop", host="127.96.0.11").burst(1)
    assert not failures
    assert by_vip.keys() == {"east/east-a", "east/east-b"}
    assert by_name.ok
    assert not elsewhere.place  # passed through: to itself here, where nothing has been redirected


@pytest.mark.skipif(os.geteuid() != 0, reason="redirecting connections needs root")
@pytest.mark.skipif(not shutil.which("nft") or not shutil.which("ip"), reason="redirecting connections needs nft and ip")
def test_redirected_connections_reach_services_and_everything_else(envoy, tmp_path):
    script = Path(__file__).parent / "scripts/redirected.py"
    command = ("unshare", "--net", sys.executable, str(script), str(tmp_path), str(envoy))
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout)
    assert told == {"by_vip": ["east/east-a", "east/east-b"], "elsewhere": "nowhere/stranger"}


async def has_active_chain(lab, vip):
    (process,) = lab.envoys.values()
    dump = await process.admin("/config_dump?resource=dynamic_listeners")
    return f'"address_prefix": "{vip}"' in dump and "warming_state" not in dump


async def assert_nothing_rejected(lab):
    for process in lab.envoys.values():
        rejected = {name: count for name, count in (await process.stats("update_rejected")).items() if count}
        assert not rejected, process.log_tail()
