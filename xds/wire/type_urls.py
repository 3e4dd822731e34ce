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
RUNTIME = PREFIX + "envoy.service.runtime.v3.Runtime"
EXTENSION_CONFIG = PREFIX + "envoy.config.core.v3.TypedExtensionConfig"
SCOPED_ROUTE = PREFIX + "envoy.config.route.v3.ScopedRouteConfiguration"
VIRTUAL_HOST = PREFIX + "envoy.config.route.v3.VirtualHost"

SHORT_NAMES = {
    "rtds": RUNTIME,  # feature flags that may decide how the rest is read: Envoy waits for them before it asks for clusters
    "cds": CLUSTER,
    "eds": ENDPOINT,
    "lds": LISTENER,
    "ecds": EXTENSION_CONFIG,  # filters that listeners name, and for which they warm
    "srds": SCOPED_ROUTE,  # names route configurations, and is named by listeners
    "rds": ROUTE,
    "vhds": VIRTUAL_HOST,  # parts of route configurations, which must be there first
    "sds": SECRET,
}
"""Short name -> type URL, in the order in which Envoy wants to hear of the types (R24)."""

_BY_URL = {url: name for name, url in SHORT_NAMES.items()}


def short_name(type_url: str) -> str:
    """Return `cds` and the like, or the URL without its prefix for a type that has no short name."""
    return _BY_URL.get(type_url) or type_url.removeprefix(PREFIX)


def type_url_of(message: Message | type[Message]) -> str:
    """Return the type URL of a message or of its class."""
    return PREFIX + message.DESCRIPTOR.full_name
