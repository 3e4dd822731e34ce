"""Custom resources that the clusters know: manifests of CRDs, applied and waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml
from interop_waiting import eventually
from kubernetes_api import collection

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from kubernetes_api import KubernetesApi

SERVED_S = 30.0


async def install(api: KubernetesApi, files: Iterable[Path]) -> None:
    """Apply what the files hold, and return when every version of every kind can be listed."""
    objects = [item for file in files for item in yaml.safe_load_all(file.read_text()) if item]
    await api.apply(*objects)
    for item in objects:
        if item["kind"] == "CustomResourceDefinition":
            spec = item["spec"]
            for version in spec["versions"]:
                if version["served"]:
                    path = collection(f"{spec['group']}/{version['name']}", spec["names"]["kind"])
                    await eventually(lambda path=path: api.answers(path), timeout_s=SERVED_S)
