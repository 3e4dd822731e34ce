"""The Envoy API and our admin API as message classes, and how they become bytes and JSON.

In: the descriptor set that the build makes from `protos/` (see `hatch_build.py`). Out: `xds.wire.envoy` and
`xds.wire.admin`, whose attributes are upb message classes of one private descriptor pool, so that nothing lands in
`sys.modules` or in the default pool, where another package's copy of the same files would clash.

It knows nothing of services, views or streams.
"""

from xds.wire.codec import pack, to_bytes, to_dict, to_json, unpack
from xds.wire.pool import POOL, message_class
from xds.wire.type_urls import (
    CLUSTER,
    ENDPOINT,
    EXTENSION_CONFIG,
    LISTENER,
    ROUTE,
    RUNTIME,
    SCOPED_ROUTE,
    SECRET,
    SHORT_NAMES,
    VIRTUAL_HOST,
    short_name,
    type_url_of,
)

__all__ = [
    "CLUSTER",
    "ENDPOINT",
    "EXTENSION_CONFIG",
    "LISTENER",
    "POOL",
    "ROUTE",
    "RUNTIME",
    "SCOPED_ROUTE",
    "SECRET",
    "SHORT_NAMES",
    "VIRTUAL_HOST",
    "message_class",
    "pack",
    "short_name",
    "to_bytes",
    "to_dict",
    "to_json",
    "type_url_of",
    "unpack",
]
