"""After any history of registrations, restarts and broken watches, a source has told what one tells that knows nothing of it."""

from __future__ import annotations

import asyncio
import base64
import random

import pytest
from fake_objects import serve_further
from fake_store import Resource

from xds.discovery.live.access import FileAccess
from xds.discovery.live.kubeconfig import Context
from xds.discovery.live.source import Care, LiveSource
from xds.model.events import Health, MemberState

pytestmark = pytest.mark.looptime(noop_cycles=100)  # as in test_member
OURS = Resource("MemberCluster", "traffic.isthmus.dev", "v1alpha1", "memberclusters", namespaced=False)
KARMADA = Resource("Cluster", "cluster.karmada.io", "v1alpha1", "clusters", namespaced=False)
NAMES = ("a", "b", "c")
STEPS = 12


class History:
    """What happens to a hub; its clusters are there all the time."""

    def __init__(self, seed, hub, clusters, tmp_path):
        self.draw = random.Random(seed)
        self.hub = hub
        self.clusters = clusters
        self.texts = {name: one.kubeconfig(tmp_path / f"{name}.yaml", name).read_bytes() for name, one in clusters.items()}

    def put_secrets(self, *names):
        for name in names:
            token = self.clusters[name].token.encode()
            for namespace, key, value in (("isthmus", "kubeconfig", self.texts[name]), ("karmada", "token", token)):
                self.hub.store.put("Secret", name, namespace, data={key: base64.b64encode(value).decode()})

    def delete(self, kind, name, namespace=""):
        if (namespace, name) in self.hub.store.objects(kind):
            self.hub.store.delete(kind, name, namespace)

    async def step(self):
        draw, store, name = self.draw, self.hub.store, self.draw.choice(NAMES)
        match draw.randrange(8):
            case 0:
                self.put_secrets(name)
            case 1:
                self.delete("Secret", name, draw.choice(("isthmus", "karmada")))
            case 2 | 3:
                if draw.random() < 0.5:
                    self.delete("MemberCluster", name)
                ref = {"kubeconfigSecret": {"namespace": "isthmus", "name": name}} if draw.random() < 0.7 else {}
                store.put("MemberCluster", name, spec={"region": draw.choice(("r1", "r2")), **ref})
            case 4:
                taints = draw.choice(([], [{"key": "broken", "effect": "NoExecute"}]))
                spec = {"syncMode": "Push", "apiEndpoint": self.clusters[name].url, "region": "r-karmada", "taints": taints}
                store.put("Cluster", name, spec={**spec, "secretRef": {"namespace": "karmada", "name": name}})
            case 5:
                self.delete(draw.choice(("MemberCluster", "Cluster")), name)
            case 6:
                await draw.choice((self.hub.end_watches, self.hub.cut_watches))()
            case 7:
                store.compact()
        self.hub.wake()
        await asyncio.sleep(draw.choice((0, 0, 0.05, 1, 12, 70)))


def states(live):
    last = {event.cluster: event for event in live.events if isinstance(event, Health)}
    return {name: (one.state, one.standing) for name, one in last.items() if one.state is not MemberState.LOST}


@pytest.mark.parametrize("seed", range(3))
async def test_any_history(seed, servers, tmp_path, follow):
    hub = await servers()
    serve_further(hub, OURS, KARMADA)
    history = History(seed, hub, {name: await servers() for name in NAMES}, tmp_path)
    access = FileAccess(Context("", hub.kubeconfig(tmp_path / "hub", "hub"), "hub"))

    def source(directory=None):
        return LiveSource([], (), Care(directory=directory, share=0.3, delay_s=20), access)

    for _ in range(2):
        async with follow(source(tmp_path / "state")) as live:
            await live.until_synced("")
            for _ in range(STEPS):
                await history.step()
    async with follow(source(tmp_path / "state")) as live:
        await live.until_synced("")
        for _ in range(STEPS):
            await history.step()
        history.put_secrets(*NAMES)  # what cannot be used now is kept by those alone who could use it before
        hub.wake()
        await asyncio.sleep(400)
        async with follow(source()) as fresh:
            await fresh.until_synced("")
            await asyncio.sleep(30)
            assert live.objects == fresh.objects
            assert states(live) == states(fresh)
            assert live.source.names == fresh.source.names
            assert {problem.message for problem in live.problems} == {problem.message for problem in fresh.problems}
