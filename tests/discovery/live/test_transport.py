"""What a context of a kubeconfig comes to: server, TLS, credentials, proxy."""

from __future__ import annotations

import base64
import ssl
from pathlib import Path

import pytest
import trustme

from xds.discovery.live.transport import transport_of
from xds.errors import ConfigurationError

AUTHORITY = trustme.CA()
SERVER = AUTHORITY.issue_cert("h.example")
CLIENT = AUTHORITY.issue_cert("client@h.example")


def made(directory=Path(), *, user=None, **cluster):
    content = {
        "clusters": [{"name": "c", "cluster": {"server": "https://h:6443/", **cluster}}],
        "users": [{"name": "u", "user": user or {"token": "t"}}],
        "contexts": [{"name": "east", "context": {"cluster": "c", "user": "u"}}],
    }
    return transport_of(content, "east", directory)


def inline(pem):
    return base64.b64encode(pem).decode()


def certificate_of(identity):
    return b"".join(blob.bytes() for blob in identity.cert_chain_pems)


@pytest.mark.parametrize(
    ("user", "header"),
    [
        ({"token": "t"}, "Bearer t"),
        ({"token": "t", "tokenFile": "token"}, "Bearer t"),
        ({"token": "", "tokenFile": "token"}, "Bearer of-file"),
        ({"username": "u", "password": "é"}, "Basic " + base64.b64encode("u:é".encode()).decode()),
        ({"auth-provider": {"name": "oidc", "config": {"id-token": "o"}}}, "Bearer o"),
        ({"client-certificate": "client.pem", "client-key": "client.key"}, ""),
    ],
)
def test_who_we_are(tmp_path, user, header):
    (tmp_path / "token").write_text("of-file\n")
    (tmp_path / "client.pem").write_bytes(certificate_of(CLIENT))
    (tmp_path / "client.key").write_bytes(CLIENT.private_key_pem.bytes())
    assert made(tmp_path, user=user).authorization == header


@pytest.mark.parametrize(
    ("user", "cluster", "reason"),
    [
        ({"tokenFile": "token"}, {}, "{}/token: No such file or directory"),
        ({}, {"certificate-authority": "ca.pem"}, "{}/ca.pem: No such file or directory"),
        ({}, {"certificate-authority-data": inline(b"no certificate")}, "no start line: cadata does not contain a certificate"),
        ({}, {"certificate-authority-data": "%"}, "Only base64 data is allowed"),
        ({"client-certificate-data": inline(certificate_of(CLIENT))}, {}, "[SSL] PEM lib"),
        ({"auth-provider": {"name": "gcp"}}, {}, "its user has the auth-provider 'gcp', without an id-token"),
        ({"auth-provider": {"name": "oidc", "config": {"refresh-token": "r"}}}, {}, "its user has the auth-provider 'oidc'"),
        ({"token": 7}, {}, "'int' object has no attribute 'strip'"),
    ],
)
def test_what_cannot_be_used(tmp_path, user, cluster, reason):
    with pytest.raises(ConfigurationError) as caught:
        made(tmp_path, user=user, **cluster)
    assert str(caught.value).startswith(f"context 'east' cannot be used: {reason.format(tmp_path)}")


def test_the_server_is_known_by_the_roots_of_the_kubeconfig():
    found = made(**{"certificate-authority-data": inline(AUTHORITY.cert_pem.bytes()), "tls-server-name": "h.example"})
    assert (found.url, found.server_name, found.proxy) == ("https://h:6443", "h.example", None)
    assert shakes_hands(found.tls)


def test_any_certificate_will_do_if_the_kubeconfig_says_so():
    assert shakes_hands(made(**{"insecure-skip-tls-verify": True}).tls)
    assert not shakes_hands(made(**{"certificate-authority-data": inline(trustme.CA().cert_pem.bytes())}).tls)


@pytest.mark.parametrize("is_inline", [True, False])
def test_a_client_certificate(tmp_path, is_inline):
    user = {"client-certificate": certificate_of(CLIENT), "client-key": CLIENT.private_key_pem.bytes()}
    for name, pem in user.items():
        (tmp_path / name).write_bytes(pem)
    user = {f"{name}-data": inline(pem) for name, pem in user.items()} if is_inline else {name: name for name in user}
    found = made(tmp_path, user=user, **{"certificate-authority-data": inline(AUTHORITY.cert_pem.bytes())})
    assert shakes_hands(found.tls, asks=True)
    assert not shakes_hands(made(**{"certificate-authority-data": inline(AUTHORITY.cert_pem.bytes())}).tls, asks=True)


def test_without_tls_there_are_no_certificates():
    found = made(server="http://h:8001", **{"proxy-url": "http://p:3128"})
    assert (found.tls, found.proxy) == (None, "http://p:3128")


def shakes_hands(ours, *, asks=False):
    """Return whether TLS comes about with a server that may ask for a certificate."""
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    SERVER.configure_cert(theirs)
    if asks:
        theirs.verify_mode = ssl.CERT_REQUIRED
        AUTHORITY.configure_trust(theirs)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ours.wrap_bio(down, up, server_hostname="h.example")
    server = theirs.wrap_bio(up, down, server_side=True)
    waiting = [client, server]
    for _ in range(10):
        for side in list(waiting):
            try:
                side.do_handshake()
                waiting.remove(side)
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                return False
    return not waiting
