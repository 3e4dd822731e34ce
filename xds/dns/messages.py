"""DNS messages: the bytes of a query in, those of the response out, by dnspython. No sockets."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from dns.rdtypes.IN.A import A
from dns.rdtypes.IN.AAAA import AAAA
from dns.rdtypes.IN.SRV import SRV

from xds.dns.names import HEADER_BYTES, QUERY_BYTES, ZONE, Target
from xds.dns.zone import SOA, TTL_S, Answer, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from xds.dns.names import Data, Name

UDP_BYTES = 1_232
"""The largest response over UDP, if the client takes as much: no path cuts it into fragments (DNS flag day 2020)."""
PLAIN_UDP_BYTES = 512
"""The same for clients that do not say what they take (RFC 1035, 4.2.1)."""
TCP_BYTES = 65_535
_OPT_BYTES = 11
_LABELLED = frozenset(("A", "AAAA", "ANY", "AXFR", "CNAME", "HTTPS", "MX", "NS", "PTR", "SOA", "SRV", "SVCB", "TXT"))
_TRANSFERS = frozenset((dns.rdatatype.AXFR, dns.rdatatype.IXFR))


@dataclass(frozen=True, slots=True)
class Reply:
    """A response, and what metrics say of it."""

    wire: bytes
    type: str
    """Of the question; `other` for types that are rare, since clients may ask for 65,536 of them."""
    rcode: str


def respond(wire: bytes, ask: Callable[[Name, str], Answer], *, over_tcp: bool) -> Reply | None:
    """Return the response to a query, or None if it is none: no reply can be given, or must not (to a response).

    Args:
        wire: the message as it came.
        ask: what answers a name (labels in lower case) and a type.
        over_tcp: whether a long answer may be sent; over UDP it is cut, and marked as such (TC).
    """
    if len(wire) < HEADER_BYTES or wire[2] & 0x80:
        return None
    if (wire[2] >> 3) & 0xF != dns.opcode.QUERY:
        return _without_question(wire, dns.rcode.NOTIMP)
    # One question and no more: RFC 9619.
    if len(wire) > QUERY_BYTES or wire[4:6] != b"\0\1":
        return _without_question(wire, dns.rcode.FORMERR)
    try:
        query = dns.message.from_wire(wire)
    except dns.exception.DNSException:
        return _without_question(wire, dns.rcode.FORMERR)
    question = query.question[0]
    response = dns.message.make_response(query, our_payload=UDP_BYTES, pad=0)
    if query.edns > 0:
        response.set_rcode(dns.rcode.BADVERS)
    elif question.rdclass != dns.rdataclass.IN or question.rdtype in _TRANSFERS:
        response.set_rcode(dns.rcode.REFUSED)
    else:
        name = tuple(label.decode("latin-1").lower() for label in question.name.labels[:-1])
        _fill(response, ask(name, dns.rdatatype.to_text(question.rdtype)), _limit_bytes(query, over_tcp=over_tcp))
    kind = dns.rdatatype.to_text(question.rdtype)
    wire = response.to_wire(max_size=TCP_BYTES, want_shuffle=False)
    return Reply(wire, kind if kind in _LABELLED else "other", dns.rcode.to_text(response.rcode()))


def _limit_bytes(query: dns.message.Message, *, over_tcp: bool) -> int:
    if over_tcp:
        return TCP_BYTES
    return PLAIN_UDP_BYTES if query.edns < 0 else max(PLAIN_UDP_BYTES, min(query.payload, UDP_BYTES))


def _fill(response: dns.message.Message, answer: Answer, limit_bytes: int) -> None:
    response.set_rcode(dns.rcode.from_text(answer.outcome))
    if answer.outcome not in (Outcome.NOERROR, Outcome.NXDOMAIN):
        return
    response.flags |= dns.flags.AA
    if not answer.data:
        response.authority = [_SOA]
        return
    name = response.question[0].name
    taken_bytes = HEADER_BYTES + sum(len(label) + 1 for label in name.labels) + 4 + (_OPT_BYTES if response.edns >= 0 else 0)
    kind = dns.rdatatype.from_text(answer.kind)
    chosen = _some(answer, kind, limit_bytes - taken_bytes)
    if len(chosen) < len(answer.data) and limit_bytes < TCP_BYTES:
        response.flags |= dns.flags.TC
    response.answer = [_Prepared(name, kind, chosen)]


def _some(answer: Answer, kind: dns.rdatatype.RdataType, room_bytes: int) -> list[bytes]:
    """Return as many records as there is room for, beginning anywhere, so that clients that take the first are spread.

    More than TCP has room for cannot be sent at all; each answer then has others.
    """
    start = random.randrange(len(answer.data))  # noqa: S311 - not a secret
    chosen: list[bytes] = []
    for data in (*answer.data[start:], *answer.data[:start]):
        record = _record(kind, answer.ttl_s, data)
        room_bytes -= len(record)
        if room_bytes < 0:
            break
        chosen.append(record)
    return chosen


class _Prepared(dns.rrset.RRset):
    """Records that are bytes already: dnspython takes 20 ms to write a thousand."""

    __slots__ = ("_records",)

    def __init__(self, name: dns.name.Name, kind: dns.rdatatype.RdataType, records: Sequence[bytes]) -> None:
        super().__init__(name, dns.rdataclass.IN, kind)
        self._records = records

    def to_wire(self, file: Any, *_: Any, **__: Any) -> int:  # type: ignore[override] # names are compressed already
        file.write(b"".join(self._records))
        return len(self._records)


@lru_cache(maxsize=1 << 14)
def _record(kind: dns.rdatatype.RdataType, ttl_s: int, data: Data) -> bytes:
    """Return a record of the name that is asked for: the question is always at the same place, and names may point there."""
    rdata = _rdata(kind, data).to_wire() or b""
    return b"\xc0\x0c" + struct.pack("!HHIH", kind, dns.rdataclass.IN, ttl_s, len(rdata)) + rdata


def _rdata(kind: dns.rdatatype.RdataType, data: Data) -> dns.rdata.Rdata:
    if isinstance(data, Target):
        host = dns.name.Name([label.encode() for label in (*data.host, "")])
        return SRV(dns.rdataclass.IN, kind, 0, 1, data.port, host)  # type: ignore[no-untyped-call] # dnspython has no types there
    if kind == dns.rdatatype.A:
        return A(dns.rdataclass.IN, kind, data)  # type: ignore[no-untyped-call] # dnspython has no types there
    if kind == dns.rdatatype.AAAA:
        return AAAA(dns.rdataclass.IN, kind, data)  # type: ignore[no-untyped-call] # dnspython has no types there
    return dns.rdata.from_text(dns.rdataclass.IN, kind, data)


def _without_question(wire: bytes, rcode: dns.rcode.Rcode) -> Reply:
    """Return a response that is a header alone, for what cannot be read."""
    response = dns.message.Message(id=int.from_bytes(wire[:2], "big"))
    response.flags = dns.flags.Flag(dns.flags.QR | (int.from_bytes(wire[2:4], "big") & dns.flags.RD))
    response.set_opcode(dns.opcode.Opcode((wire[2] >> 3) & 0xF))
    response.set_rcode(rcode)
    return Reply(response.to_wire(), "other", dns.rcode.to_text(rcode))


_SOA = dns.rrset.from_text(dns.name.Name([label.encode() for label in (*ZONE, "")]), TTL_S, "IN", "SOA", SOA)
