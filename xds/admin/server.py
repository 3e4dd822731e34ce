"""The admin API's HTTP server: proto3 JSON under `/v1/`, probes and metrics. It changes nothing."""

from __future__ import annotations

import asyncio
import errno
from typing import TYPE_CHECKING

import structlog
from aiohttp import web
from prometheus_client.exposition import choose_encoder

from xds.admin import answers, explanations, loads, members, nacks, overrides, services, simulations, snapshots
from xds.admin.metrics import registry
from xds.errors import AddressError
from xds.model.traffic_objects import GateSpec
from xds.policy.explanation import QuestionError
from xds.policy.failures import FailureError
from xds.wire import admin

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from google.protobuf.message import Message

    from xds.admin.state import ControlPlane

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = structlog.get_logger()

RETRY_AFTER_S = 5
"""After which to ask again for a rehearsal while there is another."""

_REMEDIES = {
    errno.EADDRINUSE: "another program listens there; stop it or choose another port with --admin-address",
    errno.EACCES: "not permitted; choose a port above 1023",
    errno.EADDRNOTAVAIL: "no interface of this machine has that address",
}


class AdminAddressError(AddressError):
    """The admin API cannot listen there."""

    serves = "the admin API"


class AdminServer:
    """Serves the admin API of one control plane.

    Args:
        plane: what is looked at.
        address: `HOST:PORT` or `[IPV6]:PORT`; nothing else is bound. Port 0 takes any free one.
    """

    def __init__(self, plane: ControlPlane, address: str) -> None:
        self._address = address
        self._runner = web.AppRunner(_application(plane), access_log=None, shutdown_timeout=1.0)

    async def start(self) -> str:
        """Listen, and return the address with the port that was bound.

        Raises:
            AdminAddressError: the address cannot be listened on.
        """
        host, _, port = self._address.rpartition(":")
        if not (host and port.isascii() and port.isdecimal() and int(port) <= 65_535):
            raise AdminAddressError(self._address, "use HOST:PORT with a port from 0 to 65535, or [IPV6]:PORT")
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host.strip("[]"), int(port)).start()
        except OSError as error:
            await self._runner.cleanup()
            reason = _REMEDIES.get(error.errno or 0, str(error.strerror))
            raise AdminAddressError(self._address, reason) from error
        return f"{host}:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Close the listening socket and end every connection."""
        await self._runner.cleanup()


def _application(plane: ControlPlane) -> web.Application:
    handlers = _Handlers(plane)
    application = web.Application(middlewares=[_errors_as_json])
    application.add_routes(
        [
            web.get("/healthz", handlers.healthz),
            web.get("/readyz", handlers.readyz),
            web.get("/metrics", handlers.metrics),
            web.get("/v1/version", handlers.version),
            web.get("/v1/status", handlers.status),
            web.get("/v1/members", handlers.members),
            web.get("/v1/members/{name}", handlers.member),
            web.get("/v1/services", handlers.services),
            web.get("/v1/services/{namespace}/{name}", handlers.service),
            web.get("/v1/explain", handlers.explain),
            web.get("/v1/gate", handlers.gate),
            web.post("/v1/simulate", handlers.simulate),
            web.get("/v1/problems", handlers.problems),
            web.get("/v1/proxies", handlers.proxies),
            web.get("/v1/nacks", handlers.nacks),
            web.get("/v1/loads", handlers.loads),
            web.get("/v1/snapshots", handlers.snapshot_list),
            web.get("/v1/snapshots/{node}", handlers.snapshot),
            web.get("/v1/snapshots/{node}/history", handlers.history),
        ],
    )
    return application


class _Handlers:
    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self._registry = registry(plane)
        self._rehearsal: asyncio.Future[admin.Simulation] | None = None
        """The one that runs, or ran last: each takes a processor, and memory for two fleets, so that there is one at a time."""

    async def healthz(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def readyz(self, _: web.Request) -> web.Response:
        if reason := self._plane.not_ready:
            return _error(503, f"not ready: {reason}")
        return web.json_response({"status": "ok"})

    async def metrics(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._registry), headers={"Content-Type": content_type})

    async def version(self, _: web.Request) -> web.Response:
        return await _answer(answers.version())

    async def status(self, _: web.Request) -> web.Response:
        return await _answer(answers.status(self._plane))

    async def members(self, _: web.Request) -> web.Response:
        return await _answer(members.members(self._plane))

    async def member(self, request: web.Request) -> web.Response:
        return await _answer(members.member(self._plane, request.match_info["name"]))

    async def services(self, _: web.Request) -> web.Response:
        return await _answer(services.services(self._plane))

    async def service(self, request: web.Request) -> web.Response:
        found = request.match_info
        return await _answer(services.service(self._plane, found["namespace"], found["name"]))

    async def explain(self, request: web.Request) -> web.Response:
        query = request.query
        if unknown := set(query) - {"service", "from", "role"}:
            return _error(400, f"unknown parameter {min(unknown)!r}; known are service, from and role")
        view = explanations.view_of(self._plane.members, query.get("from", ""), query.get("role", ""), self._plane.streams())
        found = explanations.explanation(self._plane.fleet, self._plane.policies, query.get("service", ""), view)
        return await _answer(found)

    async def gate(self, request: web.Request) -> web.Response:
        known = ("cluster", "namespace", "policy", "tier")
        if unknown := set(request.query) - {*known}:
            return _error(400, f"unknown parameter {min(unknown)!r}; known are {', '.join(known)}")
        spec = GateSpec(**{name: request.query.get(name, "") for name in known})
        return await _answer(overrides.gate(self._plane.policies, spec))

    async def simulate(self, request: web.Request) -> web.Response:
        supposed = simulations.supposed(await request.text())
        if self._rehearsal is not None and not self._rehearsal.done():
            text = f"the control plane rehearses something else; ask again in {RETRY_AFTER_S} s"
            return _error(503, text, headers={"Retry-After": str(RETRY_AFTER_S)})
        # The worlds that are compared are made of what this one was told, in another thread: this one goes on.
        told = [*self._plane.fleet.told(), *self._plane.policies.told()]
        self._rehearsal = asyncio.ensure_future(asyncio.to_thread(simulations.simulation, told, supposed))
        # Who asks and goes away leaves the thread running, and it counts until it ends.
        return await _answer(await asyncio.shield(self._rehearsal))

    async def problems(self, _: web.Request) -> web.Response:
        return await _answer(answers.problems(self._plane.problems()))

    async def proxies(self, _: web.Request) -> web.Response:
        return await _answer(answers.proxies(self._plane))

    async def nacks(self, request: web.Request) -> web.Response:
        return await self._of_node(nacks.nacks, request)

    async def loads(self, request: web.Request) -> web.Response:
        return await self._of_node(loads.loads, request)

    async def _of_node(self, answer: Callable[[ControlPlane, str], Message], request: web.Request) -> web.Response:
        if unknown := set(request.query) - {"node"}:
            return _error(400, f"unknown parameter {min(unknown)!r}; known is node")
        return await _answer(answer(self._plane, request.query.get("node", "")))

    async def snapshot_list(self, _: web.Request) -> web.Response:
        return await _answer(snapshots.summaries(self._plane))

    async def snapshot(self, request: web.Request) -> web.Response:
        query = request.query
        if unknown := set(query) - {"version", "type", "name"}:
            return _error(400, f"unknown parameter {min(unknown)!r}; known are version, type and name")
        found = snapshots.find(self._plane, request.match_info["node"], query.get("version", ""))
        excerpt = await asyncio.to_thread(snapshots.excerpt, found, query.get("type", ""), query.get("name", ""))
        # Envoy's own defaults are left out: they would bury what was really set.
        return await _answer(excerpt, defaults=False)

    async def history(self, request: web.Request) -> web.Response:
        return await _answer(snapshots.history(self._plane, request.match_info["node"]))


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except (snapshots.NotFoundError, snapshots.AmbiguousError, QuestionError, FailureError) as error:
        return _error(getattr(error, "status", 404), str(error))
    except web.HTTPNotFound:
        paths = sorted({resource.canonical for resource in request.app.router.resources()})
        return _error(404, f"nothing is at {request.path}; there are {', '.join(paths)}")
    except web.HTTPMethodNotAllowed as error:
        return _error(405, f"{error.method} is not allowed here: the admin API is read-only", headers={"Allow": "GET, HEAD"})
    except web.HTTPException as error:
        return _error(error.status, error.reason)
    except Exception:  # noqa: BLE001 - whatever it is, the client gets an answer and the log the traceback
        _log.exception("admin request failed", path=request.path)
        return _error(500, "the control plane failed to answer; its log says why")


async def _answer(message: Message, *, defaults: bool = True) -> web.Response:
    # A thousand services take most of a second to become JSON; endpoints must not wait for that.
    text = await asyncio.to_thread(answers.to_json, message, defaults=defaults)
    return web.Response(text=text, content_type="application/json")


def _error(status: int, text: str, headers: dict[str, str] | None = None) -> web.Response:
    body = answers.to_json(admin.Error(error=text))
    return web.Response(status=status, text=body, content_type="application/json", headers=headers)
