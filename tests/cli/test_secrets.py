"""A private key that was planted in every place where resources have secrets is in nothing that people are shown."""

import base64
import json

import pytest
from fake_plane import EAST, PRIVATE_KEY, WEB
from google.protobuf import json_format

from xds.cli.client import Client
from xds.snapshot.resource import Resource
from xds.wire import CLUSTER, EXTENSION_CONFIG, LISTENER, SECRET, envoy, pack, to_bytes

FORMS = (PRIVATE_KEY.decode(), base64.b64encode(PRIVATE_KEY).decode()[:-4])


@pytest.fixture
def plane(plane):
    """Resources with the key in them, in two revisions, so that there is something to compare."""
    for revision in ("1", "2"):
        secret = envoy.Secret(name="planted")
        secret.tls_certificate.private_key.inline_bytes = PRIVATE_KEY + revision.encode()
        token = envoy.Secret(name="token")
        token.generic_secret.secret.inline_string = PRIVATE_KEY.decode() + revision
        context = envoy.UpstreamTlsContext()
        context.common_tls_context.tls_certificates.add().CopyFrom(secret.tls_certificate)
        cluster = envoy.Cluster(name=WEB)
        cluster.transport_socket.typed_config.CopyFrom(pack(context))
        listener = envoy.Listener(name="outbound")
        opaque = envoy.Any(type_url="type.googleapis.com/a.Filter", value=to_bytes(secret))
        listener.filter_chains.add().filters.add(name="unknown", typed_config=opaque)
        config = envoy.TypedExtensionConfig(name="filter", typed_config=pack(token))
        resources = [(SECRET, secret), (SECRET, token), (CLUSTER, cluster), (LISTENER, listener), (EXTENSION_CONFIG, config)]
        resources.append(("type.googleapis.com/a.Secret", secret))
        changes = {}
        for url, message in resources:
            changes.setdefault(url, {})[message.name] = Resource.of(url, message.name, to_bytes(message))
        plane.store.publish(EAST, changes, at_s=0, trigger=f"revision {revision}")
    return plane


@pytest.mark.parametrize(
    "command",
    [
        "proxies", "proxies -v", "proxies -o json", "status -o json", "problems", "problems -o yaml", "services", "clusters",
        "snapshot list", "snapshot history envoy-1", "snapshot history envoy-1 -o json", "snapshot show envoy-1",
        "snapshot show envoy-1 -o json", "snapshot show envoy-1 -o yaml", "snapshot show envoy-1 --type sds -o yaml",
        "snapshot show envoy-1 --type cds -o yaml", "snapshot show envoy-1 --name planted -o yaml", "snapshot diff envoy-1",
        "endpoints envoy-1", "loads",
    ],
)  # fmt: skip
def test_no_command_shows_it(asked, plane, command):
    codes = {"snapshot diff envoy-1": 1, "status -o json": 1}
    result = asked(*command.split(), exits=codes.get(command, 0))
    assert not any(form in result.output for form in FORMS)


def test_no_answer_of_the_admin_api_has_it(asked, plane, monkeypatch):
    asked("status", exits=1)
    texts = []
    get = Client._answer
    monkeypatch.setattr(Client, "_answer", lambda self, url, body: texts.append(get(self, url, body)) or texts[-1])
    for path in ("status", "members", "services", "problems", "proxies", "snapshots", "loads"):
        asked_path(asked, monkeypatch, f"/v1/{path}")
    for version in plane.versions():
        asked("snapshot", "show", f"envoy-1@{version}", "-o", "json")
    assert len(texts) >= 9
    assert any(b"[redacted]" in body for _, body in texts)
    assert not any(form.encode() in body for _, body in texts for form in FORMS)


def asked_path(asked, monkeypatch, path):
    with monkeypatch.context() as patched:
        ask = Client.items
        patched.setattr(Client, "items", lambda self, _: [] if self.get(path) else ask(self, path))
        asked("clusters")


def test_what_is_shown_is_still_json_of_envoy(asked, plane):
    found = json.loads(asked("snapshot", "show", "envoy-1", "--type", "cds", "--name", WEB, "-o", "json").stdout)
    (resource,) = found["resources"]
    certificate = resource["transport_socket"]["typed_config"]["common_tls_context"]["tls_certificates"][0]
    assert json_format.ParseDict(certificate, envoy.TlsCertificate()).private_key.inline_bytes == b"[redacted]"
