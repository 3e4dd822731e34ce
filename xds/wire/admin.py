"""Message classes of the admin API (`protos/isthmus/admin/v1`). Type checkers read the generated `admin.pyi`."""

import typing

from xds.wire.pool import attribute


def __getattr__(name: str) -> typing.Any:
    if name.startswith("__"):  # not ours: Python asks modules for __path__ and the like
        raise AttributeError(name)
    found = attribute("admin", name)
    globals()[name] = found
    return found
