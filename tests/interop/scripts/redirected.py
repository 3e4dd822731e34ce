"""An application whose connections are redirected to a transparent sidecar, in a network namespace of its own (needs root).

Prints as JSON who answered: at a service's VIP, and at an address that no service has.
"""

import asyncio
import http.client
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from xds.cli.demo.backends import PLACE_HEADER, Backends
from xds.cli.demo.lab import EAST, Lab, sidecar
from xds.cli.demo.places import Place, Pod

APPLICATION, VIP, STRANGER = "127.0.0.2", "10.96.0.10", "10.200.0.1"


def network(port):
    """Everything that the application sends goes to the sidecar; the sidecar's own connections do not."""
    rule = f"add rule ip nat output ip saddr {APPLICATION} ip protocol tcp redirect to :{port}"
    commands = (
        "ip link set lo up",
        f"ip address add {STRANGER}/32 dev lo",
        f"ip route add {VIP}/32 dev lo",
        "nft add table ip nat",
        "nft add chain ip nat output { type nat hook output priority -100 ; }",
        f"nft {rule}",
    )
    for command in commands:
        subprocess.run(command.split(), check=True)


class Stranger(Pod):
    """A pod at an address that no service has."""

    __slots__ = ()
    address = STRANGER


def ask(host, port, authority):
    connection = http.client.HTTPConnection(host, port, timeout=10, source_address=(APPLICATION, 0))
    connection.request("GET", "/", headers={"Host": authority})
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.headers.get(PLACE_HEADER, str(response.status))


async def main(directory, envoy):
    proxy = replace(sidecar(EAST), intercept="transparent")
    network(proxy.port)
    async with Lab(directory, envoy, [proxy]) as lab:
        stranger = Backends(lab.backends.port)
        await stranger.start([Stranger(Place("nowhere", "stranger"), 0, 0)])
        by_vip = [await asyncio.to_thread(ask, VIP, 80, "web.shop") for _ in range(20)]
        elsewhere = await asyncio.to_thread(ask, STRANGER, lab.backends.port, "stranger.example.com")
        stranger.close()
    print(json.dumps({"by_vip": sorted(set(by_vip)), "elsewhere": elsewhere}))


asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
