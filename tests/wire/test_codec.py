"""Messages become bytes and JSON the same way everywhere."""

from __future__ import annotations

import pytest
import yaml
from google.protobuf.message import DecodeError

from xds.wire import CLUSTER, LISTENER, envoy, pack, short_name, to_bytes, to_dict, to_json, type_url_of, unpack

WITH_ANY = envoy.Listener(name="a", api_listener=envoy.ApiListener(api_listener=pack(envoy.Router())))


def test_json_values_are_plain_so_that_yaml_can_write_them():
    expected = {"name": "a", "api_listener": {"api_listener": {"@type": type_url_of(envoy.Router)}}}
    assert yaml.safe_load(yaml.safe_dump(to_dict(WITH_ANY))) == expected


def test_bytes_and_back():
    assert unpack(LISTENER, to_bytes(WITH_ANY)) == WITH_ANY


def test_maps_are_written_in_one_order():
    names = [f"key-{number}" for number in range(20)]
    forward, backward = envoy.Struct(), envoy.Struct()
    for name in names:
        forward.fields[name].string_value = name
    for name in reversed(names):
        backward.fields[name].string_value = name
    assert to_bytes(forward) == to_bytes(backward)


def test_what_is_no_message_is_refused():
    with pytest.raises(KeyError):
        unpack("type.googleapis.com/no.such.Message", b"")
    with pytest.raises(DecodeError):
        unpack(CLUSTER, b"\xff")


def test_type_urls():
    assert type_url_of(envoy.Cluster) == type_url_of(envoy.Cluster()) == CLUSTER
    assert short_name(CLUSTER) == "cds"
    assert short_name("type.googleapis.com/google.protobuf.Struct") == "google.protobuf.Struct"


def test_json_uses_the_names_of_envoys_documentation():
    assert to_json(envoy.Cluster(alt_stat_name="x"), indent=None) == '{"alt_stat_name": "x"}'


def test_an_unknown_message_is_an_attribute_error_that_names_the_remedy():
    with pytest.raises(AttributeError, match="protos/ lists what it has"):
        _ = envoy.NoSuchMessage
