"""What commands that need no running control plane do: the same stages on a directory, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xds.discovery.files import read_directory
from xds.discovery.pinpoint import pinpointed
from xds.model.fleet import Fleet
from xds.model.node import Node, view_of
from xds.problems import worst_first
from xds.snapshot.store import SnapshotStore
from xds.translate.world import Translator

if TYPE_CHECKING:
    from pathlib import Path

    from xds.cli.node import NodeFlags
    from xds.discovery.inventory import Identity
    from xds.model.members import Member
    from xds.problems import Problem
    from xds.snapshot.snapshot import Snapshot


class Offline:
    """A fleet as a directory describes it.

    Args:
        directory: as for `xdsctl serve`.

    Raises:
        ConfigurationError: the directory cannot be read.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.reading = read_directory(directory)
        self.fleet = Fleet()
        self.fleet.apply(self.reading.events)
        self.translator = Translator(self.fleet)

    def problems(self) -> list[Problem]:
        """Return what is wrong with the manifests, for whichever client that matters."""
        found = {*self.reading.problems, *self.fleet.problems(), *self.translator.book.problems()}
        for member in self.fleet.members.values():
            for role in ({"role": "sidecar"}, {"role": "sidecar", "intercept": "transparent"}, {"role": "gateway"}):
                view, _ = view_of(_anyone_in(member, role), self.fleet.members)
                found.update(self.translator.translate(view).problems)
        return sorted(pinpointed(found, self._place, self._read), key=worst_first)

    def _place(self, identity: Identity) -> str:
        return self.reading.places.get(identity, "")

    def _read(self, file: str) -> bytes | None:
        try:
            return (self._directory / file).read_bytes()
        except OSError:
            return None

    def translate(self, flags: NodeFlags) -> tuple[Snapshot, tuple[Problem, ...]]:
        """Return what a node would be given, and what is wrong with that.

        Raises:
            NodeRejectedError: nobody can serve this node.
        """
        node = Node(flags.node_id, flags.node_cluster, flags.region, flags.zone, flags.metadata)
        view, problems = view_of(node, self.fleet.members, by_node=self.fleet.prefers_node)
        translation = self.translator.translate(view)
        store = SnapshotStore[object]()
        store.publish(view, translation.resources, at_s=0.0, trigger="")
        return store.current(view), (*problems, *translation.problems)


def _anyone_in(member: Member, metadata: dict[str, str]) -> Node:
    zone = member.zones[0] if member.zones else ""
    return Node("any", region=member.region, zone=zone, metadata={"isthmus": {"cluster": member.name, **metadata}})
