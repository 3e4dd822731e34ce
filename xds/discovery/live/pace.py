"""How often a collection asks its server: how long a watch lasts, when all is listed again, how long to rest. No clock.

Times are seconds of one clock that only rises.
"""

from __future__ import annotations

import random
from typing import Final

WATCH_S: Final = (240, 360)
"""A watch is ended by the server after a time between these, so that it goes to another replica of the server now and then."""
RELIST_S: Final = 900.0
"""A watch may have missed something (istio#54997): from time to time all is listed again, and only differences are told."""
SOON_S: Final = 60.0
"""After an outage all is listed again within this: a server that was restored meanwhile may be where it was, by another way."""
CALM_S: Final = 1.0
"""A watch that lasts less is followed by a rest, longer each time: somebody ends them all."""
REST_S: Final = (0.05, 3.2)
"""The first rest, and the longest."""


class Pace:
    """Of one collection over one connection."""

    def __init__(self, now_s: float) -> None:
        self._list_at_s = now_s + RELIST_S
        self._restless = 0

    def is_list_due(self, now_s: float) -> bool:
        """Return whether all is to be listed again."""
        return now_s >= self._list_at_s

    def lists(self, now_s: float) -> None:
        """Take into account that a list begins."""
        self._list_at_s = now_s + RELIST_S

    def broke(self, now_s: float) -> None:
        """Take into account that the server could not be reached."""
        self._list_at_s = min(self._list_at_s, now_s + SOON_S * random.uniform(0.5, 1))  # noqa: S311 - not for secrets

    def watch_s(self, now_s: float) -> int:
        """Return how long a watch is to last that begins now."""
        return max(1, min(random.randint(*WATCH_S), int(self._list_at_s - now_s)))  # noqa: S311 - as above

    def rest_s(self, lasted_s: float) -> float:
        """Return how long to wait after a watch that lasted so long; not at all after the first short one."""
        if lasted_s >= CALM_S:
            self._restless = 0
            return 0.0
        self._restless += 1
        if self._restless == 1:
            return 0.0
        first_s, longest_s = REST_S
        rest_s: float = min(longest_s, first_s * 2 ** min(self._restless, 10))
        return rest_s * random.uniform(0.5, 1)  # noqa: S311 - as above
