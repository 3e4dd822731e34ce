"""Names that lead to one cluster."""

from __future__ import annotations

from xds.discovery.live.api_server import UnreachableError
from xds.discovery.live.twins import Twins


class Server:
    """An API server whose kube-system has a uid; without one it cannot be reached."""

    def __init__(self, uid=""):
        self.uid = uid

    async def get(self, _path, **_):
        if not self.uid:
            raise UnreachableError("gone")
        metadata = f'{{"name": "kube-system", "uid": "{self.uid}"}}'
        return f'{{"apiVersion": "v1", "kind": "Namespace", "metadata": {metadata}}}'.encode()


async def test_the_first_in_rank_counts_once_it_has_told_everything():
    told = set()
    twins = Twins(lambda: ["best", "other", "last"], lambda name: name in told)
    for name in ("last", "other"):
        await twins.identify(name, Server("one" if name == "last" else "two"))
    assert twins.first("last", told=True) == "last"
    await twins.identify("best", Server("one"))
    assert twins.first("last", told=False) == "best"
    assert twins.first("last", told=True) == "last"
    told.add("best")
    assert twins.first("last", told=True) == "best"
    assert twins.first("best", told=True) == "best"
    assert twins.aliases({"best", "last", "other"}) == {}
    assert twins.aliases({"best", "other"}) == {"best": {"last"}}
    twins.forget("best")
    assert twins.first("last", told=True) == "last"


async def test_what_does_not_say_who_it_is_is_nobody_s_twin():
    twins = Twins(lambda: ["a", "b"], lambda _: True)
    for name in ("a", "b"):
        await twins.identify(name, Server())
    assert twins.first("b", told=False) == "b"
    assert twins.aliases(()) == {}


async def test_who_was_known_is_so_while_it_cannot_be_asked():
    twins = Twins(lambda: ["a", "b"], lambda _: True)
    for name in ("a", "b"):
        await twins.identify(name, Server("one"))
    await twins.identify("b", Server())
    assert twins.first("b", told=False) == "a"
