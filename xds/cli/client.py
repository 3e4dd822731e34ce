"""The admin API, asked by xdsctl with nothing but the standard library, so that it starts quickly."""

from __future__ import annotations

import http.client
import json
import time
from typing import Any
from urllib.parse import quote, urlencode

from xds.errors import XdsError

TIMEOUT_S = 30.0
"""Enough for the whole snapshot of thousands of services."""


TRIES = 12
"""How often something is asked that the control plane is too busy for; with its pauses, for a minute."""
UNAVAILABLE = 503


class UnreachableError(XdsError):
    """Nothing that speaks the admin API answers at the address."""

    exit_code = 2


class RefusedError(XdsError):
    """What was asked for does not exist, e.g. there is no such node."""

    exit_code = 65


class Client:
    """Asks one control plane.

    Args:
        address: `HOST:PORT` of its admin API.
    """

    def __init__(self, address: str) -> None:
        self.address = address

    def items(self, path: str) -> list[dict[str, Any]]:
        """Return the items of a list, e.g. of `/v1/members`."""
        found: list[dict[str, Any]] = self.get(path)["items"]
        return found

    def snapshot(self, node: str, *, version: str = "", type_name: str = "", name: str = "") -> dict[str, Any]:
        """Return the snapshot of a node or view, or the part of it that is asked for."""
        query = {"version": version, "type": type_name, "name": name}
        return self.get(f"/v1/snapshots/{quote(node, safe='')}", {key: value for key, value in query.items() if value})

    def history(self, node: str) -> dict[str, Any]:
        """Return the kept revisions of the snapshot of a node or view, oldest first."""
        return self.get(f"/v1/snapshots/{quote(node, safe='')}/history")

    def nacks(self, node: str = "") -> dict[str, Any]:
        """Return what nodes, or one of them, rejected and are not sent again."""
        return self.get("/v1/nacks", {"node": node} if node else None)

    def get(self, path: str, query: dict[str, str] | None = None, *, body: str | None = None) -> dict[str, Any]:
        """Return the decoded answer.

        Args:
            path: of what is asked for.
            query: parameters.
            body: what to suppose, where the answer depends on more than parameters can say.

        Raises:
            UnreachableError: nobody, or somebody else, answers at the address.
            RefusedError: the control plane answers that it cannot do this.
        """
        url = f"{path}?{urlencode(query)}" if query else path
        try:
            status, text = self._answer(url, body)
        except OSError as error:
            reason = error.strerror or error
            raise UnreachableError(
                f"no control plane answers at {self.address} ({reason}); "
                "start one with `xdsctl serve`, or say where it is with --admin-address or XDS_ADMIN_ADDRESS",
            ) from error
        except http.client.HTTPException as error:
            raise UnreachableError(f"{self.address} is not the admin API of a control plane; {_guess(str(error))}") from error
        try:
            answer: dict[str, Any] = json.loads(text)
        except ValueError as error:
            raise UnreachableError(f"{self.address} is not the admin API of a control plane; {_guess()}") from error
        if status == 200:
            return answer
        if 400 <= status < 500:
            raise RefusedError(str(answer.get("error", f"{self.address} answered with status {status}")))
        raise XdsError(str(answer.get("error", f"{self.address} answered with status {status}")))

    def _answer(self, url: str, body: str | None) -> tuple[int, bytes]:
        """Ask, and ask again later if the control plane says when: it does one rehearsal at a time."""
        for number in range(1, TRIES + 1):
            status, text, retry_after_s = self._ask(url, body)
            if not retry_after_s or number == TRIES:
                break
            time.sleep(retry_after_s)
        return status, text

    def _ask(self, url: str, body: str | None) -> tuple[int, bytes, int]:
        """Return status, text, and after how many seconds to ask again, 0 if not at all."""
        host, _, port = self.address.rpartition(":")
        connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=TIMEOUT_S)
        try:
            connection.request("POST" if body is not None else "GET", url, body)
            response = connection.getresponse()
            retry_after = response.getheader("Retry-After", "") if response.status == UNAVAILABLE else ""
            return response.status, response.read(), int(retry_after) if retry_after.isdecimal() else 0
        finally:
            connection.close()


def _guess(answer: str = "") -> str:
    """Return what may be wrong with the address: a gRPC server begins with an HTTP/2 frame, whose first byte is 0."""
    if answer.startswith("\0"):
        return "that looks like the xDS port, and the admin API is usually on 19000; see --admin-address"
    return "see --admin-address"
