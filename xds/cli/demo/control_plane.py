"""The control plane as a child process: `xdsctl serve` on free ports."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import TYPE_CHECKING, Any

from xds.cli.demo.envoy import http_get
from xds.cli.demo.processes import Child, ChildError, free_port

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

XDSCTL = (sys.executable, "-P", "-c", "from xds.cli.main import main; main()")
"""`xdsctl` of this environment, whatever PATH says."""


class ControlPlaneProcess(Child):
    """`xdsctl serve`; after a stop or a kill, `start` brings it back on the same addresses.

    Args:
        clusters: the directory of manifests; None if the arguments say what else is read.
        log: where its output goes.
        arguments: further arguments of `serve`.
    """

    def __init__(self, clusters: Path | None, log: Path, arguments: Sequence[str] = ()) -> None:
        self.xds_address = f"127.0.0.1:{free_port()}"
        self.admin_address = f"127.0.0.1:{free_port()}"
        addresses = ("--xds-address", self.xds_address, "--admin-address", self.admin_address)
        files = ("--clusters", str(clusters)) if clusters else ()
        super().__init__("the control plane", (*XDSCTL, "serve", *files, *addresses, *arguments), log)

    async def wait_ready(self, *, timeout_s: float = 20.0) -> float:
        """Return the seconds until it serves, counted from this call.

        Raises:
            ChildError: it ended, or isn't ready in time.
        """
        began_s = time.monotonic()
        while not await self._is_ready():
            self.check()
            if time.monotonic() - began_s > timeout_s:
                raise ChildError(f"{self.name} is not ready after {timeout_s:g} s{self.log_tail()}")
            await asyncio.sleep(0.02)
        return time.monotonic() - began_s

    async def admin(self, path: str) -> Any:
        """Return the decoded JSON of an admin API path, e.g. `/v1/proxies`.

        Raises:
            OSError: it does not answer, or not with status 200.
        """
        status, body = await asyncio.to_thread(http_get, self.admin_address, path)
        if status != 200:
            raise ConnectionError(f"{self.admin_address}{path}: status {status}: {body[:500]}")
        return json.loads(body)

    async def metrics(self) -> dict[str, float]:
        """Return `/metrics`: sample name with labels -> value."""
        _, body = await asyncio.to_thread(http_get, self.admin_address, "/metrics")
        samples = (line.rpartition(" ") for line in body.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in samples}

    async def _is_ready(self) -> bool:
        try:
            status, _ = await asyncio.to_thread(http_get, self.admin_address, "/readyz")
        except OSError:
            return False
        return status == 200
