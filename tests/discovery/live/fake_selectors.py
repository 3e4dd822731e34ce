"""Label selectors as requests write them: `key`, `!key`, `key=value` and `key in (a,b)`, joined by commas."""

from __future__ import annotations

import re

_PART = re.compile(r"(!?)([^,=!()\s]+)(?:=([^,]*)|\s+in\s+\(([^)]*)\))?(?:,|$)")


def meets(selector: str, item: dict) -> bool:
    """Return whether an object is chosen."""
    labels = item["metadata"].get("labels", {})
    assert "".join(found[0] for found in _PART.finditer(selector)) == selector, selector
    return all(_holds(labels.get(key), *rest) for key, *rest in _parts(selector))


def _parts(selector: str):
    for negated, key, value, values in _PART.findall(selector):
        yield key, negated, value, values.split(",") if values else []


def _holds(value, negated, wanted, values):
    if negated:
        return value is None
    if values:
        return value in values
    return value == wanted if wanted else value is not None
