"""Kubeconfig files: which clusters they name, each a member, and what changes in them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from xds.discovery.document import DocumentError
from xds.discovery.registry.kubeconfigs import content_of
from xds.errors import ConfigurationError
from xds.problems import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LABEL_CHARS: Final = 63


@dataclass(frozen=True, slots=True)
class Context:
    """One context of a kubeconfig file: a member."""

    member: str
    """The context's name as an RFC 1123 label."""
    file: Path
    name: str


@dataclass(frozen=True, slots=True)
class Kubeconfig:
    """A file's content."""

    content: dict[str, Any]
    digest: bytes
    directory: Path
    """Where its relative paths begin."""

    @property
    def contexts(self) -> list[str]:
        """The names of its contexts, in order."""
        return [one["name"] for one in self.content["contexts"]]


def read_kubeconfig(file: Path) -> Kubeconfig:
    """Read a file.

    Raises:
        ConfigurationError: it cannot be read, or is no kubeconfig.
    """
    try:
        text = file.read_bytes()
        content = content_of(text)
    except OSError as error:
        raise ConfigurationError(f"cannot read the kubeconfig {file}: {error.strerror}") from error
    except DocumentError as error:
        raise ConfigurationError(f"the kubeconfig {file} cannot be read: {error}") from error
    # As for kubectl, the kind may be missing; then at least something else has to be that of a kubeconfig.
    if not isinstance(content, dict) or content.get("kind", "Config" if "contexts" in content else "") != "Config":
        raise ConfigurationError(f"{file} is no kubeconfig: it lacks `kind: Config`")
    for key in ("clusters", "contexts", "users"):
        entries = content.get(key) or []
        if not isinstance(entries, list) or not all(
            isinstance(one, dict) and isinstance(one.get("name"), str) for one in entries
        ):
            raise ConfigurationError(f"{file}: {key} must be a list of entries with names")
        content[key] = entries
    return Kubeconfig(content, hashlib.blake2b(text, digest_size=16).digest(), file.resolve().parent)


def chosen_contexts(files: Sequence[Path], names: Iterable[str]) -> list[Context]:
    """Return the contexts that are to be members: those named, or else every one of the files.

    Raises:
        ConfigurationError: a file cannot be used, no file has a context of that name, or two contexts have one name as members.
    """
    offered = [(file, name) for file in files for name in read_kubeconfig(file).contexts]
    wanted = list(dict.fromkeys(names))
    known = {name for _, name in offered}
    for name in wanted:
        if name not in known:
            hint = did_you_mean(name, known) or f"there are {', '.join(sorted(known)) or 'none'}"
            raise ConfigurationError(f"no kubeconfig has a context {name!r}; {hint}")
    if not offered:
        raise ConfigurationError(f"{', '.join(map(str, files))}: no contexts, so there is no cluster to read")
    found: dict[str, Context] = {}
    for file, name in offered:
        if wanted and name not in wanted:
            continue
        member = _label(name)
        if member in found:
            other = found[member]
            raise ConfigurationError(
                f"context {name!r} of {file} and {other.name!r} of {other.file} would both be cluster {member!r}; "
                "choose one with --context, or rename one of them"
            )
        found[member] = Context(member, file, name)
    return list(found.values())


def hub_context(text: str) -> Context:
    """Return the context that `KUBECONFIG[:CONTEXT]` names; without one, the file's current context.

    Raises:
        ConfigurationError: the file cannot be used, or has no such context.
    """
    file, name = Path(text), ""
    if not file.exists() and ":" in text:
        path, _, name = text.rpartition(":")
        file = Path(path)
    found = read_kubeconfig(file)
    name = name or str(found.content.get("current-context") or "")
    if name not in found.contexts:
        hint = did_you_mean(name, found.contexts) or f"there are {', '.join(found.contexts) or 'none'}"
        raise ConfigurationError(f"hub: {file} has no context {name!r}; {hint}")
    return Context("", file, name)


def user_of(content: dict[str, Any], context: str) -> dict[str, Any]:
    """Return how the user of a context is authenticated, once it is clear that the context is complete.

    Raises:
        ConfigurationError: the context is not there, or what it refers to is not.
    """
    entries = {key: {one["name"]: one.get(key[:-1]) for one in content[key]} for key in ("contexts", "clusters", "users")}
    chosen = entries["contexts"].get(context)
    if not isinstance(chosen, dict):
        known = ", ".join(sorted(name for name in entries["contexts"] if name != context)) or "none"
        raise ConfigurationError(f"there is no context {context!r}; there are {known}")
    cluster = entries["clusters"].get(chosen.get("cluster"))
    if not isinstance(cluster, dict):
        raise ConfigurationError(f"context {context!r} has the cluster {chosen.get('cluster')!r}, which is not among `clusters`")
    server = str(cluster.get("server") or "")
    if not _is_url(server):  # without one, `kubernetes.aio` would ask localhost
        raise ConfigurationError(
            f"cluster {chosen['cluster']!r} has the server {server!r}; expected a URL such as https://HOST:6443"
        )
    proxy = str(cluster.get("proxy-url") or "")
    if proxy and not _is_url(proxy):
        raise ConfigurationError(
            f"cluster {chosen['cluster']!r} has the proxy-url {proxy!r}; expected a URL such as http://HOST:3128"
        )
    user = entries["users"].get(chosen.get("user"))
    if not isinstance(user, dict):
        if not chosen.get("user") and server.startswith("http:"):  # as behind `kubectl proxy`
            return {}
        raise ConfigurationError(f"context {context!r} has the user {chosen.get('user')!r}, which is not among `users`")
    return user


def cluster_of(content: dict[str, Any], context: str) -> dict[str, Any]:
    """Return the cluster of a context that is complete (`user_of`)."""
    name = _context(content, context)["cluster"]
    found: dict[str, Any] = next(one["cluster"] for one in reversed(content["clusters"]) if one["name"] == name)
    return found


def with_user(content: dict[str, Any], context: str, user: dict[str, Any]) -> dict[str, Any]:
    """Return a kubeconfig in which the user of a context, which is complete, is authenticated otherwise."""
    name = _context(content, context)["user"]
    others = [one for one in content["users"] if one["name"] != name]
    return {**content, "users": [*others, {"name": name, "user": user}]}


def _context(content: dict[str, Any], context: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one["context"] for one in reversed(content["contexts"]) if one["name"] == context)
    return found


def _is_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        return url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        return False


def _label(name: str) -> str:
    """Return what of a context's name may name a cluster: letters, digits and `-`, its end if it is too long."""
    text = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    label = text[-LABEL_CHARS:].strip("-")
    if not label:
        raise ConfigurationError(f"no cluster can be named after context {name!r}; rename it to letters, digits and '-'")
    return label
