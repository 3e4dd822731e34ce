"""The demo's world as a value: which pods exist where, and which of them are ready."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """One zone of one cluster."""

    cluster: str
    zone: str

    def __str__(self) -> str:
        return f"{self.cluster}/{self.zone}"


@dataclass(frozen=True, slots=True)
class Cluster:
    """One member cluster."""

    name: str
    region: str
    zones: tuple[str, ...]

    @property
    def places(self) -> tuple[Place, ...]:
        """Its zones, in order."""
        return tuple(Place(self.name, zone) for zone in self.zones)


@dataclass(frozen=True, slots=True)
class Pod:
    """One backend. A pod that comes back is a new pod with a new address, as in Kubernetes."""

    place: Place
    network: int
    """The x of its loopback address 127.0.x.y."""
    index: int
    """Which of its zone's pods it is; 0 to 18."""
    generation: int = 0
    """How often it has been replaced; 0 to 11."""
    ready: bool = True

    @property
    def name(self) -> str:
        """Its name; unique in the fleet."""
        return f"web-{self.place.zone}-{self.generation}-{self.index}"

    @property
    def address(self) -> str:
        """A loopback address of its own."""
        return f"127.0.{self.network}.{self.generation * 20 + self.index + 1}"


Selection = Callable[[Pod], bool]


@dataclass(frozen=True, slots=True)
class World:
    """Everything that the manifests and the expected shares follow from."""

    clusters: tuple[Cluster, ...]
    pods: tuple[Pod, ...]

    @classmethod
    def of(cls, clusters: tuple[Cluster, ...], *, pods_per_zone: int) -> World:
        """Return a world in which every zone has that many ready pods."""
        places = (place for cluster in clusters for place in cluster.places)
        numbered = enumerate(places, start=1)
        return cls(clusters, tuple(Pod(place, number, index) for number, place in numbered for index in range(pods_per_zone)))

    @property
    def places(self) -> tuple[Place, ...]:
        """Every zone of every cluster, in order."""
        return tuple(place for cluster in self.clusters for place in cluster.places)

    def cluster(self, name: str) -> Cluster:
        """Return a cluster by its name."""
        return next(cluster for cluster in self.clusters if cluster.name == name)

    def select(self, selection: Selection) -> tuple[Pod, ...]:
        """Return the pods that the selection wants."""
        return tuple(pod for pod in self.pods if selection(pod))

    def not_ready(self, selection: Selection) -> World:
        """Return the world with these pods there, but not ready."""
        return replace(self, pods=tuple(replace(pod, ready=False) if selection(pod) else pod for pod in self.pods))

    def without(self, selection: Selection) -> World:
        """Return the world without these pods."""
        return replace(self, pods=tuple(pod for pod in self.pods if not selection(pod)))

    def restored(self) -> World:
        """Return the world with every pod that is not ready replaced by a new, ready one at a new address."""
        return replace(self, pods=tuple(pod if pod.ready else _replacement(pod) for pod in self.pods))


def everything(_: Pod) -> bool:
    """Select every pod."""
    return True


def in_cluster(name: str) -> Selection:
    """Select the pods of a cluster."""
    return lambda pod: pod.place.cluster == name


def in_zone(place: Place) -> Selection:
    """Select the pods of one zone of one cluster."""
    return lambda pod: pod.place == place


def _replacement(pod: Pod) -> Pod:
    return replace(pod, generation=pod.generation + 1, ready=True)
