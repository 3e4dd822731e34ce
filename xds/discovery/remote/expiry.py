"""When credentials and certificates expire, read from these themselves."""

from __future__ import annotations

import base64
import re
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from xds.discovery.remote.findings import Result

if TYPE_CHECKING:
    from collections.abc import Mapping

SOON_DAYS: Final = 30
UTC_TIME: Final = 0x17
VERSION_TAG: Final = 0xA0
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class _Claims(msgspec.Struct):
    exp: float | None = None


def not_after(der: bytes) -> datetime:
    """Return when an X.509 certificate (RFC 5280, section 4.1) ends.

    Raises:
        ValueError: it is none.
    """
    try:
        _, at, _ = _read(der, 0)  # Certificate
        _, at, _ = _read(der, at)  # TBSCertificate
        for _ in range(4 if der[at] == VERSION_TAG else 3):  # version, which may be missing, serialNumber, signature, issuer
            _, _, at = _read(der, at)
        _, at, _ = _read(der, at)  # validity
        _, _, at = _read(der, at)  # notBefore
        tag, at, end = _read(der, at)
    except IndexError as error:
        raise ValueError("no certificate") from error
    form = "%y%m%d%H%M%SZ" if tag == UTC_TIME else "%Y%m%d%H%M%SZ"
    return datetime.strptime(der[at:end].decode("ascii"), form).replace(tzinfo=UTC)


def _read(der: bytes, at: int) -> tuple[int, int, int]:
    """Return (tag, where the content begins, where it ends) of the element at a place."""
    tag, length, begin = der[at], der[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7F
        length = int.from_bytes(der[begin : begin + size], "big")
        begin += size
    return tag, begin, begin + length


def pem_not_after(text: str) -> datetime:
    """Return when the first certificate of a PEM file ends.

    Raises:
        ValueError: there is none.
    """
    if not (found := _PEM.search(text)):
        raise ValueError("no certificate in PEM")
    return not_after(ssl.PEM_cert_to_DER_cert(found[0]))


def token_expiry(token: str) -> datetime | None:
    """Return when a token expires; None for one that does not, or does not say (RFC 7519: the claim `exp`)."""
    try:
        _, payload, _ = token.split(".")
        claims = msgspec.json.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), type=_Claims)
    except (ValueError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    return None if claims.exp is None else datetime.fromtimestamp(claims.exp, UTC)


def judged(what: str, ends: datetime, now: datetime) -> tuple[Result, str]:
    """Return what is to be said of something that expires."""
    left = ends - now
    day = ends.strftime("%Y-%m-%d")
    if left.total_seconds() <= 0:
        return Result.FAILED, f"{what} has expired on {day}"
    span = f"{left.days} days left" if left.days > 1 else f"{left.total_seconds() / 3600:.1f} hours left"
    return Result.WARNING if left.days < SOON_DAYS else Result.OK, f"{what}: {span}, until {day}"


def credentials(user: Mapping[str, Any], directory: Path | None, now: datetime) -> tuple[Result, str]:
    """Return what is to be said of the credentials of a kubeconfig's user."""
    if plugin := user.get("exec"):
        return Result.OK, f"by the plugin {plugin.get('command')}, which renews them"
    try:
        if certificate := _certificate(user, directory or Path()):
            return judged("client certificate", pem_not_after(certificate), now)
        if file := user.get("tokenFile"):
            ends = token_expiry(((directory or Path()) / file).read_text().strip())
            return (Result.FAILED, "the token in the file has expired") if ends and ends < now else (Result.OK, "token in a file")
    except (OSError, ValueError) as error:
        return Result.FAILED, f"cannot be read: {error}"
    if token := user.get("token"):
        ends = token_expiry(token)
        return judged("token", ends, now) if ends else (Result.OK, "token without an end")
    return Result.WARNING, "neither token nor certificate"


def _certificate(user: Mapping[str, Any], directory: Path) -> str:
    """Return the user's certificate as PEM; "" if there is none."""
    if data := user.get("client-certificate-data"):
        return base64.b64decode(data, validate=True).decode()
    file = user.get("client-certificate")
    return (directory / file).read_text() if file else ""
