"""What every test relies on."""

import asyncio


def pytest_configure():
    # Otherwise asyncio.get_event_loop(), which pytest-asyncio calls before its first test, makes a loop that nobody closes.
    asyncio.set_event_loop(None)
