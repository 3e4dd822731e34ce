"""A Kubernetes API server on loopback, for tests: lists, watches and discovery of a `Store`, and everything that goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING

import yaml
from aiohttp import web
from fake_objects import answer_object
from fake_store import Answer, Resource, Store, Watch

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from pathlib import Path

BOOKMARK_S = 60
Fault = "Callable[[str, dict[str, str]], Answer | None]"


class FakeApiServer:
    """Serves a store; what it does wrong is set on it while it runs."""

    def __init__(self, store: Store | None = None, *, token: str = "secret", tls: ssl.SSLContext | None = None) -> None:
        self.store = store or Store()
        self.token = token
        """The bearer token that is accepted; another one is answered with 401."""
        self.forbidden: set[str] = set()
        self.ready = True
        """What `/readyz` says."""
        """Kinds that nobody may read: 403; `VERB RESOURCE` is what a SelfSubjectAccessReview denies."""
        self.fault: Callable[[str, dict[str, str]], Answer | None] | None = None
        """May answer instead, given path and query; None lets the server do so."""
        self.silent = False
        """Whether requests and watches wait, as with a process that is stopped."""
        self.gone_as_status = False
        """Whether a watch from a compacted version is refused at once, rather than with an event."""
        self.requests: list[str] = []
        """Path and query of every request."""
        self.port = 0
        self._tls = tls
        self._runner: web.AppRunner | None = None
        self._wake = asyncio.Event()
        self._watches: dict[asyncio.Task, tuple[Watch, web.StreamResponse, web.Request]] = {}
        self._connections: set = set()
        self.store.listeners.append(self.wake)

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def watches(self) -> int:
        """How many watches are open."""
        return len(self._watches)

    async def start(self) -> FakeApiServer:
        """Listen: at first on any port, later on the same one."""
        app = web.Application(middlewares=[self._guarded])
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0, handle_signals=False)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self._tls, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def stop(self) -> None:
        """Die: connections are refused, open ones break."""
        if self._runner:
            runner, self._runner = self._runner, None
            for site in [*runner.sites]:
                await site.stop()
            self.close_connections()
            for task in [*self._watches]:  # which wait for changes, and would let the cleanup wait for them
                task.cancel()
            await self._until_no_watch()
            await runner.cleanup()

    def resume(self) -> None:
        """Be silent no longer, to those who wait either."""
        self.silent = False
        self.wake()

    def wake(self) -> None:
        """Let watches see what has changed."""
        wake, self._wake = self._wake, asyncio.Event()
        wake.set()

    # Faults of connections

    def close_connections(self) -> None:
        """Break every connection."""
        for transport in [*self._connections]:
            transport.abort()
        self._connections.clear()

    async def cut_watches(self) -> None:
        """Break every watch in the middle of a line."""
        for _, response, request in [*self._watches.values()]:
            with contextlib.suppress(ConnectionError):
                await response.write(b'{"type":"ADDED","object":{"kind":"Serv')
            if request.transport:
                request.transport.abort()
        self.wake()  # they find out when they write
        for watch, _, _ in self._watches.values():
            watch.bookmark()
        await self._until_no_watch()

    async def end_watches(self) -> None:
        """End every watch properly, as a server does that is told to stop."""
        for task in [*self._watches]:
            task.cancel()
        await self._until_no_watch()

    def say(self, line: bytes) -> None:
        """Send a line on every watch."""
        for watch, _, _ in self._watches.values():
            watch._waiting.append(line)
        self.wake()

    def bookmark(self) -> None:
        """Send a bookmark on every watch."""
        for watch, _, _ in self._watches.values():
            watch.bookmark()
        self.wake()

    async def restore(self, saved) -> None:
        """Stop, go back to a backup, start."""
        await self.stop()
        self.store.restore(saved)
        await self.start()

    async def _until_no_watch(self) -> None:
        if self._watches:
            await asyncio.wait([*self._watches])

    # Kubeconfigs

    def kubeconfig(self, file: Path, *contexts: str, others: dict[str, FakeApiServer] | None = None, **cluster) -> Path:
        """Write a kubeconfig with contexts for this server, and some for others."""
        servers = {**dict.fromkeys(contexts, self), **(others or {})}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": {"server": one.url, **cluster}} for name, one in servers.items()],
            "users": [{"name": name, "user": {"token": one.token}} for name, one in servers.items()],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}} for name in servers],
        }
        scratch = file.with_name(f".{file.name}")
        scratch.write_text(yaml.safe_dump(content))
        scratch.replace(file)
        return file

    # Answers

    @web.middleware
    async def _guarded(self, request: web.Request, handler) -> web.StreamResponse:
        self.requests.append(request.path_qs)
        if request.transport:  # else it was broken before we came here
            self._connections.add(request.transport)
        while self.silent:
            await self._wake.wait()
        if fault := self.fault and self.fault(request.path, dict(request.query)):
            return _response(fault)
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return _response(self.store.status(401, "Unauthorized", "Unauthorized"))
        return await handler(request)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/readyz":
            return web.Response(status=200 if self.ready else 500, text="ok" if self.ready else "[-]poststarthook/rbac failed")
        document = self._discover(request.path)
        if document is not None:
            return _response(Answer(200, json.dumps(document).encode()))
        for resource in self.store.resources.values():
            if resource.path == request.path:
                return await self._collection(request, resource)
        if answer := answer_object(self, request.method, request.path, dict(request.query), await request.read()):
            return _response(answer)
        return web.Response(status=404, text="404 page not found\n")

    def _discover(self, path: str) -> dict | None:
        resources = [*self.store.resources.values()]
        match path.strip("/").split("/"):
            case ["version"]:
                return {"major": "1", "minor": "37", "gitVersion": "v1.37.2"}
            case ["api", "v1"]:
                return self._resource_list("v1", [one for one in resources if not one.group])
            case ["apis"]:
                groups = sorted({one.group for one in resources if one.group})
                return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [self._group(group) for group in groups]}
            case ["apis", group] if any(one.group == group for one in resources):
                return self._group(group)
            case ["apis", group, version]:
                found = [one for one in resources if (one.group, one.version) == (group, version)]
                return self._resource_list(f"{group}/{version}", found) if found else None
        return None

    def _group(self, group: str) -> dict:
        versions = sorted({one.version for one in self.store.resources.values() if one.group == group})
        offered = [{"groupVersion": f"{group}/{version}", "version": version} for version in versions]
        return {"kind": "APIGroup", "apiVersion": "v1", "name": group, "versions": offered, "preferredVersion": offered[0]}

    @staticmethod
    def _resource_list(group_version: str, resources: list[Resource]) -> dict:
        verbs = ["create", "delete", "get", "list", "patch", "update", "watch"]
        listed = [
            {"name": one.plural, "singularName": "", "namespaced": one.namespaced, "kind": one.api_kind, "verbs": verbs}
            for one in resources
        ]
        listed += [{**one, "name": f"{one['name']}/status", "verbs": ["get", "patch", "update"]} for one in listed]
        return {"kind": "APIResourceList", "groupVersion": group_version, "resources": listed}

    async def _collection(self, request: web.Request, resource: Resource) -> web.StreamResponse:
        query = dict(request.query)
        if resource.kind in self.forbidden:
            verb = "watch" if "watch" in query else "list"
            message = (
                f'{resource.plural} is forbidden: User "isthmus" cannot {verb} resource "{resource.plural}" at the cluster scope'
            )
            return _response(self.store.status(403, "Forbidden", message))
        if query.get("watch") != "true":
            return _response(self.store.list_page(resource.kind, query))
        watch = self.store.watch(resource.kind, query)
        if isinstance(watch, Answer):
            return _response(watch)
        if watch.is_over and self.gone_as_status:
            return _response(self.store.status(410, "Expired", "too old resource version"))
        return await self._stream(request, watch, float(query.get("timeoutSeconds", 300)))

    async def _stream(self, request: web.Request, watch: Watch, timeout_s: float) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        task = asyncio.current_task()
        self._watches[task] = (watch, response, request)
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_s
        try:
            while True:
                wake = self._wake
                for line in [] if self.silent else watch.lines():
                    await response.write(line)
                left_s = deadline_s - loop.time()
                if left_s < 0.001 or watch.is_over:  # a shorter wait would end at once, and virtual time stand still
                    break
                try:
                    async with asyncio.timeout(min(left_s, BOOKMARK_S)):
                        await wake.wait()
                except TimeoutError:
                    watch.bookmark()
        except asyncio.CancelledError:
            if self._runner is None:  # dies
                raise
        except ConnectionError:  # who watched is gone
            return response
        finally:
            del self._watches[task]
        with contextlib.suppress(ConnectionError):
            await response.write_eof()
        return response


def _response(answer: Answer) -> web.Response:
    return web.Response(status=answer.status, body=answer.body, content_type="application/json")
