"""Options and fixtures that all tests share."""

import asyncio
import os

import pytest
from hypothesis import settings

# Quick by default; `--hypothesis-profile=long` digs deeper. In CI the same examples every time, so that a red build is ours.
settings.register_profile("quick", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.register_profile("long", settings.get_profile("quick"), max_examples=3000, stateful_step_count=80)
settings.load_profile("quick")


def pytest_configure():
    # Otherwise asyncio.get_event_loop(), which pytest-asyncio calls before its first test, makes a loop that nobody closes.
    asyncio.set_event_loop(None)


def pytest_addoption(parser):
    parser.addoption("--update-golden", action="store_true", help="rewrite expected outputs instead of comparing with them")


@pytest.fixture
def update_golden(request):
    """Whether expectations are to be rewritten."""
    return request.config.getoption("--update-golden")
