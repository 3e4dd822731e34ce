"""No secret is in what people are shown, wherever in a resource it stands."""

import pytest

from xds.wire import CLUSTER, EXTENSION_CONFIG, LISTENER, SECRET, envoy, pack, to_bytes, to_dict, to_json
from xds.wire.redaction import DEPTH, redacted, redacted_text

KEY = "PLANTED-SECRET"


def shown(type_url, message):
    """The JSON of a resource without its secrets; the planted one must be in the resource, and in nothing of the result."""
    body = to_bytes(message)
    assert KEY.encode() in body
    result = redacted(type_url, body)
    assert KEY.encode() not in result.value
    assert KEY not in to_json(result)
    return to_dict(result)


def tls():
    context = envoy.UpstreamTlsContext(sni="web")
    certificate = context.common_tls_context.tls_certificates.add()
    certificate.private_key.inline_string = certificate.password.inline_string = KEY
    certificate.pkcs12.inline_bytes = KEY.encode()
    certificate.certificate_chain.inline_string = "chain"
    return context


def test_a_secret_is_left_out_entirely():
    assert redacted(SECRET, to_bytes(envoy.Secret(name="tls"))) is None


def test_an_inline_certificate_in_a_transport_socket():
    cluster = envoy.Cluster(name="web")
    cluster.transport_socket.typed_config.CopyFrom(pack(tls()))
    context = shown(CLUSTER, cluster)["transport_socket"]["typed_config"]
    assert context["sni"] == "web"
    assert context["common_tls_context"]["tls_certificates"] == [
        {
            "certificate_chain": {"inline_string": "chain"},
            "private_key": {"inline_string": "[redacted]"},
            "password": {"inline_string": "[redacted]"},
            "pkcs12": {"inline_bytes": "W3JlZGFjdGVkXQ=="},
        }
    ]


def test_a_generic_secret_in_the_configuration_of_a_filter():
    inner = envoy.Secret(name="token")
    inner.generic_secret.secret.inline_string = KEY
    inner.generic_secret.secrets["more"].inline_string = KEY
    config = envoy.TypedExtensionConfig(name="filter", typed_config=pack(inner))
    secret = shown(EXTENSION_CONFIG, config)["typed_config"]
    assert secret["name"] == "token"
    assert secret["generic_secret"] == {"secret": {"inline_string": "[redacted]"}}


def test_repeated_keys_and_a_map_of_any():
    keys = envoy.TlsSessionTicketKeys()
    keys.keys.add(inline_bytes=KEY.encode())
    keys.keys.add(filename="kept/away")
    cluster = envoy.Cluster(name="web")
    cluster.typed_extension_protocol_options["a"].CopyFrom(pack(keys))
    held = shown(CLUSTER, cluster)["typed_extension_protocol_options"]["a"]["keys"]
    assert held == [{"inline_bytes": "W3JlZGFjdGVkXQ=="}, {"filename": "[redacted]"}]


def test_the_token_of_a_google_grpc_service():
    listener = envoy.Listener(name="web")
    bootstrap = envoy.Bootstrap()
    service = bootstrap.dynamic_resources.ads_config.grpc_services.add().google_grpc
    service.call_credentials.add(access_token=KEY)
    service.channel_credentials.ssl_credentials.private_key.inline_string = KEY
    listener.filter_chains.add().filters.add(name="a", typed_config=pack(bootstrap))
    config = shown(LISTENER, listener)["filter_chains"][0]["filters"][0]["typed_config"]
    assert config["dynamic_resources"]["ads_config"]["grpc_services"][0]["google_grpc"] == {
        "call_credentials": [{"access_token": "[redacted]"}],
        "channel_credentials": {"ssl_credentials": {"private_key": {"inline_string": "[redacted]"}}},
    }


def unknown():
    return envoy.Any(type_url="type.googleapis.com/a.Filter", value=KEY.encode())


@pytest.mark.parametrize(
    "inner",
    [
        unknown(),
        envoy.Any(type_url=CLUSTER, value=KEY.encode()),  # not such a message
        pack(envoy.TypedStruct(type_url="type.googleapis.com/a.Filter", value={"token": KEY})),
        pack(pack(tls())),
    ],
    ids=["unknown type", "broken bytes", "typed struct", "any in any"],
)
def test_what_cannot_be_looked_into_is_left_out(inner):
    cluster = envoy.Cluster(name="web")
    cluster.transport_socket.typed_config.CopyFrom(inner)
    assert shown(CLUSTER, cluster)["name"] == "web"


def test_of_an_unknown_type_the_type_and_the_size_are_told():
    result = to_dict(redacted("type.googleapis.com/a.Filter", b"1234"))
    assert result == {
        "@type": "type.googleapis.com/xds.type.v3.TypedStruct",
        "type_url": "type.googleapis.com/a.Filter",
        "value": {"[redacted]": "4 bytes that the control plane cannot look into"},
    }


def test_a_private_key_provider_has_its_own_configuration():
    context = envoy.UpstreamTlsContext()
    provider = context.common_tls_context.tls_certificates.add().private_key_provider
    provider.provider_name = "hardware"
    provider.typed_config.CopyFrom(pack(envoy.Secret(name=KEY)))
    cluster = envoy.Cluster(name="web")
    cluster.transport_socket.typed_config.CopyFrom(pack(context))
    shown(CLUSTER, cluster)


def test_fields_that_only_a_newer_envoy_knows():
    body = to_bytes(envoy.Cluster(name="web")) + b"\xfa\x7f\x0e" + KEY.encode()  # field 2047
    assert redacted(CLUSTER, body).value == to_bytes(envoy.Cluster(name="web"))


def test_nesting_without_end():
    inner = pack(tls())
    for _ in range(DEPTH * 3):
        inner = pack(inner)
    cluster = envoy.Cluster(name="web")
    cluster.transport_socket.typed_config.CopyFrom(inner)
    shown(CLUSTER, cluster)


def test_what_holds_no_secret_stays_as_it_is():
    cluster = envoy.Cluster(name="web", eds_cluster_config={"service_name": "web"})
    cluster.typed_extension_protocol_options["a"].CopyFrom(pack(envoy.Listener(name="b")))
    assert redacted(CLUSTER, to_bytes(cluster)) == pack(cluster)


@pytest.mark.parametrize(
    "text",
    [
        f'tls_certificates {{ private_key {{ inline_bytes: "{KEY}\\n\\"{KEY}" }} }}',
        f'{{"private_key": {{"inlineString": "{KEY}"}}}}',
        f"{{inline_string: '{KEY}'}} and more",
        f'cut in the middle: inline_string: "{KEY}',
        f'cut in an escape: inline_string: "{KEY}\\',
        f"-----BEGIN RSA PRIVATE KEY-----\\n{KEY}\\n-----END RSA PRIVATE KEY----- is bad",
        f"-----BEGIN PRIVATE KEY-----\n{KEY}",
    ],
)
def test_what_clients_quote(text):
    assert KEY not in redacted_text(text)
    assert "[redacted]" in redacted_text(text)


def test_other_texts_stay_as_they_are():
    text = 'Cluster "web": inline_strings: "a", bytes: "b"; -----BEGIN CERTIFICATE-----'
    assert redacted_text(text) == text
