"""What `xdsctl bootstrap --xds-ca …` prints is enough for a real Envoy and for grpcio's xds:/// client to be served over TLS."""

import json

import pytest
import trustme
from click.testing import CliRunner
from grpc_scripts import ask, calls, script
from interop_waiting import eventually

from xds.cli.demo.control_plane import ControlPlaneProcess
from xds.cli.demo.envoy import EnvoyProcess
from xds.cli.demo.lab import EAST, WEST, Lab, sidecar
from xds.cli.demo.manifests import Manifests
from xds.cli.demo.places import World
from xds.cli.demo.processes import free_port
from xds.cli.demo.traffic import measure_shares
from xds.cli.main import main

pytestmark = pytest.mark.interop


class Pki:
    """Files of a server and of a proxy, by two authorities."""

    def __init__(self, directory):
        self.directory = directory
        self.servers, self.clients = trustme.CA(), trustme.CA()
        self.servers.cert_pem.write_to_path(directory / "servers.pem")
        self.clients.cert_pem.write_to_path(directory / "clients.pem")
        self.write("server", self.servers.issue_cert("127.0.0.1", "isthmus.example.com"))
        self.write("proxy", self.clients.issue_cert("web-1.example.com"))
        self.write("stranger", trustme.CA().issue_cert("web-1.example.com"))

    def write(self, name, leaf):
        leaf.private_key_pem.write_to_path(self.directory / f"{name}.key")
        for number, pem in enumerate(leaf.cert_chain_pems):
            pem.write_to_path(self.directory / f"{name}.crt", append=number > 0)

    @property
    def serve(self):
        files = {"--xds-tls-cert": "server.crt", "--xds-tls-key": "server.key", "--xds-client-ca": "clients.pem"}
        return [part for flag, file in files.items() for part in (flag, str(self.directory / file))]

    def bootstrap(self, name="proxy"):
        files = {"--xds-ca": "servers.pem", "--xds-cert": f"{name}.crt", "--xds-key": f"{name}.key"}
        return [part for flag, file in files.items() for part in (flag, str(self.directory / file))]


@pytest.fixture
def pki(tmp_path):
    directory = tmp_path / "pki"
    directory.mkdir()
    return Pki(directory)


class TlsLab(Lab):
    """A lab whose Envoy is started with what xdsctl prints."""

    def __init__(self, directory, envoy, pki, xdsctl, *, delta):
        super().__init__(directory, envoy, [sidecar(EAST)], delta=delta)
        self.control_plane = ControlPlaneProcess(self.manifests.directory, directory / "control-plane.log", pki.serve)
        self.bootstrap = lambda *flags: json.loads(
            xdsctl("bootstrap", *self.node_flags(), *flags, "--delta" if delta else "--sotw", "-o", "json").stdout
        )
        self.pki = pki

    def node_flags(self):
        node = self.proxies[0].node
        where = ("--cluster", node.cluster, "--region", node.region, "--zone", node.zone, "--namespace", node.namespace)
        return ("--node", node.node_id, *where, "--listen", node.listen, "--xds-address", self.control_plane.xds_address)

    def _envoy(self, proxy):
        return EnvoyProcess(proxy.name, self.bootstrap(*self.pki.bootstrap()), self.directory, self._binary)


@pytest.fixture
def xdsctl():
    def run(*arguments):
        result = CliRunner().invoke(main, arguments, prog_name="xdsctl")
        assert result.exit_code == 0, result.output
        return result

    return run


async def test_an_envoy_with_a_certificate_of_its_own(tmp_path, envoy, pki, xdsctl, delta):
    async with TlsLab(tmp_path, envoy, pki, xdsctl, delta=delta) as lab:
        (client,), (process,) = lab.clients, lab.envoys.values()
        shares, failures = await measure_shares(client, 100)
        assert (shares.keys(), failures) == ({"east/east-a", "east/east-b"}, [])
        assert (await process.stats(r"^cluster\.isthmus_xds\.ssl\.handshake$")).popitem()[1] >= 1
        for name, flags, failure in (
            ("stranger", pki.bootstrap("stranger"), None),
            ("impostor", [*pki.bootstrap(), "--xds-server-name", "other.example.com"], "fail_verify_san"),
        ):
            with EnvoyProcess(name, lab.bootstrap("--node", name, *flags), tmp_path, envoy) as other:
                await eventually(lambda other=other: other.admin_address)
                await eventually(lambda other=other: attempts(other), timeout_s=20)
                # With TLS 1.3 a client learns only afterwards that its certificate was refused; it was told nothing all the same.
                assert not any((await other.stats(r"\.(cds|lds)\.update_success$")).values())
                if failure:
                    assert (await other.stats(f"ssl.{failure}")).popitem()[1] >= 1
        proxies = (await lab.control_plane.admin("/v1/proxies"))["items"]
        assert [proxy["node_id"] for proxy in proxies] == [lab.proxies[0].name]


async def attempts(process):
    """Whether it has tried to reach the control plane twice."""
    return (await process.stats(r"^cluster\.isthmus_xds\.upstream_cx_total$")).popitem()[1] >= 2


async def test_a_proxyless_client_with_a_certificate_of_its_own(tmp_path, pki, xdsctl):
    manifests = Manifests(tmp_path / "clusters", backend_port=free_port(), app_protocol="kubernetes.io/h2c")
    world = World.of((EAST, WEST), pods_per_zone=1)
    manifests.write(world)
    with (
        ControlPlaneProcess(manifests.directory, tmp_path / "control-plane.log", pki.serve) as control_plane,
        script("grpc_pods.py", str(manifests.backend_port)) as pods,
    ):
        await control_plane.wait_ready()
        for pod in world.pods:
            ask(pods, f"start {pod.address} {pod.place}")
        node = ("--node", "grpc-client", "--cluster", EAST.name, "--region", EAST.region, "--zone", EAST.zones[0])
        address = ("--namespace", "shop", "--xds-address", control_plane.xds_address)
        bootstrap = xdsctl("bootstrap", "--grpc", *node, *address, *pki.bootstrap()).stdout
        with script("grpc_client.py", env={"GRPC_XDS_BOOTSTRAP_CONFIG": bootstrap}) as client:
            assert await calls(client) == {"east/east-a", "east/east-b"}
