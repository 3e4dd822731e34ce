"""Fixtures of the protocol's tests."""

from __future__ import annotations

import pytest

from xds.protocol import layers


@pytest.fixture
def short_layers(monkeypatch):
    """Have streams look for another ground to share after very few changes."""
    monkeypatch.setattr(layers, "MOST", 4)
