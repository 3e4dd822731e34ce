"""`xdsctl validate`: what is wrong with a directory of clusters."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from xds.cli.main import ISSUES_FOUND
from xds.cli.options import output_option
from xds.cli.output import coloured, note, plural, print_list

if TYPE_CHECKING:
    from xds.problems import Problem


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@output_option("lines", "json", "yaml")
def validate(directory: Path, *, output: str) -> int:
    """Check a directory of clusters and print what is wrong, one line a problem.

    \b
    FILE:LINE: SEVERITY CODE OBJECT FIELD: MESSAGE (HINT)

    Exits with 79 if there are errors; warnings alone are fine.
    """  # noqa: D301 - click wants the character, not a backslash
    from xds.admin.answers import problems as message_of
    from xds.admin.answers import to_json
    from xds.cli.offline import Offline

    offline = Offline(directory)
    found = offline.problems()
    if output == "lines":
        for problem in found:
            click.echo(_line(problem, directory))
        counts = Counter(str(problem.severity) for problem in found)
        what = ", ".join(plural(count, severity) for severity, count in sorted(counts.items())) or "no problems"
        services = sum(1 for key in offline.fleet.services if key.scope)
        note(f"{plural(len(offline.fleet.members), 'cluster')}, {plural(services, 'service')}: {what}")
    else:
        print_list("ProblemList", json.loads(to_json(message_of(found)))["items"], output)
    return ISSUES_FOUND if any(problem.severity == "error" for problem in found) else 0


def _line(problem: Problem, directory: Path) -> str:
    place = str(directory / problem.source) if problem.source else str(directory)
    what = " ".join(part for part in (problem.code, str(problem.ref) if problem.ref else "", problem.field) if part)
    hint = f" ({problem.hint})" if problem.hint else ""
    return f"{place}: {coloured(str(problem.severity))} {what}: {problem.message}{hint}"
