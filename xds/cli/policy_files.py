"""Manifests of TrafficPolicies that are named on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xds.discovery.manifests import read_manifest
from xds.errors import XdsError
from xds.model.events import FLEET
from xds.model.traffic_objects import TrafficPolicy

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


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
        except OSError as error:
            raise PolicyFileError(f"{path}: {(error.strerror or str(error)).lower()}") from error
        for problem in manifest.problems:
            raise PolicyFileError(str(problem))
        items = [entry.object for entry in manifest.items.values()]
        policies = [item for item in items if isinstance(item, TrafficPolicy)]
        others = sorted({item.kind for item in items if not isinstance(item, TrafficPolicy)})
        if others and not (takes_others and policies):
            raise PolicyFileError(f"{path} has {', '.join(others)}; only TrafficPolicies are read here")
        found += policies
    return found
