"""TLS: real handshakes over loopback."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import AsyncExitStack

import grpc
import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from xds_world import Client, World, cluster, eventually, serving

from xds.protocol import Encoder
from xds.server import CertificateError, Certificates, ListenError, Security, TlsFiles, XdsServer, tls
from xds.wire import CLUSTER


class Pki:
    """A certificate authority, and the server's files."""

    def __init__(self, directory):
        self.ca = trustme.CA()
        self.files = TlsFiles(directory / "tls.crt", directory / "tls.key")
        self.write(self.issue())

    def issue(self):
        return self.ca.issue_cert("127.0.0.1")

    def write(self, leaf, *, key=None):
        self.files.cert.write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
        self.files.key.write_bytes(key or leaf.private_key_pem.bytes())

    def channel(self, *, client=None, roots=None):
        """Return a channel with a connection of its own."""
        roots = roots or self.ca.cert_pem.bytes()
        pair = (client.private_key_pem.bytes(), client.cert_chain_pems[0].bytes()) if client else (None, None)
        credentials = grpc.ssl_channel_credentials(roots, *pair)
        return grpc.aio.secure_channel(self.address, credentials, options=[("grpc.use_local_subchannel_pool", 1)])


@pytest.fixture
def pki(tmp_path):
    return Pki(tmp_path)


@pytest.fixture
async def serve(pki, monkeypatch):
    """Serve a world with one cluster over TLS, and read the files often."""
    monkeypatch.setattr(tls, "REREAD_S", 0.02)

    async def start(**changes):
        files = TlsFiles(pki.files.cert, pki.files.key, **changes)
        world = World()
        server = await running.enter_async_context(serving(world, security=Security(files)))
        pki.address = server.bound
        world.put(cluster("web"))
        return world, server

    async with AsyncExitStack() as running:
        yield start


async def is_served(channel):
    """Return whether a stream over the channel is answered; its first answer is the cluster."""
    client = Client(channel, "ads delta")
    try:
        await client.send(CLUSTER)
        return [resource.name for resource in (await client.receive()).resources] == ["web"]
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
        assert (await client.status())[0] == "UNAVAILABLE"
        return False


async def shown(pki):
    """Return the certificate that the server shows to a new connection."""
    host, _, port = pki.address.rpartition(":")
    return (await asyncio.to_thread(ssl.get_server_certificate, (host, int(port)))).split()


def pem_of(leaf):
    return leaf.cert_chain_pems[0].bytes().decode().split()


async def test_a_client_that_trusts_us_is_served(pki, serve):
    await serve()
    async with pki.channel() as channel:
        assert await is_served(channel)
    async with pki.channel(roots=trustme.CA().cert_pem.bytes()) as channel:
        assert not await is_served(channel)
    async with grpc.aio.insecure_channel(pki.address) as channel:
        assert not await is_served(channel)


async def test_with_roots_for_clients_they_need_a_certificate(pki, serve, tmp_path):
    clients = trustme.CA()
    clients.cert_pem.write_to_path(tmp_path / "clients.crt")
    await serve(client_ca=tmp_path / "clients.crt")
    for client, served in (
        (clients.issue_cert("web-1.example"), True),
        (None, False),
        (trustme.CA().issue_cert("web-1.example"), False),
    ):
        async with pki.channel(client=client) as channel:
            assert await is_served(channel) is served


async def test_new_certificates_do_not_drop_streams(pki, serve):
    world, server = await serve()
    async with pki.channel() as channel:
        client = Client(channel, "ads delta")
        await client.send(CLUSTER)
        await client.ack(await client.receive())
        for leaf in (pki.issue(), pki.issue()):
            pki.write(leaf)
            async with asyncio.timeout(20):
                while await shown(pki) != pem_of(leaf):
                    pass
        async with pki.channel() as other:
            assert await is_served(other)
        world.put(cluster("api"))
        assert [resource.name for resource in (await client.receive()).resources] == ["api"]
    assert server.problems() == ()


async def test_new_roots_for_clients_count_for_new_connections(pki, serve, tmp_path):
    old, new = trustme.CA(), trustme.CA()
    roots = tmp_path / "clients.crt"
    old.cert_pem.write_to_path(roots)
    await serve(client_ca=roots)
    new.cert_pem.write_to_path(roots)
    client = new.issue_cert("web-1.example")
    async with asyncio.timeout(20):
        while True:
            async with pki.channel(client=client) as channel:
                if await is_served(channel):
                    break
    async with pki.channel(client=old.issue_cert("web-1.example")) as channel:
        assert not await is_served(channel)


async def test_a_pair_that_does_not_fit_leaves_the_old_one(pki, serve):
    before = pki.issue()
    pki.write(before)
    _, server = await serve()
    pki.write(pki.issue(), key=pki.issue().private_key_pem.bytes())
    await eventually(server.problems)
    (problem,) = server.problems()
    assert problem.code == "XDS0505"
    assert problem.message == f"the key in {pki.files.key} does not belong to the certificate in {pki.files.cert}"
    assert await shown(pki) == pem_of(before)
    pki.files.key.unlink()
    await eventually(lambda: f"cannot read {pki.files.key}" in server.problems()[0].message)
    after = pki.issue()
    pki.write(after)
    await eventually(lambda: not server.problems())
    assert await shown(pki) == pem_of(after)


def encrypted(leaf):
    key = serialization.load_pem_private_key(leaf.private_key_pem.bytes(), None)
    protection = serialization.BestAvailableEncryption(b"secret")
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda pki: pki.files.cert.unlink(), "cannot read {cert}: No such file or directory"),
        (lambda pki: pki.files.cert.write_text("?"), "{cert} holds no certificate in PEM"),
        (lambda pki: pki.files.cert.write_bytes(b"\xff"), "{cert} holds no certificate in PEM"),
        (lambda pki: pki.files.key.write_text("?"), "{cert} and {key} cannot be used"),
        (lambda pki: pki.write(leaf := pki.issue(), key=encrypted(leaf)), "must be a private key in PEM, not encrypted"),
        (lambda pki: pki.write(pki.issue(), key=pki.issue().private_key_pem.bytes()), "{key} does not belong to the"),
    ],
)
async def test_a_bad_pair_at_the_start_is_one_error(pki, serve, damage, message):
    damage(pki)
    with pytest.raises(CertificateError) as raised:
        await serve()
    assert message.format(cert=pki.files.cert, key=pki.files.key) in str(raised.value)


def test_bad_roots_at_the_start(pki, tmp_path):
    (tmp_path / "roots").write_text("nothing")
    with pytest.raises(CertificateError, match="roots holds no certificate"):
        Certificates(TlsFiles(pki.files.cert, pki.files.key, tmp_path / "roots"))


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0"])
async def test_plain_text_does_not_leave_the_machine(address, pki):
    with pytest.raises(ListenError, match=r"plain text would leave this machine; give --xds-tls-cert and .* or --insecure"):
        await XdsServer(World(), Encoder("test"), [address]).start()
    for security in (Security(insecure=True), Security(pki.files)):
        server = XdsServer(World(), Encoder("test"), [address], security=security)
        await server.start()
        await server.stop(0)


async def test_plain_text_stays_on_this_machine(tmp_path):
    server = XdsServer(World(), Encoder("test"), ["127.0.0.1:0", "localhost:0", f"unix:{tmp_path}/xds"])
    assert len(await server.start()) == 3
    await server.stop(0)
