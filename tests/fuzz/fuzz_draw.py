"""Bytes as a source of choices: the same bytes make the same choices, with or without a fuzzer behind them."""

from __future__ import annotations


class Draw:
    """Reads choices off the front of some bytes; when they are used up, every choice is the first one."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def more(self) -> bool:
        return self._at < len(self._data)

    def byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1] if self._at <= len(self._data) else 0

    def below(self, limit: int) -> int:
        return self.byte() % limit

    def one_of(self, choices):
        return choices[self.below(len(choices))]

    def some_of(self, choices, at_most: int) -> list:
        return [self.one_of(choices) for _ in range(self.below(at_most + 1))]

    def bytes(self, at_most: int = 255) -> bytes:
        length = min(self.byte(), at_most)
        self._at += length
        return self._data[self._at - length : self._at]

    def text(self) -> str:
        return self.bytes().decode("utf-8", "replace")

    def rest(self) -> bytes:
        found, self._at = self._data[self._at :], len(self._data)
        return found
