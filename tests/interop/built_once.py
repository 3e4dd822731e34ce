"""What is built from sources of ours with foreign toolchains: once, and again only when the sources change."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def built_once(cache: Path, name: str, sources: Path, build: Callable[[Path], None], pattern: str = "*") -> Path:
    """Return the directory where this has been built; whatever an earlier state of the sources gave is removed first.

    Args:
        cache: where it is kept.
        name: its directories begin with it.
        sources: copied, so that the build leaves nothing among them.
        build: builds in the copy; only if it returns does the result count.
        pattern: of the names of the files on which the result depends.
    """
    built = built_place(cache, name, sources, pattern)
    if not built.exists():
        for old in cache.glob(f"{name}-*"):
            shutil.rmtree(old)
        draft = built.with_name(f"{built.name}.draft")
        shutil.copytree(sources, draft)
        build(draft)
        draft.rename(built)
    return built


def built_place(cache: Path, name: str, sources: Path, pattern: str = "*") -> Path:
    """Return where it is, or will be."""
    return cache / f"{name}-{digest(sources, pattern)}"


def digest(directory: Path, pattern: str = "*") -> str:
    """Return what changes with every name of a pattern, and every byte of these files, below a directory."""
    found = hashlib.sha256()
    for path in sorted(path for path in directory.rglob(pattern) if path.is_file()):
        content = path.read_bytes()
        found.update(f"{path.relative_to(directory)} {len(content)}\n".encode() + content)
    return found.hexdigest()[:16]
