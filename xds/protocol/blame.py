"""Blame: which resources of a rejected response the client means, and which objects they come from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from xds.wire.type_urls import LISTENER, ROUTE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from xds.problems import Ref


_INSIDE = re.compile(r"^ .*$", re.MULTILINE)
"""Lines inside a resource that Envoy quotes in whole: its own name begins a line, what it refers to is indented."""
_CUT = "...(truncated)"
"""How Envoy ends a text of more than 4 KiB, in the middle of a word."""

TEXT_CHARS = 16_384
"""As much of an error text is looked at; Envoy cuts its own at 4 KiB."""
_TOKEN = re.compile(r"[\w.@/:-]+")
_ENDS = re.compile(r"[.:](?!\w)|$")
"""Where a name may end inside a token: before a mark that ends a sentence rather than joins two parts of a name."""
_PARTS = 64
"""Beginnings and ends looked at in one token."""
_ODD = 200
"""Names of other characters than those of tokens that are looked for, each by itself."""

CONTESTED = "duplicate address"
"""What Envoy 1.36 to 1.40 says of a listener whose address another one has, without saying which."""


def named_in(error: str, names: Iterable[str]) -> frozenset[str]:
    """Return the names that stand in an error text as a whole, so that `web` is not found in `web:80` or `my-web`.

    Envoy and gRPC name the resources that they reject where they can, e.g. `Error adding/updating cluster(s) web: ...`. The cost
    is that of one pass over the text, however many names there are.
    """
    said = _INSIDE.sub("", error[:TEXT_CHARS])
    if said.endswith(_CUT) or len(error) > TEXT_CHARS:
        said = said.rpartition(" ")[0]
    found = {part for token in _TOKEN.findall(said) for part in _parts(token)}.intersection(names)
    odd = [name for name in names if name and not _TOKEN.fullmatch(name)]
    for name in odd[:_ODD]:
        if name in said and re.search(rf"(?<![\w.@/-]){re.escape(name)}(?![\w@/-]|[.:]\w)", said):
            found.add(name)
    return frozenset(found)


def _parts(token: str) -> Iterator[str]:
    """Return what may be a name in a run of a name's characters: from its begin or a colon on, to its end or a closing mark."""
    starts = [0, *[at + 1 for at, char in enumerate(token) if char == ":"]][:_PARTS]
    ends = [match.start() for match in _ENDS.finditer(token)][-_PARTS:]
    return (token[start:end] for start in starts for end in ends if start < end)


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
