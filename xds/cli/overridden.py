"""Drains and open gates in words, as the admin API tells of them."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def drained_text(item: Json, *, is_named: bool = True) -> str:
    """Return what is drained: `cluster east, step 3 of 10`.

    Args:
        item: an `isthmus.admin.v1.Drain`.
        is_named: whether the place is to be told, too.
    """
    place = " ".join(f"{kind} {item[kind]}" for kind in ("cluster", "region", "zone") if item[kind]) if is_named else ""
    services = f"of {', '.join(item['services'])}" if item["services"] else ""
    step = f"step {item['step']} of {item['steps']}" if item["steps"] > 1 else ""
    return ", ".join(part for part in (" ".join(filter(None, (place, services))), step, item["reason"]) if part)


def is_drained(item: Json) -> bool:
    """Return whether all steps have been made."""
    return bool(item["step"] >= item["steps"])


def gate_text(item: Json) -> str:
    """Return what is open: `shop/web tier remote`."""
    holder = f"{item['cluster']}:" if item["cluster"] else ""
    reason = f", {item['reason']}" if item["reason"] else ""
    return f"{holder}{item['namespace']}/{item['policy']} tier {item['tier']}{reason}"


def state_text(member: Json) -> str:
    """Return the state of a member, and whether it is drained, as a whole and for every service."""
    whole = [one for one in member["drains"] if not one["services"] and (not one["zone"] or [one["zone"]] == [*member["zones"]])]
    if not whole:
        return str(member["state"])
    most = max(whole, key=lambda one: one["step"] / one["steps"])
    return f"{member['state']}, " + ("drained" if is_drained(most) else f"draining {most['step']}/{most['steps']}")
