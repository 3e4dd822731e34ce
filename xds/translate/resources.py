"""What translation makes: resources, with all that can be written of them once rather than for each response."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xds.snapshot.resource import Resource, content_version
from xds.wire.fields import resource_head, resource_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xds.problems import Ref


def resource_of(
    type_url: str,
    name: str,
    body: bytes,
    *,
    refs: Mapping[str, frozenset[str]] | None = None,
    origins: tuple[Ref, ...] = (),
    version: str = "",
) -> Resource:
    """Return a resource with the version of its bytes, which is found out if it is not given, and with its head.

    Here, because this is done in slices, and the first response with thousands of resources is not.
    """
    version = version or content_version(body)
    head = resource_head(type_url, len(body), resource_names(name, version))
    return Resource(type_url, name, body, version, refs or {}, origins, head=head)
