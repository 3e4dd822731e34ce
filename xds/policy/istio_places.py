"""Places as Istio's `localityLbSetting` writes them, and which of those that a rule names there are not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xds.model.istio_objects import LocalityLbSetting
    from xds.policy.acceptance import Known

CLUSTER_LABEL: Final = "topology.istio.io/cluster"
REGION_LABEL: Final = "topology.kubernetes.io/region"
ZONE_LABEL: Final = "topology.kubernetes.io/zone"
_LABELS: Final = {CLUSTER_LABEL: "cluster", REGION_LABEL: "region", ZONE_LABEL: "zone"}
Named = tuple[str, str]
"""(what it is, name), as `Known` looks for it."""


class Parts(NamedTuple):
    """A place as Istio writes it; "" is any."""

    region: str
    zone: str
    subzone: str

    @staticmethod
    def of(text: str) -> Parts | None:
        """Return what a text means; None if Istio would not take it."""
        parts = [("" if part == "*" else part) for part in text.split("/")]
        if not text or len(parts) > 3 or "" in text.split("/"):
            return None
        found = Parts(*parts, *[""] * (3 - len(parts)))
        return None if (found.zone and not found.region) or (found.subzone and not found.zone) else found

    @property
    def named(self) -> Named | None:
        """What has to be there for it to be a place; None: it is anywhere. Sub-zones are not read of nodes."""
        if self.zone:
            return "region/zone", f"{self.region}/{self.zone}"
        return ("region", self.region) if self.region else None


def is_region(name: str) -> bool:
    """Return whether a name can be one of a region: `failover` goes from region to region."""
    return bool(name) and "/" not in name and "*" not in name


def label_of(priority: str) -> tuple[str, str]:
    """Return the key of a `failoverPriority`, and the value that takes the place of the client's, "" for none."""
    key, _, value = priority.partition("=")
    return key, value


def labelled(priority: str) -> Named | None:
    """Return the place that a `failoverPriority` names, if it names one."""
    key, value = label_of(priority)
    return (_LABELS[key], value) if value and key in _LABELS else None


def missing(setting: LocalityLbSetting | None, known: Known) -> frozenset[Named]:
    """Return which places a setting names that there are not."""
    return frozenset(one for one in _named(setting) if not known.has(*one)) if setting else frozenset()


def _named(setting: LocalityLbSetting) -> Iterator[Named]:
    for entry in setting.distribute or ():
        yield from filter(None, (part.named for text in (entry.from_, *entry.to) if (part := Parts.of(text))))
    for one in setting.failover or ():
        yield from (("region", name) for name in (one.from_, one.to) if is_region(name))
    yield from filter(None, map(labelled, setting.failover_priority or ()))
