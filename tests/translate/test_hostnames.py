"""Hostnames of listeners and routes, as the Gateway API means them."""

from __future__ import annotations

import pytest

from xds.translate.hostnames import intersections, is_hostname


@pytest.mark.parametrize(
    ("listener", "hostnames", "expected"),
    [
        (None, [], ["*"]),
        (None, ["A.example.com"], ["a.example.com"]),
        ("a.example.com", [], ["a.example.com"]),
        ("a.example.com", ["A.EXAMPLE.com"], ["a.example.com"]),
        ("a.example.com", ["b.example.com"], []),
        (
            "*.example.com",
            ["a.example.com", "a.b.example.com", "example.com", "badexample.com"],
            ["a.example.com", "a.b.example.com"],
        ),
        ("*.example.com", ["*.com", "*.b.example.com", "*.example.com"], ["*.example.com", "*.b.example.com", "*.example.com"]),
        ("a.example.com", ["*.example.com"], ["a.example.com"]),
        ("*.example.com", ["*.example.org"], []),
    ],
)
def test_intersections(listener, hostnames, expected):
    assert intersections(listener, hostnames) == expected


@pytest.mark.parametrize("text", ["example.com", "a", "*.example.com", "Shop.Example.com", "a-b.c1", "a" * 253])
def test_hostnames(text):
    assert is_hostname(text)


@pytest.mark.parametrize(
    "text",
    ["", "*", "a.*.com", "*a.com", "a_b.com", "-a.com", "a-.com", "a..com", ".com", "a.com:80", "a.com\n", "a b", "a" * 254],
)
def test_what_is_no_hostname(text):
    assert not is_hostname(text)
