"""Kubeconfigs as values: made of a registry's fields, or taken from an object and made safe."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from xds.discovery.document import DocumentError, text_of
from xds.discovery.yaml_documents import yaml_documents
from xds.errors import XdsError

if TYPE_CHECKING:
    from collections.abc import Mapping

Kubeconfig = dict[str, Any]
NAME = "cluster"
UNSAFE_USER = frozenset(("exec", "auth-provider", "tokenFile", "client-certificate", "client-key"))
"""What runs a program, or reads a file of ours: whoever may write an object could use our rights."""
UNSAFE_CLUSTER = frozenset(("certificate-authority",))


class CredentialError(XdsError):
    """What a registry holds is no way to reach an API server: what is wrong, and the remedy."""


def of_parts(cluster: Mapping[str, Any], user: Mapping[str, Any]) -> Kubeconfig:
    """Return the kubeconfig of one cluster and one user."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": NAME, "cluster": {key: value for key, value in cluster.items() if value}}],
        "users": [{"name": NAME, "user": {key: value for key, value in user.items() if value}}],
        "contexts": [{"name": NAME, "context": {"cluster": NAME, "user": NAME}}],
        "current-context": NAME,
    }


def of_text(text: str | bytes) -> Kubeconfig:
    """Return the kubeconfig in a text that comes from an object, its current context alone.

    Raises:
        CredentialError: it is none, or it would run a program or read a file here.
    """
    try:
        content = content_of(text if isinstance(text, bytes) else text.encode())
    except DocumentError as error:
        raise CredentialError(f"it cannot be read: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("contexts"), list) or not content["contexts"]:
        raise CredentialError("it is no kubeconfig: it has no contexts")
    current = content.get("current-context") or _name(content["contexts"][0])
    context = _named(content, "contexts", current)
    cluster = _named(content, "clusters", context.get("cluster"))
    user = _named(content, "users", context.get("user"))
    unsafe = sorted((UNSAFE_USER & user.keys()) | (UNSAFE_CLUSTER & cluster.keys()))
    if unsafe:
        raise CredentialError(
            f"it has `{unsafe[0]}`, which is not taken from an object: it may run a program, or read a file, with our rights; "
            "use a token or inline certificates"
        )
    if not isinstance(cluster.get("server"), str):
        raise CredentialError(f"its cluster {context.get('cluster')!r} has no `server`")
    return of_parts(cluster, user)


def content_of(text: bytes) -> Any:
    """Return what stands in a kubeconfig: plain data, as for kubectl; None if it is empty.

    Raises:
        DocumentError: it is no YAML, or holds what JSON cannot.
    """
    documents = yaml_documents(text_of(text)).documents
    return documents[0].value if documents else None


def decoded(text: str, what: str) -> bytes:
    """Return a Secret's value.

    Raises:
        CredentialError: it is no base64.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise CredentialError(f"{what} is no base64") from error


def _named(content: dict[str, Any], key: str, name: object) -> dict[str, Any]:
    """Return what an entry of a list names: a context, a cluster, or a user."""
    entries = content.get(key)
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and entry.get("name") == name:
            found = entry.get(key[:-1]) or {}
            if not isinstance(found, dict):
                raise CredentialError(f"`{key[:-1]}` of entry {name!r} in `{key}` is no mapping")
            return found
    raise CredentialError(f"it has no entry {name!r} in `{key}`")


def _name(entry: object) -> object:
    return entry.get("name") if isinstance(entry, dict) else None
