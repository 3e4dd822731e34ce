"""A real Envoy accepts everything that the golden cases give to Envoys.

`envoy --mode validate` loads no dynamic resources, so each case becomes a static configuration: a cluster's endpoints and a
connection manager's routes are put in their places.
"""

from __future__ import annotations

import subprocess

import pytest
from envoy_binary import envoy_or_skip
from golden_case import CASES, outcome

from xds.translate.gateway import NO_BACKEND
from xds.wire import CLUSTER, ENDPOINT, LISTENER, ROUTE, envoy, pack, to_json, unpack

pytestmark = pytest.mark.interop


@pytest.fixture(scope="session")
def binary():
    return envoy_or_skip()


@pytest.mark.parametrize("case", [case for case in CASES if "proxyless" not in case])
def test_envoy_accepts(case, binary, tmp_path):
    file = tmp_path / "bootstrap.json"
    file.write_text(to_json(static_bootstrap(outcome(case).resources)))
    assert validate(binary, file) == ""


def test_envoy_refuses_an_api_listener(binary, tmp_path):
    """Proxyless listeners never go to Envoys, and show here what a refusal looks like."""
    resources = outcome("proxyless").resources
    file = tmp_path / "bootstrap.json"
    file.write_text(to_json(static_bootstrap(resources)))
    assert "missing the API listener extension" in validate(binary, file)


def validate(binary, file) -> str:
    """Return what Envoy has against a bootstrap."""
    command = [binary, "--mode", "validate", "--log-level", "error", "-c", file]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    return "" if done.returncode == 0 else done.stderr


def static_bootstrap(resources):
    bodies = {url: {name: unpack(url, made.body) for name, made in named.items()} for url, named in resources.items()}
    bootstrap = envoy.Bootstrap()
    for name, cluster in bodies.get(CLUSTER, {}).items():
        if cluster.type == envoy.Cluster.EDS:
            cluster.type = envoy.Cluster.STATIC
            assigned = cluster.eds_cluster_config.service_name or name
            cluster.ClearField("eds_cluster_config")
            cluster.load_assignment.CopyFrom(bodies[ENDPOINT][assigned])
        bootstrap.static_resources.clusters.append(cluster)
    for listener in bodies.get(LISTENER, {}).values():
        for chain in [*listener.filter_chains, listener.default_filter_chain]:
            for found in chain.filters:
                inline_routes(found, bodies[ROUTE])
        if not listener.default_filter_chain.filters:
            listener.ClearField("default_filter_chain")
        bootstrap.static_resources.listeners.append(listener)
    return bootstrap


def inline_routes(found, routes):
    if found.name != "envoy.filters.network.http_connection_manager":
        return
    manager = envoy.HttpConnectionManager.FromString(found.typed_config.value)
    routing = routes[manager.rds.route_config_name]
    # Inline routes must lead to clusters that exist; the one that never does is meant to be missing.
    routing.validate_clusters.value = NO_BACKEND not in str(routing)
    manager.route_config.CopyFrom(routing)
    found.typed_config.CopyFrom(pack(manager))
