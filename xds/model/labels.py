"""Label selectors, as Kubernetes has them (meta/v1 LabelSelector)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping


class Requirement(Struct, frozen=True, rename="camel", kw_only=True):
    """One entry of `matchExpressions`."""

    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: list[str] = []

    def __str__(self) -> str:
        match self.operator:
            case "Exists":
                return self.key
            case "DoesNotExist":
                return f"!{self.key}"
        return f"{self.key} {self.operator.lower()} ({','.join(self.values)})"

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Return whether labels meet it."""
        value = labels.get(self.key)
        match self.operator:
            case "In":
                return value in self.values
            case "NotIn":
                return value not in self.values
            case "Exists":
                return value is not None
        return value is None


class LabelSelector(Struct, frozen=True, rename="camel", kw_only=True):
    """What labels must be; an empty one takes everything."""

    match_labels: dict[str, str] = {}
    match_expressions: list[Requirement] = []

    def __str__(self) -> str:
        """Return it as `kubectl -l` writes it."""
        return ",".join(
            (*(f"{key}={value}" for key, value in sorted(self.match_labels.items())), *map(str, self.match_expressions))
        )

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether labels are as they must be."""
        return self.match_labels.items() <= labels.items() and all(one.holds(labels) for one in self.match_expressions)
