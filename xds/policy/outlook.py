"""The book of policies as the clients of one view see it. What services have in common is found out once for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xds.model.service import Service
    from xds.model.view import View
    from xds.policy.book import PolicyBook
    from xds.policy.ladder import Governance, Ladder
    from xds.policy.policies import ClusterSettings


class Outlook:
    """Of one view; good until the book is refreshed.

    Args:
        book: the policies that are in force.
        view: the clients'.
    """

    def __init__(self, book: PolicyBook, view: View) -> None:
        self._book = book
        self._view = view
        self._ladders: dict[tuple[Governance, bool, bool], Ladder] = {}
        self._settings: dict[tuple[Governance, ...], tuple[ClusterSettings, ...]] = {}

    @property
    def ladders_in_use(self) -> set[Ladder]:
        """All that were asked for."""
        return {*self._ladders.values()}

    @property
    def settings_in_use(self) -> set[tuple[ClusterSettings, ...]]:
        """All that were asked for."""
        return {*self._settings.values()}

    def ladders(self, service: Service) -> tuple[Ladder, ...]:
        """Return the ladder of each port of a service."""
        return tuple(self._ladder(service, one) for one in self._governances(service))

    def settings(self, service: Service) -> tuple[ClusterSettings, ...]:
        """Return what policies say of the cluster of each port of a service."""
        governances = self._governances(service)
        found = self._settings.get(governances)
        if found is None:
            found = self._settings[governances] = tuple(one.policy.cluster for one in governances)
        return found

    def _governances(self, service: Service) -> tuple[Governance, ...]:
        if self._book.is_empty:
            return (self._book.unruled(service),) * len(service.ports)
        return tuple(self._book.governing(service, port.number, self._view.cluster) for port in service.ports)

    def _ladder(self, service: Service, governance: Governance) -> Ladder:
        key = governance, governance.has_last_resorts(service), service.keeps_clients
        found = self._ladders.get(key)
        if found is None:
            found = self._ladders[key] = self._book.ladder_by(governance, service, self._view)
        return found
