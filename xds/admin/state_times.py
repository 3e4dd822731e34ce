"""Since when each member is in its state. The model has no clock, so that whoever runs it says what time it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xds.model.events import MemberState
    from xds.model.members import Member


class StateTimes:
    """Remembers when the state of each member began, as this control plane saw it."""

    def __init__(self) -> None:
        self._noted: Mapping[str, Member] = {}
        self._began: dict[str, tuple[MemberState, float]] = {}

    @property
    def since_s(self) -> Mapping[str, float]:
        """Member -> when its state began, seconds since the epoch."""
        return {name: at_s for name, (_, at_s) in self._began.items()}

    def note(self, members: Mapping[str, Member], now_s: float) -> None:
        """Take the members as they are now; a new reason of the same state begins nothing.

        Args:
            members: by name; the fleet makes another mapping whenever something about them changes.
            now_s: seconds since the epoch.
        """
        if members is self._noted:
            return
        self._noted = members
        known = ((name, member.state, self._began.get(name)) for name, member in members.items())
        self._began = {name: old if old and old[0] is state else (state, now_s) for name, state, old in known}
