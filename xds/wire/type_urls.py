"""Type URLs of the xDS resources, and the short names that people use for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from google.protobuf.message import Message

PREFIX = "type.googleapis.com/"

CLUSTER = PREFIX + "envoy.config.cluster.v3.Cluster"
ENDPOINT = PREFIX + "envoy.config.endpoint.v3.ClusterLoadAssignment"
LISTENER = PREFIX + "envoy.config.listener.v3.Listener"
ROUTE = PREFIX + "envoy.config.route.v3.RouteConfiguration"
SECRET = PREFIX + "envoy.extensions.transport_sockets.tls.v3.Secret"

SHORT_NAMES = {"cds": CLUSTER, "eds": ENDPOINT, "lds": LISTENER, "rds": ROUTE, "sds": SECRET}
"""Short name -> type URL, in the order in which Envoy wants to hear of the types (R24)."""

_BY_URL = {url: name for name, url in SHORT_NAMES.items()}


def short_name(type_url: str) -> str:
    """Return `cds` and the like, or the URL without its prefix for a type that has no short name."""
    return _BY_URL.get(type_url) or type_url.removeprefix(PREFIX)


def type_url_of(message: Message | type[Message]) -> str:
    """Return the type URL of a message or of its class."""
    return PREFIX + message.DESCRIPTOR.full_name
