"""The xDS server: sockets and streams around the protocol core.

In: a `ViewSource` that gives nodes their views and views their snapshots, and the change set of each publication. Out: ADS
and the per-type xDS services in delta and state of the world, health and reflection, over gRPC. It never looks inside a
resource.
"""

from xds.server.address import ListenError
from xds.server.counters import Counters
from xds.server.hub import Hub
from xds.server.limits import Limits
from xds.server.server import Security, XdsServer
from xds.server.source import ViewSource
from xds.server.tls import CertificateError, Certificates, TlsFiles

__all__ = [
    "CertificateError",
    "Certificates",
    "Counters",
    "Hub",
    "Limits",
    "ListenError",
    "Security",
    "TlsFiles",
    "ViewSource",
    "XdsServer",
]
