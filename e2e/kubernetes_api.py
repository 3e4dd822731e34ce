"""A client of one API server, for what the tests write: as a kubeconfig says, and with nothing hidden."""

from __future__ import annotations

import base64
import re
import ssl
import tempfile
from typing import TYPE_CHECKING, Any

import aiohttp
import yaml

if TYPE_CHECKING:
    from pathlib import Path

Object = dict[str, Any]
MANAGER = "e2e"
"""The field manager of everything that the tests apply."""
TIMEOUT_S = 10.0


class ApiError(Exception):
    """The API server said no."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class KubernetesApi:
    """Writes and reads objects of any kind as plain JSON values.

    Args:
        kubeconfig: a file with one cluster and one user, whose token or client certificate it holds.
    """

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.url: str = cluster["server"]
        self.authority: str = cluster["certificate-authority-data"]
        self._tls = _tls(self.authority, user)
        self._headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}

    async def apply(self, *objects: Object) -> list[Object]:
        """Create or change objects (server-side apply), and return them; what a schema does not know is an error."""
        query = {"fieldManager": MANAGER, "force": "true", "fieldValidation": "Strict"}
        kind = "application/apply-patch+yaml"
        return [await self.ask("PATCH", path_of(item), query=query, body=item, content_type=kind) for item in objects]

    async def patch_status(self, item: Object, status: Object) -> Object:
        """Change an object's status."""
        kind = "application/merge-patch+json"
        return await self.ask("PATCH", f"{path_of(item)}/status", body={"status": status}, content_type=kind)

    async def delete(self, *objects: Object) -> None:
        """Delete objects at once, if they are there: nobody is here to confirm that a pod has ended."""
        for item in objects:
            try:
                await self.ask("DELETE", path_of(item), query={"gracePeriodSeconds": "0"})
            except ApiError as error:
                if error.status != 404:
                    raise

    async def get(self, path: str, **query: str) -> Object:
        """Return a document."""
        return await self.ask("GET", path, query=query)

    async def answers(self, path: str = "/readyz") -> bool:
        """Return whether a GET of the path succeeds."""
        try:
            await self.get(path)
        except (ApiError, aiohttp.ClientError, OSError):
            return False
        return True

    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Any:
        """Make a request over a connection of its own, and return what the server answers.

        Raises:
            ApiError: it says no.
            aiohttp.ClientError: it cannot be reached.
        """
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        headers = {**self._headers, "Content-Type": content_type, "Accept": accept}
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
            session.request(method, f"{self.url}{path}", params=query, json=body, ssl=self._tls) as response,
        ):
            if "json" not in response.content_type:
                answer: Any = await response.text()
            else:
                answer = await response.json()
            if response.status >= 400:
                raise ApiError(response.status, answer["message"] if isinstance(answer, dict) else answer)
            return answer


def path_of(item: Object) -> str:
    """Return the path of an object: `/api/v1/namespaces/shop/services/web`."""
    meta = item["metadata"]
    return f"{collection(item['apiVersion'], item['kind'], meta.get('namespace', ''))}/{meta['name']}"


def collection(api_version: str, kind: str, namespace: str = "") -> str:
    """Return the path of all objects of a kind, in one namespace or, without it, in all."""
    name = kind.lower()
    plural = f"{name[:-1]}ies" if re.search("[^aeiou]y$", name) else f"{name}es" if name.endswith("ss") else f"{name}s"
    base = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    return f"{base}/namespaces/{namespace}/{plural}" if namespace else f"{base}/{plural}"


def _tls(authority: str, user: Object) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=base64.b64decode(authority).decode())
    if "client-certificate-data" in user:
        with tempfile.NamedTemporaryFile() as pair:  # the TLS library reads files
            for key in ("client-certificate-data", "client-key-data"):
                pair.write(base64.b64decode(user[key]))
            pair.flush()
            context.load_cert_chain(pair.name)
    return context
