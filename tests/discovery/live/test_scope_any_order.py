"""After any history of scopes, labels, exports, slices and broken watches, a source has told what one tells that starts then."""

from __future__ import annotations

import asyncio
import random

import msgspec
import pytest
from fake_store import CUSTOM

from xds.discovery.live.source import Care, LiveSource
from xds.model.objects import MemberCluster

pytestmark = pytest.mark.looptime(noop_cycles=100)  # as in test_member
NAMESPACES = ("a", "b", "c")
NAMES = ("web", "api")
SCOPES = (
    {},
    {"exportedOnly": True},
    {"namespaceSelector": {"matchLabels": {"team": "x"}}},
    {"namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["x"]}]}, "exportedOnly": True},
    {"namespaceSelector": {}},
)
STEPS = 60


def declared(scope):
    head = {"apiVersion": "traffic.isthmus.dev/v1alpha1", "kind": "MemberCluster", "metadata": {"name": "east"}}
    return msgspec.convert({**head, "spec": {"scope": scope}}, MemberCluster)


class History:
    """What happens to one cluster, and to what is said of it."""

    def __init__(self, seed, server):
        self.draw = random.Random(seed)
        self.server = server
        self.scope = {}
        self.shared = []
        for kind in CUSTOM:
            server.store.add_kind(kind)

    def put(self, kind, name, namespace, **content):
        self.server.store.put(kind, name, namespace, **content)

    def toggle(self, kind, name, namespace, **content):
        """Delete an object if it is there, and mostly put it otherwise."""
        if (namespace, name) in self.server.store.objects(kind) and self.draw.random() < 0.5:
            self.server.store.delete(kind, name, namespace)
        else:
            self.put(kind, name, namespace, **content)

    async def step(self, sources):
        draw, store = self.draw, self.server.store
        namespace, name = draw.choice(NAMESPACES), draw.choice(NAMES)
        match draw.randrange(9):
            case 0:
                store.put("Namespace", namespace, labels={"team": draw.choice("xy")})
            case 1:
                self.toggle("ServiceExport", name, namespace)
            case 2:
                self.toggle("Service", name, namespace, spec={"ports": [{"port": draw.randrange(80, 83)}]})
            case 3 | 4:
                owner = draw.choice(NAMES)
                endpoints = [{"addresses": [f"10.0.0.{draw.randrange(1, 9)}"]}]
                labels = {"kubernetes.io/service-name": owner}
                self.toggle("EndpointSlice", name, namespace, labels=labels, addressType="IPv4", endpoints=endpoints)
            case 5:
                self.scope = draw.choice(SCOPES)
            case 6:
                self.shared = draw.sample([(one, "web") for one in NAMESPACES], draw.randrange(3))
            case 7:
                await self.server.end_watches()
            case 8:
                store.compact()
        for source in sources:
            self.tell(source)
        self.server.wake()
        await asyncio.sleep(draw.choice((0, 0, 0.01, 0.3, 3)))

    def tell(self, source):
        source.declared("east", declared(self.scope))
        source.shared(self.shared)


@pytest.mark.parametrize("seed", range(12))
async def test_any_history(seed, servers, tmp_path, follow):
    server = await servers()
    history = History(seed, server)
    server.store.streamed_lists = history.draw.choice(("known", "refused"))
    file = server.kubeconfig(tmp_path / "config", "east")

    def source():
        found = LiveSource([file], (), Care(share=1.0))
        history.tell(found)
        return found

    async with follow(source()) as live:
        await live.until_synced("east")
        for _ in range(STEPS):
            await history.step([live.source])
        async with follow(source()) as fresh:
            await fresh.until_synced("east")
            await asyncio.sleep(30)
            assert {key.name for _, key in live.objects} >= {"n1"}
            assert live.objects == fresh.objects
            assert live.found() == fresh.found() == {}
