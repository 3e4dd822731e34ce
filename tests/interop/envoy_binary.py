"""The Envoy that tests run."""

import pytest

from xds.cli.demo.envoy import find_envoy
from xds.errors import ConfigurationError


def envoy_or_skip():
    """Return the binary; where there is none, the test that asks is skipped and says why."""
    try:
        return find_envoy()
    except ConfigurationError as error:
        pytest.skip(str(error))
