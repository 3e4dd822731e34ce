"""What is asked of one API server to tell whether it can be a member: each probe yields findings, the first ones first."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec

from xds.discovery.live.api_server import UnreachableError
from xds.discovery.live.collection import Refusal
from xds.discovery.live.resources import ALWAYS_SERVED, find_served
from xds.discovery.remote.expiry import judged, not_after
from xds.discovery.remote.findings import Finding, Result
from xds.discovery.remote.networks import compare_range, read_pods
from xds.discovery.remote.rights import lacking, listed
from xds.model.cluster import CLUSTER_ID

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    from xds.discovery.live.api_server import ApiServer
    from xds.discovery.remote.networks import Pods
    from xds.discovery.remote.rights import Right
    from xds.model.kinds import Kind
    from xds.ranges import Network

SKEW_S: Final = 5.0
ALWAYS: Final = ALWAYS_SERVED | {"coordination.k8s.io"}
"""API groups that are there without any CRD."""
T = TypeVar("T")


class _Version(msgspec.Struct, rename="camel"):
    git_version: str = "a version that it does not tell"


class _Meta(msgspec.Struct):
    uid: str = ""


class _Spec(msgspec.Struct):
    value: str = ""


class _Named(msgspec.Struct):
    metadata: _Meta = msgspec.field(default_factory=_Meta)
    spec: _Spec = msgspec.field(default_factory=_Spec)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is expected of a cluster."""

    kinds: Sequence[Kind]
    rights: Sequence[Right]
    required: frozenset[str] = frozenset()
    """API groups that must be there; the kinds of others are read once their CRDs are."""
    remedy: str = ""
    """How rights are given."""
    is_member: bool = True
    """Whether it matters which cluster it is."""
    ranges: Sequence[Network] = ()
    """For clusterset IPs: nothing of it may have addresses of them."""


@dataclass(slots=True)
class Identity:
    """Which cluster it is."""

    uid: str = ""
    """Of its namespace kube-system."""
    cluster_id: str = ""
    """What its ClusterProperty says (KEP-2149)."""


class Probes:
    """Asks one API server.

    Args:
        name: of the cluster.
        server: the connection.
        cluster: of its kubeconfig.
        wanted: what is expected.
    """

    def __init__(self, name: str, server: ApiServer, cluster: Mapping[str, Any], wanted: Wanted) -> None:
        self.name = name
        self.identity = Identity()
        self.pods: list[Pods] = []
        """The addresses of pods, as its nodes say."""
        self._server = server
        self._cluster = cluster
        self._wanted = wanted
        self._groups: set[str] = set()
        self._version = ""

    async def run(self) -> AsyncIterator[Finding]:
        """Yield what there is to find.

        Raises:
            UnreachableError: nothing answers.
            Refusal: the server does not know who we are.
        """
        for finding in await self._reach():
            yield finding
        yield await self._certificate()
        yield await self._served()
        yield await self._rights()
        if self._wanted.is_member:
            yield await self._identify()
            self.pods = await read_pods(self._server, self.name)
            if self._wanted.ranges:
                yield await compare_range(self._server, self.name, self._wanted.ranges, self.pods)

    def _found(self, check: str, result: Result, found: str, remedy: str = "") -> Finding:
        return Finding(check, self.name, result, found, remedy if result is not Result.OK else "")

    async def _reach(self) -> list[Finding]:
        began_s = time.perf_counter()
        body, _ = await self._server.get_dated("/version")
        took_s = time.perf_counter() - began_s
        self._version = _decoded(body, _Version).git_version
        found = f"{self._server.url} answers in {took_s * 1000:.0f} ms, new connection included"
        _, date = await self._server.get_dated("/version")  # over a connection that is there
        return [self._found("reachable", Result.OK, found), self._clock(date)]

    def _clock(self, date: str) -> Finding:
        try:
            # The header has whole seconds: the server's clock is half a second on, on average.
            ahead_s = parsedate_to_datetime(date).timestamp() + 0.5 - datetime.now(UTC).timestamp()
        except ValueError:
            return self._found("clock", Result.WARNING, "it does not say what time it is", "set its clock, and ours, by NTP")
        if abs(ahead_s) <= 1:
            return self._found("clock", Result.OK, "as here, to a second")
        found = f"{abs(ahead_s):.0f} s {'ahead of' if ahead_s > 0 else 'behind'} the one here"
        result = Result.WARNING if abs(ahead_s) > SKEW_S else Result.OK
        return self._found("clock", result, found, "set both by NTP: tokens and certificates are not valid everywhere")

    async def _certificate(self) -> Finding:
        url = urlsplit(self._server.url)
        if url.scheme != "https":
            return self._found("certificate", Result.WARNING, "plain text, whoever is between reads the token", "use https")
        if self._cluster.get("proxy-url"):
            return self._found("certificate", Result.OK, "behind a proxy, not looked at")
        try:
            der = await _certificate_of(url.hostname or "", url.port or 443, str(self._cluster.get("tls-server-name") or ""))
            result, found = judged("server's certificate", not_after(der), datetime.now(UTC))
        except (OSError, ValueError) as error:
            return self._found("certificate", Result.WARNING, f"cannot be read: {error}", "look at the API server")
        if self._cluster.get("insecure-skip-tls-verify"):
            remedy = "put certificate-authority-data into the kubeconfig in place of insecure-skip-tls-verify"
            return self._found("certificate", Result.WARNING, f"{found}; not verified", remedy)
        return self._found("certificate", result, found, "renew it, e.g. with kubeadm certs renew")

    async def _served(self) -> Finding:
        """Look which kinds there are, in the versions that we read."""
        there: dict[str, list[str]] = defaultdict(list)
        missing: dict[str, list[Kind]] = defaultdict(list)
        other: list[str] = []
        try:
            for kind in self._wanted.kinds:  # one by one: of the hub's some share a name
                offer = await find_served(self._server, (kind,))
                if found := offer.served.get(kind.name):
                    there[found.version].append(self._called(kind))
                    self._groups.add(kind.group)
                else:
                    missing[kind.group].append(kind)
                    other += [f"{self._called(kind)} in {version}" for version in offer.unread.get(kind.name, ())]
        except (Refusal, UnreachableError) as error:
            return self._found("apis", Result.FAILED, f"cannot be looked at: {error}", "let it read /api and /apis")
        found_text = "; ".join([self._version, *(f"{version}: {_listed(names)}" for version, names in there.items())])
        if names := [name for group in sorted(missing) for name in self._missing(group, missing[group])]:
            found_text += f"; not installed: {_listed(names)}"
        if self._wanted.required & missing.keys():
            return self._found("apis", Result.FAILED, found_text, "install the CRDs of the MCS API")
        if other:
            return self._found("apis", Result.WARNING, f"{found_text} (but {', '.join(other)})", "update them, or Isthmus")
        return self._found("apis", Result.OK, found_text)

    def _called(self, kind: Kind) -> str:
        """Return a kind's name, with its group if another one has that name, too."""
        is_one = len({one.group for one in self._wanted.kinds if one.name == kind.name}) == 1
        return kind.name if is_one else f"{kind.name}.{kind.group}"

    def _missing(self, group: str, kinds: Iterable[Kind]) -> list[str]:
        """Return how to call what is missing of a group: the group itself if nothing of it is there."""
        return [self._called(kind) for kind in kinds] if group in self._groups | ALWAYS else [group]

    async def _rights(self) -> Finding:
        try:
            missing = await lacking(self._server, self._wanted.rights)
        except (Refusal, msgspec.DecodeError) as error:
            return self._found("rights", Result.WARNING, f"cannot be asked for: {error}", self._wanted.remedy)
        if not missing:
            return self._found("rights", Result.OK, f"all {len(self._wanted.rights)} that are needed")
        # What is not installed needs no rights yet.
        matters = any(right[0] in self._groups | ALWAYS for right in missing)
        result = Result.FAILED if matters else Result.WARNING
        number = f"{len(missing)} of {len(self._wanted.rights)} {'is' if len(missing) == 1 else 'are'} missing"
        return self._found("rights", result, f"{number}: may not {listed(missing)}", self._wanted.remedy)

    async def _identify(self) -> Finding:
        try:
            found = await self._server.get("/api/v1/namespaces/kube-system")
        except Refusal as error:
            remedy = "let it get namespaces: two names of one cluster are not noticed"
            return self._found("identity", Result.WARNING, f"cannot be told: {error}", remedy)
        self.identity.uid = _decoded(found, _Named).metadata.uid
        for version in ("v1beta1", "v1alpha1"):
            path = f"/apis/about.k8s.io/{version}/clusterproperties/{CLUSTER_ID}"
            self.identity.cluster_id = self.identity.cluster_id or await self._value(path)
        said = f"id {self.identity.cluster_id}, " if self.identity.cluster_id else ""
        return self._found("identity", Result.OK, f"{said}kube-system {self.identity.uid}")

    async def _value(self, path: str) -> str:
        """Return what a ClusterProperty says; "" if there is none, or none for us, which is a matter of rights."""
        try:
            return _decoded(await self._server.get(path), _Named).spec.value
        except Refusal:
            return ""


async def _certificate_of(host: str, port: int, server_name: str) -> bytes:
    """Return the certificate that a server shows, whether it is to be trusted or not: that is found out elsewhere."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    _, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=server_name or host)
    try:
        shown: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return shown
    finally:
        writer.close()


def _decoded(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise UnreachableError(f"it does not answer as an API server does: {error}") from error


def _listed(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names))  # two of the hub's kinds are one
