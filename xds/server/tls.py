"""TLS for the xDS server: certificates from files, followed while the server runs.

gRPC asks for the certificates at each handshake, on a thread of its own; what it gets was read and checked before, so that
no handshake waits for a disk and none sees a pair that does not fit together.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc
import structlog

from xds.errors import XdsError
from xds.problems import Problem

if TYPE_CHECKING:
    from pathlib import Path

REREAD_S = 1.0
"""How often the files are read. Comparing three small files is cheaper than following every way in which they are replaced."""

_log = structlog.get_logger()


class CertificateError(XdsError):
    """The certificates cannot be used; the text names the file."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where the certificates are, all in PEM."""

    cert: Path
    """Our certificate, followed by those between it and its root."""
    key: Path
    """Its private key, not encrypted."""
    client_ca: Path | None = None
    """Roots of the clients' certificates; with them, a client without such a certificate is refused."""


@dataclass(frozen=True, slots=True)
class _Material:
    cert: bytes
    key: bytes
    client_ca: bytes | None


class Certificates:
    """The latest certificates that can be used.

    Args:
        files: where they are.

    Raises:
        CertificateError: a file cannot be read or used, or the key is not that of the certificate.
    """

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._material = _checked(files)
        self._problem: Problem | None = None

    def credentials(self) -> grpc.ServerCredentials:
        """Return credentials for one address: gRPC takes each new configuration from it once."""
        handed = self._material

        def newer() -> grpc.ServerCertificateConfiguration | None:
            nonlocal handed
            if (latest := self._material) is handed:
                return None
            handed = latest
            return _configuration(latest)

        return grpc.dynamic_ssl_server_credentials(
            _configuration(handed),
            newer,  # type: ignore[arg-type] # gRPC's documentation allows None, which means no change
            require_client_authentication=self._files.client_ca is not None,
        )

    def problems(self) -> tuple[Problem, ...]:
        """Return why the files as they are now are not used, if they are not."""
        return (self._problem,) if self._problem else ()

    async def follow(self) -> None:
        """Take new certificates as they appear, until cancelled; what cannot be used is a problem, and the old ones stay."""
        suspect = ""
        while True:
            await asyncio.sleep(REREAD_S)
            try:
                material = await asyncio.to_thread(_checked, self._files)
            except CertificateError as error:
                # Files are replaced one after the other: a pair is judged when it was found bad twice.
                if suspect == str(error):
                    self._keep(suspect)
                suspect = str(error)
                continue
            suspect, self._problem = "", None
            if material != self._material:
                self._material = material
                _log.info("certificates replaced", cert=str(self._files.cert))

    def _keep(self, reason: str) -> None:
        if self._problem and self._problem.message == reason:
            return
        hint = "until the files can be used, the certificates read before them are"
        self._problem = Problem("XDS0505", reason, hint=hint, source=str(self._files.cert))


def _configuration(material: _Material) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(material.key, material.cert)], material.client_ca)


def _checked(files: TlsFiles) -> _Material:
    """Read the files, and see that the bytes can be used.

    Raises:
        CertificateError: they cannot.
    """
    material = _read(files)
    _check_roots(files.cert, material.cert)
    if files.client_ca and material.client_ca is not None:
        _check_roots(files.client_ca, material.client_ca)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # Without a password at hand, OpenSSL would ask for one on the terminal.
        context.load_cert_chain(files.cert, files.key, password=lambda: "")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise CertificateError(f"the key in {files.key} does not belong to the certificate in {files.cert}") from error
        reason = f" ({error.reason})" if error.reason else ""
        text = f"{files.cert} and {files.key} cannot be used{reason}; the key must be a private key in PEM, not encrypted"
        raise CertificateError(text) from error
    except OSError as error:
        raise CertificateError(f"cannot read {files.cert} or {files.key}: {error.strerror}") from error
    if _read(files) != material:
        raise CertificateError(f"{files.cert} or {files.key} was replaced while it was read")
    return material


def _read(files: TlsFiles) -> _Material:
    cert, key = _bytes(files.cert), _bytes(files.key)
    return _Material(cert, key, _bytes(files.client_ca) if files.client_ca else None)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateError(f"cannot read {path}: {error.strerror}") from error


def _check_roots(path: Path, pem: bytes) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem.decode("ascii"))
    except (ssl.SSLError, UnicodeDecodeError) as error:
        raise CertificateError(f"{path} holds no certificate in PEM") from error
