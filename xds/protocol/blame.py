"""Blame: which resources of a rejected response the client means."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def named_in(error: str, names: Iterable[str]) -> frozenset[str]:
    """Return the names that stand in an error text as a whole, so that `web` is not found in `web:80` or `my-web`.

    Envoy and gRPC name the resources that they reject where they can, e.g. `Error adding/updating cluster(s) web: ...`.
    """
    return frozenset(
        name
        for name in names
        if name and name in error and re.search(rf"(?<![\w.@/-]){re.escape(name)}(?![\w@/-]|[.:]\w)", error)
    )
