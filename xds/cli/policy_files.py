"""Manifests of TrafficPolicies that are named on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from xds.discovery.manifests import read_manifest
from xds.errors import XdsError
from xds.model.events import FLEET
from xds.model.traffic_objects import TrafficPolicy

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

OF_A_CLUSTER: Final = "XDS0107"
"""What stands at the fleet's level and belongs to a cluster, as everything but policies, members and overrides."""


class PolicyFileError(XdsError):
    """A file of policies that cannot be read."""

    exit_code = 65


def read_policies(files: Iterable[Path], *, takes_others: bool = False) -> list[TrafficPolicy]:
    """Return the TrafficPolicies of some files.

    Args:
        files: manifests.
        takes_others: whether there may be other objects beside them, which are left out.

    Raises:
        PolicyFileError: a file cannot be read, something in it is wrong, or it has something else.
    """
    found: list[TrafficPolicy] = []
    for path in files:
        try:
            manifest = read_manifest(str(path), FLEET, path.read_bytes())
        except IsADirectoryError as error:
            raise PolicyFileError(f"{path} is a directory; name a file of TrafficPolicies") from error
        except OSError as error:
            raise PolicyFileError(f"{path}: {(error.strerror or str(error)).lower()}") from error
        of_clusters = [one for one in manifest.problems if one.code == OF_A_CLUSTER and one.ref]
        for problem in manifest.problems:
            if problem not in of_clusters:
                raise PolicyFileError(str(problem))
        items = [entry.object for entry in manifest.items.values()]
        policies = [item for item in items if isinstance(item, TrafficPolicy)]
        kinds = {item.kind for item in items if not isinstance(item, TrafficPolicy)}
        others = sorted(kinds | {one.ref.kind for one in of_clusters if one.ref})
        if others and not (takes_others and policies):
            raise PolicyFileError(f"{path} has {', '.join(others)}; only TrafficPolicies are read here")
        found += policies
    return found
