"""The xDS server: sockets and streams around the protocol core.

In: a `ViewSource` that gives nodes their views and views their snapshots, and the change set of each publication. Out: ADS
and the per-type xDS services in delta and state of the world, health and reflection, over gRPC. It never looks inside a
resource.
"""

from xds.server.address import ListenError
from xds.server.counters import Counters
from xds.server.hub import Hub
from xds.server.server import Limits, XdsServer
from xds.server.source import ViewSource

__all__ = ["Counters", "Hub", "Limits", "ListenError", "ViewSource", "XdsServer"]
