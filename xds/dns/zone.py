"""The zone `clusterset.local` as the clients of one member see it: a question in, records out.

No socket, no bytes, no clock. A question costs two look-ups, however many services there are: the service is found by its key,
and what it has is made when somebody asks for it and kept until it changes.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from xds.dns.names import ZONE, Clients, everything, exists, names_of
from xds.errors import ConfigurationError
from xds.model.service import CLUSTERSET, ServiceKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from xds.dns.names import Allowed, Data, Name, Names
    from xds.model.fleet import FleetChange
    from xds.model.members import Member
    from xds.model.service import Service

TTL_S = 5
"""Of all records but one, and of negative answers. The KEP leaves it open (its examples say 4); 5 s is CoreDNS's default."""
VERSION_TTL_S = 28_800
"""Of the schema's version: the KEP's example (2.2)."""
SOA = f"ns.dns.clusterset.local. hostmaster.clusterset.local. 1 7200 1800 86400 {TTL_S}"
"""As CoreDNS names them; a serial number serves transfers alone, and there are none. Last, the negative TTL (RFC 2308)."""
_APEX: Names = {(): {"SOA": (SOA,)}, ("dns-version",): {"TXT": ("1.0.0",)}}


class Outcome(StrEnum):
    """How a question ends; NOERROR without data is what is called NODATA."""

    NOERROR = "NOERROR"
    NXDOMAIN = "NXDOMAIN"
    """Neither the name nor any below it exists (RFC 8020)."""
    SERVFAIL = "SERVFAIL"
    """Nobody can say now: the first reading is not done, or the member is gone."""
    REFUSED = "REFUSED"
    """Not a name of the cluster set."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of a name and a type."""

    outcome: Outcome
    kind: str = ""
    """The type of the data: that of the question, unless the question was ANY."""
    data: tuple[Data, ...] = ()
    ttl_s: int = TTL_S


class World(Protocol):
    """The part of `xds.model.fleet.Fleet` that answers depend on."""

    @property
    def members(self) -> Mapping[str, Member]:
        """The members by name."""

    @property
    def services(self) -> Mapping[ServiceKey, Service]:
        """Every service."""


class Zone:
    """Answers for the clients of one member; SERVFAIL until `open`.

    Args:
        world: what there is.
        allowed: says which endpoints clients may be told of; when that changes, `rules_changed` is to be called.
    """

    def __init__(self, world: World, allowed: Allowed = everything) -> None:
        self._world = world
        self._allowed = allowed
        self._cluster: str | None = None
        self._clients: Clients | None = None
        self._names: dict[ServiceKey, Names] = {}
        """Of the services that were asked for since they changed."""
        self._existing: dict[str, set[str]] = {}
        """Namespace -> its services that have a name; without one, the namespace has none either."""

    def open(self, cluster: str | None) -> str:
        """Answer from now on.

        Args:
            cluster: the member whose clients ask; None: the only one there is.

        Returns: that member.

        Raises:
            ConfigurationError: there is no such member, or there are several to choose from.
        """
        known = ", ".join(sorted(self._world.members)) or "none"
        if cluster is None:
            if len(self._world.members) != 1:
                raise ConfigurationError(
                    f"DNS answers for the clients of one cluster; say of which with --dns-cluster NAME; known are {known}"
                )
            (cluster,) = self._world.members
        elif cluster not in self._world.members:
            raise ConfigurationError(f"there is no cluster {cluster!r} to answer DNS for; known are {known}; mend --dns-cluster")
        self._cluster = cluster
        self._start_over()
        return cluster

    def changed(self, change: FleetChange) -> None:
        """Take what has changed in the fleet."""
        if self._cluster is None:
            return
        if change.members:
            self._start_over()
        else:
            self._renew(change.endpoints | change.services)

    def rules_changed(self) -> None:
        """Take into account that clients may be told of other endpoints than before."""
        if self._cluster is not None:
            self._start_over()

    def answer(self, name: Name, kind: str) -> Answer:
        """Return the records of a name.

        Args:
            name: its labels in lower case.
            kind: the type, e.g. `SRV`; `ANY` gives the records of one type (RFC 8482, 4.1).
        """
        if name[-len(ZONE) :] != ZONE:
            return Answer(Outcome.REFUSED)
        if self._clients is None:
            return Answer(Outcome.SERVFAIL)
        found = self._records(name[: -len(ZONE)], self._clients)
        if found is None:
            return Answer(Outcome.NXDOMAIN)
        kind = next(iter(found), "") if kind == "ANY" else kind
        return Answer(Outcome.NOERROR, kind, found.get(kind, ()), VERSION_TTL_S if kind == "TXT" else TTL_S)

    def _records(self, name: Name, clients: Clients) -> Mapping[str, tuple[Data, ...]] | None:
        """Return type -> data of a name below the zone, {} if it has only names below it, None if it does not exist."""
        match name:
            case (*below, service, namespace, "svc"):
                return self._names_of(ServiceKey(namespace, service, CLUSTERSET), clients).get(tuple(below))
            case (namespace, "svc"):
                return {} if namespace in self._existing else None
            case ("svc",):
                return {} if self._existing else None
        return _APEX.get(name)

    def _names_of(self, key: ServiceKey, clients: Clients) -> Names:
        if (known := self._names.get(key)) is not None:
            return known
        if (service := self._world.services.get(key)) is None:
            return {}  # and is not kept: anybody can ask for anything
        made = names_of(service, clients)
        if clients is self._clients:  # what is allowed is found out when it is asked for, which may begin everything anew
            self._names[key] = made
        return made

    def _start_over(self) -> None:
        member = self._world.members.get(self._cluster or "")
        ids = {name: one.id for name, one in self._world.members.items()}
        self._clients = Clients(member.name, member.network, ids, self._allowed) if member else None
        self._names.clear()
        self._existing = defaultdict(set)
        self._renew(self._world.services)

    def _renew(self, keys: Iterable[ServiceKey]) -> None:
        for key in keys:
            if key.scope != CLUSTERSET:
                continue
            self._names.pop(key, None)
            service = self._world.services.get(key)
            if service is not None and self._clients and exists(service, self._clients):
                self._existing[key.namespace].add(key.name)
            elif key.namespace in self._existing:
                self._existing[key.namespace].discard(key.name)
                if not self._existing[key.namespace]:
                    del self._existing[key.namespace]
