"""A decoder that shares no code and no descriptors with ours reads the same content out of every golden case's bytes."""

from __future__ import annotations

import importlib
import json
import re
from functools import cache

import pytest
from golden_case import CASES, outcome
from google.protobuf import json_format

from xds.wire import LISTENER, POOL, unpack
from xds.wire.type_urls import PREFIX

DEFAULTS = (None, "", 0, False, "0s", {}, [])


@pytest.mark.parametrize("case", CASES)
def test_reads_the_same(case):
    for type_url, named in outcome(case).resources.items():
        for resource in named.values():
            check(type_url, resource.body)


@cache
def check(type_url: str, body: bytes) -> None:
    """Compare what both read, once for bytes that many cases share."""
    ours = unpack(type_url, body)
    expected = mine(ours)
    theirs = parse(type_url, body, anys(expected))
    assert canonical(theirs.to_dict()) == canonical(expected)
    assert type(ours).FromString(bytes(theirs)) == ours, "what is set and empty is told apart from what is not set"


def test_a_difference_is_seen():
    ours = unpack(LISTENER, outcome("ipv6-only").resources[LISTENER]["outbound"].body)
    other = type(ours).FromString(ours.SerializeToString())
    other.filter_chains[0].filters[0].typed_config.value += b"\x12\x01x"  # stat_prefix once more: the last one counts
    assert canonical(mine(ours)) != canonical(mine(other))


def parse(type_url: str, body: bytes, contents: set[str]):
    for name in contents:
        class_of(name)  # betterproto2 unpacks an Any only if the class has been imported
    return class_of(type_url.removeprefix(PREFIX)).parse(body)


def class_of(full_name: str):
    package, _, name = full_name.rpartition(".")
    return getattr(importlib.import_module(f"envoy_data_plane.{package}"), name)


def mine(message):
    return json.loads(json_format.MessageToJson(message, descriptor_pool=POOL))


def anys(value) -> set[str]:
    """Return the full names of the messages inside Anys, at any depth of a JSON value."""
    if isinstance(value, dict):
        own = {value["@type"].removeprefix(PREFIX)} if "@type" in value else set()
        return own.union(*map(anys, value.values()))
    return set().union(*map(anys, value)) if isinstance(value, list) else set()


def canonical(value):
    """Return JSON without fields of default value, which writers are free to leave out.

    The case of a letter after a digit is no difference: betterproto2 makes `consecutive5Xx` of a field of outlier detection. Nor
    is whether a number of 64 bits stands in quotes, as JSON has it: betterproto2 leaves them out where it is in a wrapper.
    """
    if isinstance(value, dict):
        cleaned = {re.sub(r"(?<=\d)[A-Z]", lambda found: found[0].lower(), key): canonical(item) for key, item in value.items()}
        return {key: item for key, item in cleaned.items() if item not in DEFAULTS}
    if isinstance(value, list):
        return [canonical(item) for item in value]
    return int(value) if isinstance(value, str) and re.fullmatch("[0-9]+", value) else value
