"""Where streams get their configuration: the face of the application towards the server."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from xds.model.node import Node
    from xds.snapshot.snapshot import Snapshot


V = TypeVar("V", bound=Hashable)
"""What identifies a view; streams with equal views are given the same."""


class ViewSource(Protocol[V]):
    """Gives each node its view and each live view its newest snapshot.

    A view is live from its first `acquire` to its last `release`; the server calls each of them once a stream and view.
    Whoever implements it calls `XdsServer.publish` after a live view's snapshot changed, and `XdsServer.reassign` after
    something changed on which `view_of` depends.
    """

    async def wait_ready(self) -> None:
        """Return once the first sync is done: nothing is served before (R12)."""

    def view_of(self, node: Node) -> V:
        """Return the view that the node gets.

        Raises:
            NodeRejectedError: nobody can serve this node; its reason is what the client is told.
        """

    async def prepare(self, view: V) -> bool:
        """Do what `acquire` would have to do for a view that is not live, in slices that leave the event loop to others.

        Returns:
            Whether there was something to do, so that others had their turn meanwhile.
        """

    def acquire(self, view: V) -> Snapshot:
        """Make the view live if it is not yet, and return its newest snapshot: at no cost right after `prepare`."""

    def current(self, view: V) -> Snapshot:
        """Return the newest snapshot of a live view."""

    def history(self, view: V) -> Sequence[Snapshot]:
        """Return the latest snapshots of a live view, oldest first."""

    def release(self, view: V) -> None:
        """Take back one `acquire`."""


async def prepared_view(source: ViewSource[V], node: Node) -> V:
    """Return the node's view once it can be acquired at no cost; if the node moves meanwhile, its new one.

    Raises:
        NodeRejectedError: nobody can serve this node.
    """
    view = source.view_of(node)
    while await source.prepare(view):
        before, view = view, source.view_of(node)
        if view == before:
            break
    return view
