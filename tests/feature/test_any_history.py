"""Whatever happened to the files, a control plane that saw it all and one that starts now serve the same."""

from __future__ import annotations

import random
import shutil
from dataclasses import replace

import pytest
import yaml

from xds.discovery.readings import Readings
from xds.model.fleet import Fleet
from xds.model.view import Role, View
from xds.views import LiveViews

CLUSTERS = ("east", "north", "west")
STEPS = 40
VIEWS = [
    View(cluster, network, region, "a", role, "shop", listen="127.0.0.1:15001" if role is Role.SIDECAR else "")
    for cluster in (*CLUSTERS, "")
    for network, region in (("default", "eu"), ("blue", "us"))
    for role in (Role.SIDECAR, Role.GATEWAY, Role.PROXYLESS)
]


class Plane:
    """All stages but the server, on a directory."""

    def __init__(self, directory):
        self.readings, self.fleet = Readings(directory), Fleet()
        self.views = LiveViews(self.fleet, lambda _: None, idle_s=0)
        self.follow()
        for view in VIEWS:
            self.views.acquire(view)

    def follow(self):
        """Take what changed, as `ControlPlane.on_events` does."""
        change = self.fleet.apply(self.readings.next_pass().events)
        if change.members:
            change = replace(change, endpoints=frozenset(), services=change.services | change.endpoints)
        self.views.changed(change)
        if change.needs_batch:
            self.views.rebuild("a test")

    def state(self):
        """Return what clients and owners see."""
        members = {name: (found.region, found.zones, found.network) for name, found in self.fleet.members.items()}
        snapshots = {view: self.views.store.current(view).version for view in VIEWS}
        return members, snapshots, set(self.fleet.problems()), set(self.views.problems(dict))


class Operator:
    """Changes a directory at random, as people, scripts and failing disks do."""

    def __init__(self, directory, seed):
        self.directory, self.random = directory, random.Random(seed)

    def act(self):
        pick = self.random.choice
        cluster = self.directory / pick(CLUSTERS)
        files = sorted(self.directory.glob("*/*.yaml"))
        match self.random.randrange(10):
            case 0 if files:
                pick(files).unlink()
            case 1 if files:
                (found := pick(files)).rename(found.with_name(pick("0123") + ".yaml"))
            case 2 if cluster.exists():
                shutil.rmtree(cluster)
            case 3 if cluster.exists() and not (other := self.directory / pick(CLUSTERS)).exists():
                cluster.rename(other)
            case 4:
                members = [self.member(name) for name in CLUSTERS if pick((True, False))] or [self.member("east")]
                (self.directory / "fleet.yaml").write_text(yaml.safe_dump_all(members))
            case _:
                cluster.mkdir(exist_ok=True)
                objects = [self.some_object() for _ in range(3)]
                (cluster / (pick("0123") + ".yaml")).write_text(yaml.safe_dump_all(objects))

    def member(self, name):
        spec = {"region": self.random.choice(("eu", "us")), "network": self.random.choice(("default", "blue"))}
        return made("traffic.isthmus.dev/v1alpha1", "MemberCluster", {"name": name}, spec=spec)

    def some_object(self):
        pick = self.random.choice
        meta = {"name": pick(("api", "web")), "namespace": pick(("shop", "bank"))}
        match self.random.randrange(7):
            case 0 | 1:
                spec = {"clusterIP": pick(("None", "10.96.0.1")), "type": pick(("ClusterIP", "ClusterIP", "ExternalName"))}
                return made("v1", "Service", meta, spec={**spec, "ports": pick(([], [{"name": "http", "port": 80}]))})
            case 2:
                return made("multicluster.x-k8s.io/v1beta1", "ServiceExport", meta)
            case 3:
                spec = {"ips": pick(([], ["241.0.0.1"]))}
                return made("multicluster.x-k8s.io/v1beta1", "ServiceImport", meta, spec=spec)
            case 4:
                labels = {
                    f"topology.kubernetes.io/{key}": pick(values) for key, values in (("zone", "ab"), ("region", ("eu", "us")))
                }
                return made("v1", "Node", {"name": pick(("n1", "n2")), "labels": labels})
            case _:
                labelled = {
                    **meta,
                    "name": f"{meta['name']}-{pick('12')}",
                    "labels": {"kubernetes.io/service-name": meta["name"]},
                }
                endpoints = [{"addresses": [f"10.0.0.{pick('1234')}"], "nodeName": pick(("n1", "n2"))} for _ in range(2)]
                more = {"addressType": "IPv4", "ports": [{"name": "http", "port": 8080}], "endpoints": endpoints}
                return made("discovery.k8s.io/v1", "EndpointSlice", labelled, **more)


def made(api_version, kind, metadata, **fields):
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}


@pytest.mark.parametrize("seed", range(3))
def test_history_leaves_no_trace(tmp_path, seed):
    operator, running = Operator(tmp_path, seed), Plane(tmp_path)
    for _ in range(STEPS):
        operator.act()
        running.follow()
        assert running.state() == Plane(tmp_path).state()
