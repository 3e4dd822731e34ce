"""One API server, as a kubeconfig says how to reach it: GET a document, or the lines of a watch.

Transport, authentication, proxies and TLS are those of `kubernetes.aio`; decoding is ours, since its models take forty times as
long. What goes wrong is one of two errors: the server refuses (`Refusal`), or cannot be reached (`UnreachableError`).
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import msgspec
from aiohttp.http_exceptions import HttpProcessingError
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import ConfigException
from kubernetes.aio.config.kube_config import KubeConfigLoader

from xds.discovery.live.collection import Refusal
from xds.discovery.live.exec_plugin import run_plugin
from xds.discovery.live.kubeconfig import cluster_of, user_of, with_user
from xds.errors import ConfigurationError, XdsError
from xds.undecodable import UNDECODABLE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable
    from pathlib import Path

CONNECT_S: Final = 10.0
READ_S: Final = 30.0
"""Without a byte, while a document is read."""
LINE_BYTES: Final = 8 * 1024 * 1024
"""The longest line of a watch; etcd takes objects of 1.5 MiB."""
WATCHES: Final = 100
"""Connections to one API server, at most."""


class UnreachableError(XdsError):
    """An API server cannot be reached, or says nothing: why, in words."""


class _Status(msgspec.Struct):
    message: str = ""


class ApiServer:
    """A connection pool to one API server."""

    def __init__(self, configuration: Configuration) -> None:
        configuration.connection_pool_maxsize = WATCHES
        configuration.retries = None  # who asks decides when to ask again
        self._client = ApiClient(configuration=configuration)
        self.url: str = configuration.host

    @classmethod
    async def connect(
        cls, kubeconfig: dict[str, Any], *, context: str, base_path: Path | None = None, scratch: Path | None = None
    ) -> ApiServer:
        """Make one from the content of a kubeconfig; nothing is sent yet, but an exec plugin is run.

        Args:
            kubeconfig: as parsed.
            context: which of its contexts.
            base_path: where its relative paths begin.
            scratch: where inline certificates may be written: the TLS library reads files.

        Raises:
            ConfigurationError: the kubeconfig, or what it refers to, cannot be used.
        """
        user = user_of(kubeconfig, context)
        if isinstance(plugin := user.get("exec"), dict):
            found = await run_plugin(plugin, cluster_of(kubeconfig, context), str(base_path or ""))
            kubeconfig = with_user(kubeconfig, context, {key: value for key, value in user.items() if key != "exec"} | found)
        configuration = type.__call__(Configuration)  # a call of the class itself would copy the process's default
        try:
            loader = KubeConfigLoader(  # type: ignore[no-untyped-call]
                kubeconfig,
                active_context=context,
                config_base_path=str(base_path) if base_path else "",
                temp_file_path=str(scratch) if scratch else None,
            )
            await loader.load_and_set(configuration)  # type: ignore[no-untyped-call]
            if token := configuration.api_key.get("BearerToken"):
                configuration.api_key["BearerToken"] = token.strip()  # a file often ends with a newline, a header must not
            return cls(configuration)
        except (ConfigException, OSError, ssl.SSLError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise ConfigurationError(f"context {context!r} cannot be used: {_first_line(error)}") from error

    async def close(self) -> None:
        """Close every connection."""
        await self._client.close()  # type: ignore[no-untyped-call]

    async def get(self, path: str, query: Iterable[tuple[str, str]] = (), *, read_s: float = READ_S) -> bytes:
        """Return a document.

        Args:
            path: of the document.
            query: its parameters.
            read_s: after so long without a byte the server is taken to be unreachable.

        Raises:
            Refusal: the server says no.
            UnreachableError: it cannot be reached.
        """
        async with self._response(path, query, read_s=read_s) as response, _reaching(self.url):
            body: bytes = await response.read()
            return body

    async def get_dated(self, path: str) -> tuple[bytes, str]:
        """Return a document, and what time it is for the server (its header `Date`); fails as `get` does."""
        async with self._response(path, (), read_s=READ_S) as response, _reaching(self.url):
            return await response.read(), response.headers.get("Date", "")

    async def send(
        self, method: str, path: str, body: Any, query: Iterable[tuple[str, str]] = (), *, content_type: str = "application/json"
    ) -> bytes:
        """Write something, and return what the server answers.

        Raises:
            Refusal: the server says no.
            UnreachableError: it cannot be reached.
        """
        writing = {"method": method, "body": body, "content_type": content_type}
        async with self._response(path, query, read_s=READ_S, **writing) as response, _reaching(self.url):
            answer: bytes = await response.read()
            return answer

    async def lines(self, path: str, query: Iterable[tuple[str, str]], *, silence_s: float) -> AsyncGenerator[list[bytes]]:
        """Yield the lines of a watch until the server ends it, together what has come together.

        Args:
            path: of the collection.
            query: that makes it a watch.
            silence_s: after so long without a byte the connection is taken to be dead.

        Raises:
            Refusal: the server says no.
            UnreachableError: it cannot be reached, or the connection broke.
        """
        async with self._response(path, query, read_s=silence_s) as response, _reaching(self.url):
            rest = b""
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                if len(rest) > LINE_BYTES:
                    raise UnreachableError(f"{self.url} sends a line of more than {LINE_BYTES:,} bytes")
                if found := [line for line in lines if line.strip()]:
                    yield found
            if rest:
                raise UnreachableError(f"the connection to {self.url} broke within a line")

    @asynccontextmanager
    async def _response(
        self,
        path: str,
        query: Iterable[tuple[str, str]],
        *,
        read_s: float,
        method: str = "GET",
        body: Any = None,
        content_type: str = "application/json",
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=read_s)
        headers = {"Accept": "application/json", "Content-Type": content_type}
        async with _reaching(self.url):
            prepared = await self._client.param_serialize(
                method, path, query_params=list(query), header_params=headers, body=body, auth_settings=["BearerToken"]
            )
            call: Any = self._client.call_api  # the types of the generated client are narrower than what it takes
            answer = await call(*prepared, _request_timeout=timeout)
        response: aiohttp.ClientResponse = answer.response
        try:
            if response.status >= 400:
                async with _reaching(self.url):
                    body = await response.read()
                raise Refusal(response.status, _message(body) or response.reason or "no reason given")
            yield response
        finally:
            response.close()


@asynccontextmanager
async def _reaching(url: str) -> AsyncIterator[None]:
    """Map what the transport raises to one error, in words that tell the user what to look at."""
    try:
        yield
    except TimeoutError as error:
        raise UnreachableError(f"{url} did not answer in time") from error
    except aiohttp.ClientConnectorCertificateError as error:
        raise UnreachableError(f"the certificate of {url} is not accepted: {_first_line(error.certificate_error)}") from error
    except aiohttp.ClientConnectorError as error:
        raise UnreachableError(f"cannot connect to {url}: {_first_line(error.os_error)}") from error
    # ValueError and HttpProcessingError: what the server sends cannot be parsed, or is a line without end.
    except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError, HttpProcessingError, ValueError) as error:
        raise UnreachableError(f"the connection to {url} broke: {_first_line(error)}") from error


def _message(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_Status).message
    except UNDECODABLE:
        return body[:200].decode(errors="replace").strip()


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0] or type(error).__name__
