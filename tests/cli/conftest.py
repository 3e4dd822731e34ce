"""xdsctl in this process, and a fake control plane behind the real admin server in a thread."""

import asyncio
import sys
import threading
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from drained_fleet import FLEET as DRAINED_FLEET
from drained_fleet import NOBODY, WEB
from written_fleet import API, PLACES, web

from xds.admin.server import AdminServer
from xds.cli.main import main

sys.path.append(str(Path(__file__).parents[1] / "admin"))

from fake_plane import FakePlane

SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.96.0.1, ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints: [{addresses: [10.1.0.1], zone: eu-1}]
"""
FLEET = """\
apiVersion: traffic.isthmus.dev/v1alpha1
kind: MemberCluster
metadata: {name: east}
spec: {region: eu, zones: [eu-1]}
"""


@pytest.fixture
def clusters(tmp_path):
    """A directory with one cluster and one service, free of problems."""
    directory = tmp_path / "clusters"
    (directory / "east").mkdir(parents=True)
    (directory / "fleet.yaml").write_text(FLEET)
    (directory / "east" / "web.yaml").write_text(SERVICE)
    return directory


@pytest.fixture
def xdsctl(monkeypatch):
    """Run xdsctl: the result has `exit_code`, `stdout` and `stderr`; its code must be `exits`."""
    monkeypatch.delenv("XDS_ADMIN_ADDRESS", raising=False)

    def run(*arguments, exits=0, **options):
        result = CliRunner().invoke(main, [str(argument) for argument in arguments], prog_name="xdsctl", **options)
        assert result.exit_code == exits, (result.output, result.exception)
        return result

    return run


@pytest.fixture
def plane():
    return FakePlane()


@pytest.fixture
def asked(xdsctl, plane):
    """Run xdsctl against the fake control plane."""
    loop = asyncio.new_event_loop()
    server = AdminServer(plane, "127.0.0.1:0")
    address = loop.run_until_complete(server.start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def run(*arguments, **options):
        return xdsctl(*arguments, "--admin-address", address, **options)

    yield run
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


@pytest.fixture
def fleet(tmp_path):
    """A directory of three clusters in two regions, each with two endpoints that bear 100 requests a second."""

    def write(*fleet_wide):
        members = [
            {"apiVersion": API, "kind": "MemberCluster", "metadata": {"name": name}, "spec": {"region": region, "zones": [zone]}}
            for name, (region, zone) in PLACES.items()
        ]
        (tmp_path / "fleet.yaml").write_text(yaml.dump_all([*members, *fleet_wide]))
        return tmp_path

    for number, name in enumerate(PLACES, 1):
        (tmp_path / name).mkdir()
        manifests = web(name, number, **{"traffic.isthmus.dev/endpoint-capacity": "100"})
        (tmp_path / name / "web.yaml").write_text(yaml.dump_all(manifests))
    write()
    return write


@pytest.fixture
def directory(tmp_path):
    """Two clusters that export one service; a policy keeps the clients of each at home until its gate is open."""
    for cluster, address, zone in (("east", "10.1.0.1", "eu-1"), ("west", "10.2.0.1", "us-1")):
        (tmp_path / cluster).mkdir()
        (tmp_path / cluster / "web.yaml").write_text(WEB.format(address=address, zone=zone))
    policy = DRAINED_FLEET[DRAINED_FLEET.rindex("---") :]
    (tmp_path / "fleet.yaml").write_text(DRAINED_FLEET.removesuffix(policy))
    (tmp_path / "policy.txt").write_text(policy)
    return tmp_path


@pytest.fixture
def run(xdsctl, directory):
    """Run a command on the directory, without a control plane."""

    def run(command, *arguments, **options):
        words = [*command.split(), *arguments, "--clusters", directory]
        return xdsctl(*words, "--admin-address", NOBODY, **options)

    return run


@pytest.fixture
def with_policy(directory):
    (directory / "policy.txt").rename(directory / "policy.yaml")
