"""Which clients somebody asks about: the node matchers of a CSDS request (envoy.type.matcher.v3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xds.errors import XdsError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from xds.model.node import Node
    from xds.wire import envoy

    Match = Callable[[Any], bool]

MATCHERS = 100
"""Matchers of a request, conditions of all of them together, and steps of a path: Python looks at each, for every client."""

_MISSING = object()


class UnsupportedMatcherError(XdsError):
    """A matcher that we do not evaluate, or too many of them; the text names it and what we do evaluate."""


def node_match(matchers: Sequence[envoy.NodeMatcher]) -> Callable[[Node], bool]:
    """Return what says of a node whether any of the matchers fits; without matchers every node fits.

    Raises:
        UnsupportedMatcherError: a matcher is of a kind that we do not evaluate, or there are too many.
    """
    _check_number(matchers)
    each = [_one(matcher) for matcher in matchers]
    return lambda node: not each or any(fits(node) for fits in each)


def _check_number(matchers: Sequence[envoy.NodeMatcher]) -> None:
    """See, before anything is made of them, that there are not too many: whoever asks must not hold up the proxies."""
    _check_limit("the request", len(matchers))
    _check_limit("node_metadatas", sum(len(matcher.node_metadatas) for matcher in matchers))
    for matcher in matchers:
        for item in matcher.node_metadatas:
            _check_limit("node_metadatas.path", len(item.path))


def _check_limit(place: str, number: int) -> None:
    if number > MATCHERS:
        raise UnsupportedMatcherError(f"node_matchers: {place} has {number}, more than {MATCHERS}; ask in several requests")


def _one(matcher: envoy.NodeMatcher) -> Callable[[Node], bool]:
    id_fits = _string(matcher.node_id, "node_id") if matcher.HasField("node_id") else _always
    metadata = [([step.key for step in item.path], _value(item.value)) for item in matcher.node_metadatas]
    return lambda node: id_fits(node.id) and all(fits(_at(node.metadata, path)) for path, fits in metadata)


def _always(_: Any) -> bool:
    return True


def _at(value: Any, path: list[str]) -> Any:
    for key in path:
        if not isinstance(value, dict) or key not in value:
            return _MISSING
        value = value[key]
    return value


def _value(matcher: envoy.ValueMatcher) -> Match:
    match matcher.WhichOneof("match_pattern"):
        case "string_match":
            fits = _string(matcher.string_match, "string_match")
            return lambda value: isinstance(value, str) and fits(value)
        case "bool_match":
            return lambda value: value is matcher.bool_match
        case "null_match":
            return lambda value: value is None
        case "present_match":
            return lambda value: (value is not _MISSING) is matcher.present_match
        case "double_match" if matcher.double_match.WhichOneof("match_pattern") == "exact":
            wanted = matcher.double_match.exact
            return lambda value: type(value) is float and value == wanted
        case kind:
            raise _unsupported(
                "node_metadatas.value", kind, "string_match, bool_match, null_match, present_match, double_match.exact"
            )


def _string(matcher: envoy.StringMatcher, place: str) -> Callable[[str], bool]:
    folded: Callable[[str], str] = str.casefold if matcher.ignore_case else str
    kind = matcher.WhichOneof("match_pattern")
    if kind not in {"exact", "prefix", "suffix", "contains"}:
        raise _unsupported(place, kind, "exact, prefix, suffix, contains")
    wanted = folded(getattr(matcher, kind))
    compare: dict[str, Callable[[str], bool]] = {
        "exact": lambda text: folded(text) == wanted,
        "prefix": lambda text: folded(text).startswith(wanted),
        "suffix": lambda text: folded(text).endswith(wanted),
        "contains": lambda text: wanted in folded(text),
    }
    return compare[kind]


def _unsupported(place: str, kind: str | None, known: str) -> UnsupportedMatcherError:
    return UnsupportedMatcherError(f"node_matchers: {place} {kind or 'without a pattern'} is not supported; use one of {known}")
