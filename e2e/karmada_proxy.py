"""What stands for Karmada's aggregated API server, which a plain API server with a CRD of Karmada's group lacks.

Karmada serves each member's API under `/apis/cluster.karmada.io/v1alpha1/clusters/NAME/proxy`. Here a proxy in front of the
hub's API server does: it asks the hub whether the caller may get `clusters/proxy`, and passes the request on to the member's own
API server with credentials that it was given. Karmada takes those from the Cluster, and acts in the member as the caller; that
is not played. Everything else is passed on to the hub as the caller. It reads only: list and watch.
"""

from __future__ import annotations

import base64
import re
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import trustme
import yaml
from aiohttp import web
from kubeconfigs import write_kubeconfig
from yarl import URL

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PROXIED = re.compile(r"/apis/cluster\.karmada\.io/v1alpha1/clusters/([^/]+)/proxy(/.*)")
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
PASSED_ON = ("Accept", "Accept-Encoding", "Authorization")
PASSED_BACK = ("Content-Type", "Content-Encoding", "Date")


@dataclass(frozen=True)
class _Target:
    """An API server."""

    url: str
    tls: ssl.SSLContext
    token: str

    @classmethod
    def of(cls, kubeconfig: Path) -> Self:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        return cls(cluster["server"], ssl.create_default_context(cadata=authority), user["token"])


class KarmadaProxy:
    """Serves HTTPS on a port of its own while its context is open.

    Args:
        hub: a kubeconfig of the hub; only where it is counts.
        members: name -> a kubeconfig with a token.
    """

    def __init__(self, hub: Path, members: Mapping[str, Path]) -> None:
        self.open = 0
        """Requests to members that are being answered: watches, most of the time."""
        self._hub = _Target.of(hub)
        self._members = {name: _Target.of(file) for name, file in members.items()}
        self._authority = trustme.CA()
        self._client: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=None)
        self._client = aiohttp.ClientSession(timeout=timeout, auto_decompress=False)
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0)
        await self._runner.setup()
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._authority.issue_cert("127.0.0.1").configure_cert(tls)
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=tls).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner
        assert self._client
        await self._runner.cleanup()
        await self._client.close()

    def kubeconfig(self, original: Path, file: Path) -> Path:
        """Write a kubeconfig of the same user that leads through here, and return it."""
        assert self._runner
        server = f"https://127.0.0.1:{self._runner.addresses[0][1]}"
        authority = base64.b64encode(self._authority.cert_pem.bytes()).decode()
        return write_kubeconfig(file, "hub", server=server, authority=authority, token=_Target.of(original).token)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
        found = PROXIED.fullmatch(request.rel_url.raw_path)
        if not found:
            return await self._pass_on(request, self._hub, request.rel_url.raw_path, headers)
        name, path = found.groups()
        if not await self._allows(headers.get("Authorization", ""), name):
            return _refusal(403, f'clusters.cluster.karmada.io "{name}" is forbidden: no rights to clusters/proxy')
        if name not in self._members:
            return _refusal(404, f'clusters.cluster.karmada.io "{name}" not found')
        self.open += 1
        try:
            member = self._members[name]
            return await self._pass_on(request, member, path, {**headers, "Authorization": f"Bearer {member.token}"})
        finally:
            self.open -= 1

    async def _allows(self, authorization: str, name: str) -> bool:
        """Return whether the hub lets the caller use the proxy of a cluster."""
        assert self._client
        wanted = {"group": "cluster.karmada.io", "resource": "clusters", "subresource": "proxy", "name": name, "verb": "get"}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": wanted},
        }
        headers = {"Authorization": authorization, "Accept-Encoding": "identity"}
        url = f"{self._hub.url}{REVIEWS}"
        async with self._client.post(url, json=review, headers=headers, ssl=self._hub.tls) as response:
            answer: dict[str, Any] = await response.json()
            return bool(answer.get("status", {}).get("allowed")) if response.status == 201 else False

    async def _pass_on(self, request: web.Request, target: _Target, path: str, headers: Mapping[str, str]) -> web.StreamResponse:
        """Ask a server the same, and give its answer back as it comes."""
        assert self._client
        query = f"?{request.rel_url.raw_query_string}" if request.rel_url.raw_query_string else ""
        url = URL(f"{target.url}{path}{query}", encoded=True)
        async with self._client.get(url, headers=headers, ssl=target.tls) as theirs:
            ours = web.StreamResponse(status=theirs.status)
            ours.headers.update({name: theirs.headers[name] for name in PASSED_BACK if name in theirs.headers})
            await ours.prepare(request)
            async for chunk in theirs.content.iter_any():
                await ours.write(chunk)
            await ours.write_eof()
            return ours


def _refusal(code: int, message: str) -> web.Response:
    status = {"apiVersion": "v1", "kind": "Status", "status": "Failure", "message": message, "code": code}
    return web.json_response(status, status=code)
