"""The server on loopback sockets, asked by real clients."""

import asyncio
import shutil
import socket

import dns.asyncquery
import dns.asyncresolver
import dns.flags
import dns.message
import dns.rcode
import pytest
from dns_world import World, clusterset_ip, endpoint, headless

from xds.dns import DnsServer, Zone, connections
from xds.dns.address import DnsAddressError

WEB, DB = "web.shop.svc.clusterset.local", "db.shop.svc.clusterset.local"
CROWD = 1_000


@pytest.fixture
def zone():
    crowd = headless(*(endpoint(f"10.0.{index >> 8}.{index & 255}") for index in range(CROWD)))
    made = Zone(World.of(clusterset_ip(east=("10.96.0.1", "fd00::1")), crowd))
    made.open("east")
    return made


@pytest.fixture
async def server(zone):
    made = DnsServer(zone, "127.0.0.1:0")
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def where(server):
    return {"where": "127.0.0.1", "port": int(server.address.rpartition(":")[2]), "timeout": 20}


@pytest.fixture
async def connect(where):
    writers = []

    async def connect():
        reader, writer = await asyncio.open_connection(where["where"], where["port"])
        writers.append(writer)
        return reader, writer

    yield connect
    for writer in writers:
        writer.close()


def framed(*names):
    wires = [dns.message.make_query(name, "A", id=index).to_wire() for index, name in enumerate(names)]
    return b"".join(len(wire).to_bytes(2, "big") + wire for wire in wires)


async def wire_of(reader):
    length = int.from_bytes(await reader.readexactly(2), "big")
    return await reader.readexactly(length)


async def response(reader):
    return dns.message.from_wire(await wire_of(reader))


def number(wire):
    return int.from_bytes(wire[:2], "big")


async def test_a_resolver(where, server):
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = [where["where"]], where["port"]
    assert [str(found) for found in await resolver.resolve(WEB, "A")] == ["10.96.0.1"]
    assert [str(found) for found in await resolver.resolve(WEB, "AAAA")] == ["fd00::1"]
    assert [str(found) for found in await resolver.resolve(f"_http._tcp.{WEB}", "SRV")] == [f"0 1 80 {WEB}."]
    with pytest.raises(dns.asyncresolver.NXDOMAIN):
        await resolver.resolve(f"east.{WEB}", "A")
    with pytest.raises(dns.asyncresolver.NoAnswer):
        await resolver.resolve(WEB, "TXT")
    assert len(set(map(str, await resolver.resolve(DB, "A")))) == CROWD
    assert server.queries["A", "NXDOMAIN"] == 1
    assert server.queries["A", "NOERROR"] == 3  # the crowd was asked for again, over TCP


async def test_truncation_leads_to_tcp(where):
    query = dns.message.make_query(DB, "A")
    assert (await dns.asyncquery.udp(query, **where)).flags & dns.flags.TC
    found, was_tcp = await dns.asyncquery.udp_with_fallback(query, **where)
    assert (was_tcp, len(found.answer[0])) == (True, CROWD)


async def output_of(*command):
    process = await asyncio.create_subprocess_exec(*map(str, command), stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    return process.returncode, out.decode().split()


@pytest.mark.skipif(not shutil.which("dig"), reason="dig is not installed")
async def test_dig(where):
    code, told = await output_of("dig", "@127.0.0.1", "-p", where["port"], "+short", DB, "A")
    assert (code, len(set(told))) == (0, CROWD)


@pytest.mark.skipif(not (shutil.which("getent") and shutil.which("unshare")), reason="getent or unshare is not installed")
async def test_the_resolver_of_the_c_library(zone, tmp_path):
    server = DnsServer(zone, "127.0.0.99:53")
    try:
        await server.start()
    except DnsAddressError as error:
        pytest.skip(str(error))
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.99\n")
    own_files = ("unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/resolv.conf || exit 99; exec "$@"')
    try:
        code, told = await output_of(*own_files, tmp_path / "resolv.conf", "getent", "ahosts", WEB)
        if code in (1, 99) and not told:
            pytest.skip("no mount namespace can be made here")
        assert (code, {"10.96.0.1", "fd00::1"} <= set(told)) == (0, True)
        code, told = await output_of(*own_files, tmp_path / "resolv.conf", "getent", "ahostsv4", DB)
        assert (code, len({word for word in told if word.startswith("10.")})) == (0, CROWD)  # over TCP
        code, told = await output_of(*own_files, tmp_path / "resolv.conf", "getent", "ahosts", f"east.{WEB}")
        assert (code, told) == (2, [])
    finally:
        await server.stop()


async def test_many_ask_at_once(where):
    queries = [dns.message.make_query(WEB if index % 2 else DB, "A", use_edns=0) for index in range(200)]
    found = await asyncio.gather(*(dns.asyncquery.udp(query, **where) for query in queries))
    assert {len(one.answer[0]) for one in found} == {1, 73}


async def test_garbage_over_udp_does_not_end_it(where, server):
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setblocking(False)  # noqa: FBT003
        client.connect((where["where"], where["port"]))
        for wire in (b"", b"x", b"\xff" * 600, bytes(65_000), b"\0\7\1\0\0\1" + b"\0" * 6):
            await loop.sock_sendall(client, wire)
        told = [await loop.sock_recv(client, 512) for _ in range(2)]
    assert [(wire[:2], wire[3] & 15, len(wire)) for wire in told] == [(b"\0\0", 1, 12), (b"\0\7", 1, 12)]
    assert (await dns.asyncquery.udp(dns.message.make_query(WEB, "A"), **where)).answer
    assert server.queries["other", "FORMERR"] == 2


@pytest.mark.parametrize("sent", [b"\0\3abc", b"\xff\xff", b"\0\0", b"\0\x0c" + b"\xff" * 12, b"GET / HTTP/1.1\r\n\r\n"])
async def test_a_connection_that_sends_garbage_ends(connect, where, sent):
    reader, writer = await connect()
    writer.write(sent)
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await reader.readexactly(1)
    assert (await dns.asyncquery.tcp(dns.message.make_query(WEB, "A"), **where)).answer


async def test_a_bad_message_costs_no_connection(connect):
    reader, writer = await connect()
    writer.write(b"\0\x0c" + b"\0\7\1\0\0\1" + b"\0" * 6 + framed(WEB))
    assert (await response(reader)).rcode() == dns.rcode.FORMERR
    assert (await response(reader)).answer


async def test_a_query_byte_by_byte(connect):
    reader, writer = await connect()
    for byte in framed(WEB):
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0)
    assert (await response(reader)).answer


async def test_queries_one_after_the_other_and_then_an_end(connect):
    reader, writer = await connect()
    names = [WEB, DB, f"x.{WEB}"] * 40
    writer.write(framed(*names))
    writer.write_eof()
    assert [number(await wire_of(reader)) for _ in names] == list(range(len(names)))
    assert await reader.read() == b""


async def test_who_does_not_read_is_not_answered_further_and_nobody_else_notices(connect, server, where, monkeypatch):
    written = []
    monkeypatch.setattr(server._connections, "respond", lambda query, old=server._connections.respond: note(old(query)))

    def note(reply):
        written.append(len(reply))
        return reply

    reader, writer = await connect()
    names = [DB] * 2_000
    writer.write(framed(*names))
    for _ in range(20):
        assert (await dns.asyncquery.udp(dns.message.make_query(WEB, "A"), **where)).answer
    assert len(written) < len(names) / 2
    writer.write_eof()
    assert [number(await wire_of(reader)) for _ in names] == list(range(len(names)))
    assert await reader.read() == b""


async def test_an_idle_connection_ends(monkeypatch, connect):
    monkeypatch.setattr(connections, "IDLE_S", 0.05)
    reader, writer = await connect()
    writer.write(framed(WEB)[:-1])
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await reader.readexactly(1)


async def test_of_too_many_connections_the_one_not_used_for_longest_ends(monkeypatch, connect, server):
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 3)
    opened = []
    for _ in range(3):
        opened.append(await connect())
        opened[-1][1].write(framed(WEB))
        await response(opened[-1][0])
    opened[0][1].write(framed(WEB))
    await response(opened[0][0])
    reader, writer = await connect()
    writer.write(framed(WEB))
    assert (await response(reader)).answer
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await opened[1][0].readexactly(1)
    for reader, writer in (opened[0], opened[2]):
        writer.write(framed(WEB))
        assert (await response(reader)).answer
    assert len(server._connections) == 3


async def test_it_stops_with_connections_open_and_gives_its_address_back(zone):
    server = DnsServer(zone, "127.0.0.1:0")
    await server.start()
    host, port = server.address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(framed(WEB))
    assert (await response(reader)).answer
    await server.stop()
    writer.close()
    again = DnsServer(zone, server.address)
    await again.start()
    assert again.address == server.address
    await again.stop()


@pytest.mark.parametrize("address", ["localhost:0", "[::1]:0", "[::]:0", "0.0.0.0:0"])
async def test_addresses(zone, address):
    server = DnsServer(zone, address)
    try:
        await server.start()
    except DnsAddressError as error:
        pytest.skip(str(error))  # no IPv6 here
    host, port = server.address.rpartition(":")[::2]
    try:
        target = {"[::1]": "::1"}.get(host, "127.0.0.1")
        for ask in (dns.asyncquery.udp, dns.asyncquery.tcp):
            assert (await ask(dns.message.make_query(WEB, "A"), target, port=int(port), timeout=20)).answer
    finally:
        await server.stop()


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("127.0.0.1", "use HOST:PORT"),
        ("127.0.0.1:99999", "use HOST:PORT"),
        (":53", "use HOST:PORT"),
        ("unix:/tmp/dns", "use HOST:PORT"),
        ("no-such-host.invalid:0", "the host 'no-such-host.invalid' is not known"),
        ("192.0.2.1:0", "no interface of this machine has that address"),
    ],
)
async def test_an_address_that_cannot_be_had(zone, address, reason):
    with pytest.raises(DnsAddressError, match=f"cannot serve DNS on '{address}': {reason}"):
        await DnsServer(zone, address).start()


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
async def test_an_address_that_is_taken(zone, kind):
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(DnsAddressError, match=r"another program listens there; .* with --dns-address"):
            await DnsServer(zone, address).start()
