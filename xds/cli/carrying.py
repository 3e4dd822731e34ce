"""Whether the rest could carry what a place gives up: a rehearsal of the drain, with the loads that clients report."""

from __future__ import annotations

import re
import shlex
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from xds.cli.client import UnreachableError
from xds.cli.output import note
from xds.cli.places import places_of
from xds.cli.simulate import answer, request_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from xds.cli.client import Client
    from xds.model.traffic_objects import GateSpec
    from xds.policy.places import Place

Json = dict[str, Any]
MEASURE_S = 12.0
"""How long loads are measured: a little longer than clients take to report again by default."""
SHOWN = 10


class World:
    """A fleet to be asked: what a directory describes, or what a control plane knows.

    Args:
        client: asks the control plane.
        clusters: the directory; None, or one that does not have all clusters that it declares: the control plane is asked.
    """

    def __init__(self, client: Client, clusters: Path | None = None) -> None:
        self.client = client
        self._clusters: Path | None = None
        self._members: set[str] = set()
        self._places: set[Place] = set()
        self._services: set[str] = set()
        self._has_asked = False
        if clusters is not None:
            from xds.cli.offline import Offline
            from xds.policy.acceptance import Known

            fleet = Offline(clusters).fleet
            # Of a cluster that is only declared there, API servers tell the control plane what the directory does not know.
            if fleet.members and fleet.members.keys() <= fleet.clusters.keys():
                known = Known.of(fleet)
                self._clusters = clusters
                self._members = {*fleet.members}
                self._places = known.places
                self._services = {f"{key.namespace}/{key.name}" for key in fleet.services}

    @property
    def is_live(self) -> bool:
        """Whether it is a control plane that is asked."""
        return self._clusters is None

    def places(self) -> set[Place]:
        """Return all places.

        Raises:
            UnreachableError: no control plane answers.
        """
        return places_of(self.client.items("/v1/members")) if self.is_live else self._places

    def simulate(self, **supposed: Any) -> Json:
        """Return what would become of requests; the arguments are those of `request_of`."""
        found = answer(self.client, self._clusters, request_of(**supposed), tells_problems=not self._has_asked)
        self._has_asked = True
        return found

    def gate(self, spec: GateSpec) -> str:
        """Return what a policy says of the gate of a tier: Open, Closed or Manual.

        Raises:
            XdsError: there is no such policy or tier, or no control plane answers.
        """
        if self._clusters is None:
            names = {name: getattr(spec, name) for name in ("cluster", "namespace", "policy", "tier")}
            return str(self.client.get("/v1/gate", {name: value for name, value in names.items() if value})["gate"])
        from xds.admin.overrides import gate
        from xds.cli.offline import Offline

        return str(gate(Offline(self._clusters).translator.book, spec).gate)

    def command(self, *words: str, services: Iterable[str] = (), loads: Iterable[str] = ()) -> str:
        """Return the `xdsctl simulate` that asks the same, for people to copy."""
        options = [*words, *(text for name in services for text in ("--service", name))]
        options += [text for load in loads for text in ("--load", load)]
        return shlex.join(["xdsctl", "simulate", *options, *(("--clusters", str(self._clusters)) if self._clusters else ())])

    def measured(self) -> dict[str, float]:
        """Return the requests a second that clients send to services, as they report it; none where nobody reports any."""
        try:
            before = self.client.items("/v1/loads")
            if not before or not self._is_that_of(self.client):
                return {}
            note(f"measuring for {MEASURE_S:.0f} s what clients send; --load tells it instead")
            time.sleep(MEASURE_S)
            found = rates(before, self.client.items("/v1/loads"))
            names = {_name(item["name"]) for item in self.client.items("/v1/services")} if self.is_live else self._services
        except UnreachableError:
            if self.is_live:
                raise
            return {}
        return {name: rate for name, rate in found.items() if name in names}

    def _is_that_of(self, client: Client) -> bool:
        """Return whether a control plane serves the fleet of the directory, and not another one."""
        return self.is_live or {one["name"] for one in client.items("/v1/members")} == self._members


def rates(before: Iterable[Json], after: Iterable[Json]) -> dict[str, float]:
    """Return `NAMESPACE/NAME` -> requests a second, of what clients reported in all up to two moments."""
    known = {(item["view"], item["cluster"]): item for item in before}
    found: dict[str, float] = defaultdict(float)
    for item in after:
        was = known.get((item["view"], item["cluster"]))
        passed_s = _seconds(item["reported_at"]) - _seconds(was["reported_at"]) if was else 0.0
        if was and passed_s > 0:
            found[_name(item["cluster"])] += max(0, _issued(item) - _issued(was)) / passed_s
    return {name: rate for name, rate in found.items() if name and rate}


def objections(found: Json) -> list[str]:
    """Return what speaks against what was rehearsed, one line each: where nobody is found, or too much is asked of a place."""
    clients: dict[str, list[str]] = {}
    for one in found["services"]:
        for problem in one["problems"]:
            if problem["is_new"] and problem["kind"] != "panic":
                text = f"{one['service']}: {problem['kind'].upper()}: {problem['message']}"
                clients.setdefault(text, []).append(one["from"].rstrip("/"))
    return [text if ": BREACH: " in text else f"{text}, from {', '.join(places)}" for text, places in clients.items()]


def listed(lines: Sequence[str], more: str) -> str:
    """Return lines, not too many of them.

    Args:
        lines: all of them.
        more: the command that tells the others.
    """
    shown = [f"  {line}" for line in lines[:SHOWN]]
    if len(lines) > SHOWN:
        shown.append(f"  and {len(lines) - SHOWN} more; `{more}` lists them")
    return "\n".join(shown)


def as_options(loads: Mapping[str, float]) -> list[str]:
    """Return loads as `--load` has them."""
    return [f"{name}={rate:.3f}" for name, rate in sorted(loads.items())]


def _issued(item: Json) -> int:
    return sum(int(load["issued"]) for load in item["localities"])


def _seconds(moment: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(moment).timestamp()


def _name(service: str) -> str:
    """Return `NAMESPACE/NAME` of a DNS name or an Envoy cluster's; "" of anything else."""
    found = re.match(r"([^.]+)\.([^.]+)\.svc\.", service)
    return f"{found[2]}/{found[1]}" if found else ""
