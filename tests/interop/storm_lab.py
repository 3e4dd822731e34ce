"""A storm's stage: one server in this process, an Envoy of each release with a view of its own, backends, and callers."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

from interop_waiting import eventually
from storm_dump import differences
from storm_journal import Journal
from storm_traffic import Caller
from xds_world import World

from xds.cli.demo.backends import Backends
from xds.cli.demo.envoy import EnvoyProcess
from xds.cli.envoy_bootstrap import envoy_bootstrap
from xds.cli.node import NodeFlags
from xds.protocol import Encoder
from xds.server import XdsServer
from xds.wire import short_name

NODE = "envoy-{}"
"""Each release has a view of its own, and one node."""
DRAIN_S = 5
STATISTICS = "warming|update_rejected|connected_state|init_fetch_timeout|assignment_use_cached"
NEVER = ("warming_clusters", "warming_state", "total_listeners_warming", "init_fetch_timeout", "assignment_use_cached")
"""Ends of names that are 0 when all is well: nothing warms, nothing ever waited for what did not come."""
REJECTED = (("cluster_manager.", "cds"), ("listener_manager.", "lds"), ("cluster.", "eds"), ("http.", "rds"))
WORKERS_S = 0.3
"""What an Envoy's main thread shows, its workers do soon after."""
BACKEND_DELAY_S = 0.005
"""So that requests are in flight whenever something changes."""


class StormEnvoy(EnvoyProcess):
    """An Envoy whose listeners, when they drain, tell every client so at once."""

    def __init__(self, release, host, binary, *, xds_address, directory, delta):
        node = NodeFlags(NODE.format(release), region=release)
        bootstrap = envoy_bootstrap(node, xds_address, admin_address="127.0.0.1:0", delta=delta)
        super().__init__(node.node_id, bootstrap, directory, binary)
        self.command += ("--drain-time-s", str(DRAIN_S), "--drain-strategy", "immediate")
        self.view = release
        self.host = host


class StormLab:
    """Starts everything on entering the context and ends it on leaving.

    Args:
        storm: whose world is published.
        binaries: release -> the Envoy.
        directory: for logs.
        delta: whether the Envoys speak the incremental variant.
    """

    def __init__(self, storm, binaries, directory, *, delta):
        self.storm = storm
        self.world = storm.world
        self.journal = Journal()
        self.hosts = {release: f"127.9.0.{number}" for number, release in enumerate(binaries, start=1)}
        self.spoilt = Counter()
        """(node, type URL, name, version) of everything invalid -> how often it was published."""
        self.backends = Backends(self.world.backend_port, delay_s=BACKEND_DELAY_S)
        self.envoys = []
        self.server = None
        self._binaries, self._directory, self._delta = binaries, directory, delta
        self._source = World()
        self._source.ready.set()
        self._published = {}
        self._address = "127.0.0.1:0"
        self._stack = AsyncExitStack()

    async def __aenter__(self):
        async with AsyncExitStack() as stack:
            stack.callback(self.backends.close)
            await self.backends.start(pod for service in self.world.services.values() for pod in service.all_pods)
            self.publish(["everything"])
            stack.push_async_callback(self.stop_server)
            await self.start_server()
            for release, host in self.hosts.items():
                where = {"xds_address": self._address, "directory": self._directory, "delta": self._delta}
                envoy = StormEnvoy(release, host, self._binaries[release], **where)
                self.envoys.append(stack.enter_context(envoy))
            await asyncio.gather(*(envoy.wait_ready() for envoy in self.envoys))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_):
        await self._stack.aclose()

    async def start_server(self):
        """Start a control plane where there was one, if none runs; it knows nothing of an earlier one."""
        if self.server:
            return
        self.server = XdsServer(self._source, Encoder("storm"), [self._address], on_nack=self.journal.rejected)
        self._source.publish = self.server.publish
        (self._address,) = await self.server.start()

    async def stop_server(self):
        """Stop the control plane; changes go on."""
        self._source.publish = lambda _: None
        if self.server:
            await self.server.stop(1)
            self.server = None

    def publish(self, changes):
        """Publish what the world wants now, to every view."""
        wanted, before = self.world.wanted(), self._published
        put = {key: spec for key, spec in wanted.items() if before.get(key) != spec}
        gone = before.keys() - wanted.keys()
        touched = [f"{short_name(kind)} {name}{spec.fault and '!'}" for (kind, name), spec in put.items()]
        touched += [f"-{short_name(kind)} {name}" for kind, name in gone]
        self.journal.published(changes, touched, self.world.services.values())
        for view, host in self.hosts.items():
            resources = [spec.resource(host) for spec in put.values()]
            faults = zip(resources, put.values(), strict=True)
            node = NODE.format(view)
            self.spoilt.update((node, made.type_url, made.name, made.version) for made, spec in faults if spec.fault)
            self._source.put(*resources, view=view, gone=gone)
        self._published = wanted

    async def play(self, steps):
        """Publish one step after the other; return how many changes there were."""
        count = 0
        for step in steps:
            self.publish(step.changes)
            count += len(step.changes)
            await asyncio.sleep(step.pause_s)
        return count

    def callers(self):
        """Return a caller for every way to a service that exists throughout, in every Envoy."""
        ways = [(listener, service) for wing in self.storm.wings for listener in wing.listeners for service in listener.services]
        return [Caller(envoy.view, envoy.host, *way) for envoy in self.envoys for way in ways]

    async def differences(self, envoy):
        """Return how what the Envoy has in force differs from the snapshot."""
        envoy.check()
        return differences(await envoy.config_dump(), self._source.store.current(envoy.view))

    async def settle(self, within_s):
        """Return once every Envoy has in force what is in its snapshot; return what differs if that takes too long."""

        async def all_equal():
            return not any([await self.differences(envoy) for envoy in self.envoys])

        try:
            await eventually(all_equal, timeout_s=within_s, every_s=0.2)
        except AssertionError:
            return {envoy.name: found for envoy in self.envoys if (found := await self.differences(envoy))}
        await asyncio.sleep(WORKERS_S)
        self.journal.settled()
        return {}

    def rejectors(self, type_url):
        """Return which nodes have rejected something of a type."""
        return {one.node for one in self.journal.rejections if one.type_url == type_url}

    async def complaints(self, envoy):
        """Return what of an Envoy's statistics says that something went wrong."""
        stats = await envoy.stats(STATISTICS)
        nacks = Counter(short_name(one.type_url) for one in self.journal.rejections if one.node == envoy.name)
        wrong = {name: value for name, value in stats.items() if value and name.endswith(NEVER)}
        if stats["control_plane.connected_state"] != 1:
            wrong["control_plane.connected_state"] = 0
        for name, value in stats.items():
            if name.endswith("update_rejected"):
                kind = next(short for prefix, short in REJECTED if name.startswith(prefix))
                # Each subscription of endpoints or routes counts the rejections of the type's stream since it began.
                if value != nacks[kind] if kind in {"cds", "lds"} else value and not nacks[kind]:
                    wrong[name] = f"{value}, but we had {nacks[kind]} NACKs"
        return wrong
