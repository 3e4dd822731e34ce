"""A change in a file reaches a connected Envoy in under a second."""

import statistics
import time

from interop_waiting import eventually, health_of

from xds.cli.demo.manifests import HOST
from xds.cli.demo.places import in_zone


async def test_a_change_of_endpoints_arrives_in_under_a_second(sidecar_lab):
    lab, (envoy,) = sidecar_lab, sidecar_lab.envoys.values()
    everything, times_s = lab.world, []
    for place in lab.world.places:
        for world in (everything.not_ready(in_zone(place)), everything):
            began_s = time.monotonic()
            lab.show(world)
            await eventually(lambda: shows(envoy, lab), every_s=0.005)
            times_s.append(time.monotonic() - began_s)
    print(f"endpoints: {statistics.median(times_s):.3f} s (median), {max(times_s):.3f} s (worst)")
    assert statistics.median(times_s) < 1.0


async def test_a_new_service_arrives_in_under_a_second(sidecar_lab):
    lab, (envoy,) = sidecar_lab, sidecar_lab.envoys.values()
    text, times_s = (lab.manifests.directory / "east/web.yaml").read_text(), []
    for number in range(3):
        name = f"api{number}"
        began_s = time.monotonic()
        file = lab.manifests.directory / f"east/{name}.yaml"
        file.write_text(text.replace("name: web", f"name: {name}").replace("10.96.0.10", f"10.96.0.{20 + number}"))
        await eventually(lambda name=name: knows(envoy, f"{name}.shop.svc.clusterset.local:80"), every_s=0.005)
        times_s.append(time.monotonic() - began_s)
    print(f"a service: {statistics.median(times_s):.3f} s (median), {max(times_s):.3f} s (worst)")
    assert statistics.median(times_s) < 1.0


async def shows(envoy, lab):
    found = health_of(await envoy.hosts(f"{HOST}:80"))
    return found == {f"{pod.address}:{lab.backends.port}": "HEALTHY" if pod.ready else "UNHEALTHY" for pod in lab.world.pods}


async def knows(envoy, cluster):
    return f'"name": "{cluster}"' in await envoy.admin("/config_dump")
