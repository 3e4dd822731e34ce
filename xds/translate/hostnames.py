"""Hostnames of the Gateway API: `shop.example.com`, or `*.example.com` for everything below a domain."""

from __future__ import annotations

import re

_HOSTNAME = re.compile(r"(?=.{1,253}$)(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
A_HOSTNAME = "a hostname such as shop.example.com or *.example.com"


def is_hostname(text: str) -> bool:
    """Return whether the text is a hostname, perhaps with a wildcard as its first label; case does not matter."""
    return _HOSTNAME.fullmatch(text.lower()) is not None


def intersections(listener: str | None, hostnames: list[str]) -> list[str]:
    """Return the hostnames that both a listener and a route accept, as Envoy domains; `*` where neither names one.

    Args:
        listener: the hostname of the listener, if it has one.
        hostnames: those of the route; none means any.
    """
    if not listener:
        return [name.lower() for name in hostnames] or ["*"]
    if not hostnames:
        return [listener.lower()]
    return [found for name in hostnames if (found := _intersection(listener.lower(), name.lower()))]


def _intersection(one: str, other: str) -> str | None:
    """Return the narrower of two hostnames if the wider one, a wildcard such as `*.example.com`, covers it."""
    if one == other:
        return one
    for wide, narrow in ((one, other), (other, one)):
        if wide.startswith("*.") and narrow.removeprefix("*").endswith(wide[1:]) and len(narrow) > len(wide) - 1:
            return narrow
    return None
