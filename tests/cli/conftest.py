"""xdsctl in this process, and a fake control plane behind the real admin server in a thread."""

import asyncio
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

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
