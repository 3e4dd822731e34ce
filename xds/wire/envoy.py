"""Message classes of the Envoy API files listed in `protos/envoy.txt`. Type checkers read the generated `envoy.pyi`."""

import typing

from xds.wire.pool import attribute


def __getattr__(name: str) -> typing.Any:
    if name.startswith("__"):  # not ours: Python asks modules for __path__ and the like
        raise AttributeError(name)
    found = attribute("envoy", name)
    globals()[name] = found
    return found
