import json
import subprocess

import pytest
import yaml
from google.protobuf import json_format

from xds.cli.demo.envoy import find_envoy
from xds.errors import ConfigurationError
from xds.wire import POOL, envoy

NODE = ("bootstrap", "--node", "web-1", "--cluster", "east", "--region", "eu", "--zone", "eu-1")


@pytest.fixture
def validate(tmp_path):
    """Have a real Envoy validate a bootstrap; returns what it said."""
    try:
        binary = find_envoy(None)
    except ConfigurationError as error:
        pytest.skip(str(error))

    def run(text):
        path = tmp_path / "envoy.yaml"
        path.write_text(text)
        command = [binary, "--mode", "validate", "-l", "warning", "-c", path]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert result.returncode == 0, result.stderr
        return result.stderr

    return run


@pytest.mark.interop
@pytest.mark.parametrize(
    "extra",
    [
        (),
        ("--sotw", "--role", "gateway", "--gateway", "shop/public"),
        ("--role", "node", "--intercept", "transparent", "--listen", "0.0.0.0:15001", "--namespace", "shop"),
        ("--xds-address", "[::1]:18000", "--envoy-admin-address", "0.0.0.0:9000"),
        ("--xds-address", "unix:/run/isthmus.sock"),
        ("--xds-address", "isthmus.example.com:18000"),
    ],
)
def test_envoy_accepts_it_without_a_warning(xdsctl, validate, extra):
    assert "[warning]" not in validate(xdsctl(*NODE, *extra).stdout)


def test_the_node_says_what_the_flags_say(xdsctl):
    flags = (
        "--role",
        "sidecar",
        "--namespace",
        "shop",
        "--intercept",
        "transparent",
        "--listen",
        "127.0.0.1:1",
        "--workload",
        "web",
    )
    found = yaml.safe_load(xdsctl(*NODE, *flags).stdout)
    assert found["node"] == {
        "id": "web-1",
        "cluster": "web",
        "locality": {"region": "eu", "zone": "eu-1"},
        "metadata": {
            "isthmus": {
                "role": "sidecar",
                "cluster": "east",
                "namespace": "shop",
                "intercept": "transparent",
                "listen": "127.0.0.1:1",
            }
        },
    }


@pytest.mark.parametrize(("flag", "kind"), [("--delta", "DELTA_GRPC"), ("--sotw", "GRPC")])
def test_both_variants(xdsctl, flag, kind):
    found = json.loads(xdsctl(*NODE, flag, "-o", "json").stdout)
    assert found["dynamic_resources"]["ads_config"]["api_type"] == kind
    message = json_format.ParseDict(found["dynamic_resources"], envoy.Bootstrap.DynamicResources(), descriptor_pool=POOL)
    assert message.cds_config.HasField("ads")
    assert message.lds_config.resource_api_version == message.ads_config.transport_api_version == 2


@pytest.mark.parametrize(
    ("address", "kind"), [("10.0.0.1:1", "STATIC"), ("[::1]:1", "STATIC"), ("xds.example.com:1", "STRICT_DNS")]
)
def test_names_are_resolved(xdsctl, address, kind):
    (cluster,) = yaml.safe_load(xdsctl(*NODE, "--xds-address", address).stdout)["static_resources"]["clusters"]
    assert cluster["type"] == kind


def test_grpc_bootstrap(xdsctl):
    found = json.loads(xdsctl(*NODE, "--grpc", "--xds-address", "10.0.0.1:18000").stdout)
    assert found["xds_servers"] == [
        {"server_uri": "10.0.0.1:18000", "channel_creds": [{"type": "insecure"}], "server_features": ["xds_v3"]}
    ]
    assert found["node"]["metadata"] == {"isthmus": {"role": "proxyless", "cluster": "east"}}
    assert found["node"]["locality"] == {"region": "eu", "zone": "eu-1"}
