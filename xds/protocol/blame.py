"""Blame: which resources of a rejected response the client means, and which objects they come from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from xds.wire.type_urls import LISTENER, ROUTE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xds.problems import Ref


_INSIDE = re.compile(r"^ .*$", re.MULTILINE)
"""Lines inside a resource that Envoy quotes in whole: its own name begins a line, what it refers to is indented."""
_CUT = "...(truncated)"
"""How Envoy ends a text of more than 4 KiB, in the middle of a word."""

CONTESTED = "duplicate address"
"""What Envoy 1.36 to 1.40 says of a listener whose address another one has, without saying which."""


def named_in(error: str, names: Iterable[str]) -> frozenset[str]:
    """Return the names that stand in an error text as a whole, so that `web` is not found in `web:80` or `my-web`.

    Envoy and gRPC name the resources that they reject where they can, e.g. `Error adding/updating cluster(s) web: ...`.
    """
    said = _INSIDE.sub("", error)
    if said.endswith(_CUT):
        said = said.rpartition(" ")[0]
    return frozenset(
        name for name in names if name and name in said and re.search(rf"(?<![\w.@/-]){re.escape(name)}(?![\w@/-]|[.:]\w)", said)
    )


def objects_named_in(error: str, origins: tuple[Ref, ...]) -> tuple[Ref, ...]:
    """Return the source objects that an error text names, or all if it names none.

    Envoy knows no objects, but quotes what is made of their names: hosts like `web.shop.svc.cluster.local`, or clusters.
    """
    if len(origins) < 2:
        return origins
    return tuple(ref for ref in origins if _is_named(ref, error)) or origins


def _is_named(ref: Ref, error: str) -> bool:
    names = (f"{ref.name}.{ref.namespace}", f"{ref.namespace}/{ref.name}") if ref.namespace else (ref.name,)
    return any(name in error and re.search(rf"(?<![\w.@/-]){re.escape(name)}(?![\w@/-])", error) for name in names)


_LEADING: Final = {LISTENER: ("Gateway", "Service"), ROUTE: ("HTTPRoute", "Service")}


def foremost(type_url: str, objects: tuple[Ref, ...]) -> Ref | None:
    """Return the object that a resource is foremost made of, if one stands out: a cluster's Service, not its export."""
    for kind in ("", *_LEADING.get(type_url, ("Service",))):
        found = [ref for ref in objects if kind in ("", ref.kind)]
        if len(found) == 1:
            return found[0]
    return None
