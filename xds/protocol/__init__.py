"""xDS streams as values without I/O: requests and change sets in, responses out, and the ledger of ACKs and NACKs.

In: `parse_delta` and `parse_sotw` make requests of bytes; `DeltaStream` and `SotwStream` take requests, change sets and
snapshots. Out: `Response`s, encoded once by the `Encoder` for all streams that need the same, and per stream a `Ledger`. It
never awaits, logs, reads a clock or looks inside a resource.

Rules cited as R1, R2, … are those that `tests/protocol/testdata/` plays through, one script each.
"""

from xds.protocol.delta import DeltaStream
from xds.protocol.encoder import Encoder, Response
from xds.protocol.holdings import Rejection
from xds.protocol.interest import Subscription
from xds.protocol.ledger import Ledger, Nack, ResourceStatus, State, StreamInfo, TypeStatus
from xds.protocol.rejected import Rejected, rejected, searches
from xds.protocol.requests import DeltaRequest, SotwRequest, decode_delta, decode_sotw, parse_delta, parse_sotw
from xds.protocol.sotw import SotwStream

__all__ = [
    "DeltaRequest",
    "DeltaStream",
    "Encoder",
    "Ledger",
    "Nack",
    "Rejected",
    "Rejection",
    "ResourceStatus",
    "Response",
    "SotwRequest",
    "SotwStream",
    "State",
    "StreamInfo",
    "Subscription",
    "TypeStatus",
    "decode_delta",
    "decode_sotw",
    "parse_delta",
    "parse_sotw",
    "rejected",
    "searches",
]
