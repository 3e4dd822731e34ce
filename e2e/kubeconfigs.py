"""Kubeconfig files of one user of one cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from pathlib import Path


def write_kubeconfig(file: Path, name: str, *, server: str, authority: str, token: str) -> Path:
    """Write a kubeconfig with one context, and return it.

    Args:
        file: where; replaced at once if it is there.
        name: of the context.
        server: the API server's URL.
        authority: the certificates that it may have, PEM in base64.
        token: the user's.
    """
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": authority}}],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    draft = file.with_name(f".{file.name}.draft")
    draft.write_text(yaml.safe_dump(content))
    draft.replace(file)
    return file
