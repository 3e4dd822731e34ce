"""The names of the cluster set: `clusterset.local`, answered for the clients of one member.

`names` and `zone` are pure and follow the DNS specification of KEP-1645:
https://github.com/kubernetes/enhancements/blob/master/keps/sig-multicluster/1645-multi-cluster-services-api/specification.md
`messages` turns questions and answers into bytes, by dnspython; `connections`, `address` and `server` are the sockets.
"""

from __future__ import annotations

from xds.dns.server import DnsServer
from xds.dns.zone import Zone

__all__ = ["DnsServer", "Zone"]
