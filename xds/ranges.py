"""Ranges of IP addresses, as users give them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

LEAST_ADDRESSES: Final = 8
"""Of which the first and the last are not used."""


def parsed(texts: Iterable[str]) -> tuple[Network, ...]:
    """Return the ranges in texts: at most one of IPv4 and one of IPv6.

    Raises:
        ValueError: a range cannot be used; says why, and what to do about it.
    """
    found: dict[int, Network] = {}
    for text in texts:
        network = _network(text)
        if other := found.get(network.version):
            raise ValueError(f"{other} and {network} are both IPv{network.version}; give one range of a family")
        found[network.version] = network
    return tuple(found.values())


def within(ranges: Iterable[Network], texts: Iterable[str]) -> Iterator[Address]:
    """Yield the addresses among texts that lie in one of the ranges."""
    for text in texts:
        try:
            address = ip_address(text)
        except ValueError:  # e.g. the `None` of a headless Service
            continue
        if any(address in network for network in ranges):
            yield address


def networks(texts: Iterable[str]) -> Iterator[Network]:
    """Yield the ranges in texts that others wrote; what is none is left out."""
    for text in texts:
        try:
            yield ip_network(text, strict=False)
        except ValueError:
            continue


def _network(text: str) -> Network:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is no range of addresses; give a CIDR such as 10.240.0.0/16 or fd00:240::/112") from None
    if ip_address(text.partition("/")[0]) != network.network_address:
        raise ValueError(f"{text} has bits behind the prefix that are not zero; did you mean {network}?")
    if network.num_addresses < LEAST_ADDRESSES:
        prefix = network.max_prefixlen - (LEAST_ADDRESSES - 1).bit_length()
        raise ValueError(f"{network} has {_counted(network)}; give a range of {LEAST_ADDRESSES} or more, /{prefix} or shorter")
    return network


def _counted(network: Network) -> str:
    return "1 address" if network.num_addresses == 1 else f"{network.num_addresses} addresses"
