"""What all comparisons can be told on the command line, and what has to be there before one begins."""

from __future__ import annotations

import argparse
import resource

from compared_programs import missing, programs
from live_contestants import LIVE
from live_contestants import missing as no_api_server
from rounds import Work


def raise_limits() -> None:
    """Allow ourselves and our children as many open files, i.e. connections, as we may."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def options(
    description: str | None, *, updates: int, streams: int = 1000, services: int | list[int] = 1000
) -> argparse.ArgumentParser:
    """Return a parser of what work is to be done, which is this if nothing is said."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=streams)
    parser.add_argument("--services", type=int, default=services, nargs="+" if isinstance(services, list) else None)
    parser.add_argument("--updates", type=int, default=updates, help="in each round")
    parser.add_argument("--sotw", action="store_true", help="state of the world instead of delta")
    return parser


def add_rounds(parser: argparse.ArgumentParser, *, rounds: int, only: str) -> None:
    """Let be said how often which contestants run."""
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument(
        "--only", type=lambda names: set(names.split(",")), default=only, help=f"names, with commas: {only} if nothing is said"
    )


def work_of(given: argparse.Namespace) -> Work:
    return Work(given.streams, given.services, given.updates, delta=not given.sotw)


def prepare(only: set[str]) -> set[str]:
    """Build what is needed, and return those contestants that can run here; says who cannot and why."""
    if why := missing():
        print(f"skipped: {why}")
        return set()
    raise_limits()
    programs()
    if LIVE & only and (why := no_api_server()):
        print(f"without {' and '.join(sorted(LIVE & only))}: {why}")
        return only - LIVE
    return only
