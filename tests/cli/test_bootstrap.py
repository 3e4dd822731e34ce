import json
import subprocess

import pytest
import yaml
from envoy_binary import envoy_or_skip
from google.protobuf import json_format

from xds.wire import POOL, envoy

NODE = ("bootstrap", "--node", "web-1", "--cluster", "east", "--region", "eu", "--zone", "eu-1")


@pytest.fixture
def validate(tmp_path):
    """Have a real Envoy validate a bootstrap; returns what it said."""
    binary = envoy_or_skip()

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


TLS = ("--xds-address", "xds.example.com:18000", "--xds-ca", "/certs/ca.pem")
PAIR = ("--xds-cert", "/certs/tls.crt", "--xds-key", "/certs/tls.key")


def transport_socket(xdsctl, *flags):
    (cluster,) = yaml.safe_load(xdsctl(*NODE, *flags).stdout)["static_resources"]["clusters"]
    return cluster["transport_socket"]["typed_config"]


def test_envoy_trusts_the_given_roots_and_the_name_that_it_connects_to(xdsctl):
    context = transport_socket(xdsctl, *TLS)
    name = {"san_type": "DNS", "matcher": {"exact": "xds.example.com"}}
    assert context["sni"] == "xds.example.com"
    assert context["common_tls_context"] == {
        "validation_context": {"trusted_ca": {"filename": "/certs/ca.pem"}, "match_typed_subject_alt_names": [name]},
        "alpn_protocols": ["h2"],
    }


def test_envoy_shows_a_certificate_of_its_own(xdsctl):
    context = transport_socket(xdsctl, *TLS, *PAIR, "--xds-server-name", "isthmus.example.com")
    assert context["sni"] == "isthmus.example.com"
    assert context["common_tls_context"]["tls_certificates"] == [
        {"certificate_chain": {"filename": "/certs/tls.crt"}, "private_key": {"filename": "/certs/tls.key"}}
    ]


@pytest.mark.parametrize(("address", "ip"), [("10.0.0.1:1", "10.0.0.1"), ("[::1]:1", "::1")])
def test_an_ip_address_is_matched_as_one_and_has_no_sni(xdsctl, address, ip):
    context = transport_socket(xdsctl, "--xds-address", address, "--xds-ca", "/ca.pem")
    assert "sni" not in context
    (name,) = context["common_tls_context"]["validation_context"]["match_typed_subject_alt_names"]
    assert name == {"san_type": "IP_ADDRESS", "matcher": {"exact": ip}}


def test_paths_are_as_seen_from_here(xdsctl, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    context = transport_socket(xdsctl, "--xds-ca", "certs/ca.pem")
    assert context["common_tls_context"]["validation_context"]["trusted_ca"]["filename"] == f"{tmp_path}/certs/ca.pem"


def test_grpc_speaks_tls(xdsctl):
    (server,) = json.loads(xdsctl(*NODE, "--grpc", *TLS, *PAIR).stdout)["xds_servers"]
    config = {"ca_certificate_file": "/certs/ca.pem", "certificate_file": "/certs/tls.crt", "private_key_file": "/certs/tls.key"}
    assert server["channel_creds"] == [{"type": "tls", "config": {**config, "refresh_interval": "60s"}}]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (PAIR, "--xds-cert, --xds-key and --xds-server-name are for TLS: give --xds-ca FILE too"),
        (("--xds-server-name", "x"), "give --xds-ca FILE too"),
        ((*TLS, *PAIR[:2]), "--xds-cert and --xds-key go together: give both"),
        (
            ("--xds-address", "unix:/run/xds", "--xds-ca", "x"),
            "a Unix socket has no name to be in a certificate: give --xds-server",
        ),
        ((*TLS, "--grpc", "--xds-server-name", "other"), "expects the name that it connects to: say --xds-address other:PORT"),
    ],
)
def test_what_does_not_fit_together(xdsctl, flags, message):
    assert message in xdsctl(*NODE, *flags, exits=64).stderr
