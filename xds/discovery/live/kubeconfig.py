"""Kubeconfig files: which clusters they name, each a member, and what changes in them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import yaml

from xds.errors import ConfigurationError
from xds.problems import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

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
        content = yaml.load(text, yaml.CSafeLoader)
    except OSError as error:
        raise ConfigurationError(f"cannot read the kubeconfig {file}: {error.strerror}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigurationError(f"the kubeconfig {file} is not YAML: {getattr(error, 'problem', None) or error}") from error
    if not isinstance(content, dict) or content.get("kind") != "Config":
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


def _label(name: str) -> str:
    """Return what of a context's name may name a cluster: letters, digits and `-`, its end if it is too long."""
    text = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    label = text[-LABEL_CHARS:].strip("-")
    if not label:
        raise ConfigurationError(f"no cluster can be named after context {name!r}; rename it to letters, digits and '-'")
    return label
