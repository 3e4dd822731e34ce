"""The DNS specification of KEP-1645, restated section by section over all services at once, with no index."""

from xds.model.service import Health

ZONE = "clusterset.local"


def records(services, cluster, network):
    """Return (name, type, data) of everything that the clients of a cluster can be told."""
    found = [("dns-version.clusterset.local", "TXT", "1.0.0"), (ZONE, "SOA", None)]
    for service in services:
        if service.key.scope or cluster not in service.visible_in:
            continue
        base = f"{service.key.name}.{service.key.namespace}.svc.{ZONE}"
        if service.headless:
            for port in service.ports:
                ready = [
                    item
                    for item in service.endpoints[port.number]
                    if item.health in (Health.HEALTHY, Health.DEGRADED) and item.network == network
                ]
                for item in ready:
                    name = f"{host(item)}.{item.locality.cluster}.{base}"
                    found += [(at, kind(address), address) for address in item.addresses for at in (base, name)]  # 2.4.1
                    if port.name:
                        found.append((f"_{port.name}._tcp.{base}", "SRV", (item.port, name)))  # 2.4.2
        elif addresses := service.vips.get(cluster):
            found += [(base, kind(address), address) for address in addresses]  # 2.3.1
            found += [(f"_{port.name}._tcp.{base}", "SRV", (port.number, base)) for port in service.ports if port.name]  # 2.3.2
    return [(name.lower(), *rest) for name, *rest in found]


def host(item):
    """2.1: the endpoint's hostname, or an identifier of our own."""
    return item.hostname or item.addresses[0].replace(".", "-").replace(":", "-")


def kind(address):
    return "AAAA" if ":" in address else "A"


def answer(found, name, wanted):
    """Return (rcode, data) for one question, by RFC 1034 and 8020."""
    if name != ZONE and not name.endswith(f".{ZONE}"):
        return "REFUSED", set()
    if not any(name == at or at.endswith(f".{name}") for at, _, _ in found):
        return "NXDOMAIN", set()
    return "NOERROR", {data for at, type_, data in found if (at, type_) == (name, wanted)}
