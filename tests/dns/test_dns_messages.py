import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.update
import pytest
from dns_world import World, clusterset_ip, endpoint, headless
from hypothesis import example, given
from hypothesis import strategies as st

from xds.dns.messages import respond
from xds.dns.zone import Zone

WEB = "web.shop.svc.clusterset.local"
CROWD = 1_000


def crowd(count=CROWD):
    return headless(*(endpoint(f"10.0.{index >> 8}.{index & 255}", hostname=f"pod-{index}") for index in range(count)))


@pytest.fixture(scope="module")
def zone():
    made = Zone(World.of(clusterset_ip(east=("10.96.0.1", "fd00::1")), crowd()))
    made.open("east")
    return made


@pytest.fixture
def ask(zone):
    """Ask, and return the response as dnspython reads it; it has never more bytes than there may be."""

    def ask(name, kind="A", *, over_tcp=False, **fields):
        query = dns.message.make_query(name, kind, **fields)
        wire = respond(query.to_wire(), zone.answer, over_tcp=over_tcp).wire
        asked = max(512, min(query.payload, 1_232)) if query.edns >= 0 else 512
        assert len(wire) <= (65_535 if over_tcp else asked)
        found = dns.message.from_wire(wire)
        assert query.is_response(found)
        assert not found.flags & dns.flags.RA
        return found

    return ask


def data(message):
    return [str(rdata) for rrset in message.answer for rdata in rrset]


def test_an_answer(ask):
    found = ask(WEB)
    assert str(found.answer[0]) == f"{WEB}. 5 IN A 10.96.0.1"
    assert (found.flags, found.edns, found.authority) == (dns.flags.QR | dns.flags.AA | dns.flags.RD, -1, [])
    assert data(ask(WEB, "AAAA")) == ["fd00::1"]
    assert data(ask(f"_http._tcp.{WEB}", "SRV")) == [f"0 1 80 {WEB}."]
    assert str(ask("dns-version.clusterset.local", "TXT").answer[0]) == 'dns-version.clusterset.local. 28800 IN TXT "1.0.0"'


def test_names_are_case_insensitive_and_echoed_as_they_were_asked(ask):
    found = ask("WeB.sHoP.svc.ClusterSet.LOCAL")
    assert str(found.question[0].name) == str(found.answer[0].name) == "WeB.sHoP.svc.ClusterSet.LOCAL."
    assert data(found) == ["10.96.0.1"]
    assert data(ask("POD-7.East.DB.shop.svc.clusterset.local")) == ["10.0.0.7"]


@pytest.mark.parametrize(
    ("name", "kind", "rcode"),
    [(WEB, "TXT", "NOERROR"), ("x.clusterset.local", "A", "NXDOMAIN"), (WEB, "TYPE65280", "NOERROR"), (WEB, "OPT", "NOERROR")],
)
def test_negative_answers_say_for_how_long(ask, name, kind, rcode):
    found = ask(name, kind)
    (soa,) = found.authority
    assert (dns.rcode.to_text(found.rcode()), found.answer, str(soa.name)) == (rcode, [], "clusterset.local.")
    assert (soa.ttl, soa[0].minimum) == (5, 5)
    assert found.flags & dns.flags.AA


@pytest.mark.parametrize(
    ("name", "kind"), [("example.org", "A"), (".", "NS"), ("1.0.96.10.in-addr.arpa", "PTR"), ("clusterset.local", "AXFR")]
)
def test_what_is_not_ours_is_refused(ask, name, kind):
    found = ask(name, kind)
    assert (found.rcode(), found.answer, found.authority) == (dns.rcode.REFUSED, [], [])
    assert not found.flags & dns.flags.AA


def test_another_class_is_refused(ask):
    assert ask("version.bind", "TXT", rdclass="CH").rcode() == dns.rcode.REFUSED
    assert ask(WEB, rdclass="ANY").rcode() == dns.rcode.REFUSED


def test_a_label_with_a_dot_in_it_is_another_name(ask):
    assert ask(r"web\.shop.svc.clusterset.local").rcode() == dns.rcode.NXDOMAIN
    assert ask(r"web.shop.svc.clusterset\.local").rcode() == dns.rcode.REFUSED
    assert ask(r"\200eb.shop.svc.clusterset.local").rcode() == dns.rcode.NXDOMAIN


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        ({}, 29),  # 512 bytes: header 12, question 34, 16 a record
        ({"use_edns": 0, "payload": 100}, 28),  # as little as that nobody may say (RFC 6891, 6.2.3); OPT takes 11
        ({"use_edns": 0, "payload": 1_232}, 73),
        ({"use_edns": 0, "payload": 4_096}, 73),
    ],
)
def test_what_is_too_long_for_udp_is_cut_and_says_so(ask, fields, count):
    found = ask("db.shop.svc.clusterset.local", **fields)
    assert found.flags & dns.flags.TC
    assert len(set(data(found))) == count
    assert found.payload == (1_232 if fields else 0)


def test_tcp_has_room_for_a_thousand(ask):
    found = ask("db.shop.svc.clusterset.local", over_tcp=True)
    assert len(set(data(found))) == CROWD
    assert not found.flags & dns.flags.TC
    found = ask("_http._tcp.db.shop.svc.clusterset.local", "SRV", over_tcp=True, use_edns=0)
    assert len(set(data(found))) == CROWD


def test_what_is_too_long_for_tcp_is_a_part_of_all():
    zone = Zone(World.of(crowd(5_000)))
    zone.open("east")
    query = dns.message.make_query("db.shop.svc.clusterset.local", "A").to_wire()
    found = dns.message.from_wire(respond(query, zone.answer, over_tcp=True).wire)
    assert len(data(found)) == (65_535 - 12 - 34) // 16
    assert not found.flags & dns.flags.TC


def test_clients_that_take_the_first_record_are_spread(ask):
    firsts = {data(ask("db.shop.svc.clusterset.local"))[0] for _ in range(50)}
    assert len(firsts) > 10


def test_an_answer_that_just_fits_is_whole():
    for count in range(25, 33):
        zone = Zone(World.of(crowd(count)))
        zone.open("east")
        found = dns.message.from_wire(
            respond(dns.message.make_query("db.shop.svc.clusterset.local", "A").to_wire(), zone.answer, over_tcp=False).wire
        )
        assert bool(found.flags & dns.flags.TC) is (count > 29)
        assert len(data(found)) == min(count, 29)


def test_an_edns_version_that_does_not_exist_yet(ask):
    found = ask(WEB, use_edns=1)
    assert (found.rcode(), found.edns, found.answer) == (dns.rcode.BADVERS, 0, [])


def test_padding_does_not_make_it_longer(ask):
    found = ask("db.shop.svc.clusterset.local", use_edns=0, payload=600, options=[dns.edns.GenericOption(12, b"\0" * 100)])
    assert found.options == ()


def header(wire):
    return (wire[:2], wire[2] & 0x80, (wire[2] >> 3) & 15, wire[3] & 15, len(wire))


QUERY = dns.message.make_query(WEB, "A", id=0x1234).to_wire()


@pytest.mark.parametrize(
    ("wire", "rcode"),
    [
        (QUERY[:-1], dns.rcode.FORMERR),
        (QUERY + b"x", dns.rcode.FORMERR),
        (QUERY[:12], dns.rcode.FORMERR),
        (QUERY[:5] + b"\0" + QUERY[6:12], dns.rcode.FORMERR),
        (QUERY[:5] + b"\2" + QUERY[6:] + QUERY[12:], dns.rcode.FORMERR),
        (QUERY[:12] + b"\xc0\x0c\0\1\0\1", dns.rcode.FORMERR),
        (QUERY + bytes(4_096), dns.rcode.FORMERR),
        (dns.message.make_query(WEB, "A", id=0x1234).to_wire()[:2] + b"\x10" + QUERY[3:], dns.rcode.NOTIMP),
        (dns.update.UpdateMessage("clusterset.local", id=0x1234).to_wire(), dns.rcode.NOTIMP),
    ],
)
def test_what_cannot_be_read_is_told_so(zone, wire, rcode):
    reply = respond(wire, zone.answer, over_tcp=False)
    assert header(reply.wire) == (b"\x12\x34", 0x80, (wire[2] >> 3) & 15, rcode, 12)
    assert (reply.type, reply.rcode) == ("other", dns.rcode.to_text(rcode))


@pytest.mark.parametrize("wire", [b"", QUERY[:11], QUERY[:2] + b"\x80" + QUERY[3:]])
def test_what_is_no_query_has_no_reply(zone, wire):
    assert respond(wire, zone.answer, over_tcp=True) is None


def test_types_that_metrics_name_are_few(zone):
    kinds = {
        respond(dns.message.make_query(WEB, kind).to_wire(), zone.answer, over_tcp=False).type for kind in range(1, 65_536, 97)
    }
    assert len(kinds) < 15


SIGNED = dns.message.make_query(WEB, "A", use_edns=0, options=[dns.edns.GenericOption(10, b"cookie00")]).to_wire()


@given(
    wire=st.sampled_from([QUERY, SIGNED]),
    patches=st.lists(st.tuples(st.integers(0, 70), st.binary(max_size=3))),
    over_tcp=st.booleans(),
)
@example(wire=b"\0" * 12, patches=[], over_tcp=True)
def test_garbage_is_survived(zone, wire, patches, over_tcp):
    made = bytearray(wire)
    for at, patch in patches:
        made[at : at + len(patch)] = patch
    reply = respond(bytes(made), zone.answer, over_tcp=over_tcp)
    assert reply is None or dns.message.from_wire(reply.wire).id == int.from_bytes(made[:2], "big")


@given(st.binary(max_size=80))
def test_noise_is_survived(zone, noise):
    reply = respond(noise, zone.answer, over_tcp=False)
    assert reply is None or len(reply.wire) <= 512
