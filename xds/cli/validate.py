"""`xdsctl validate`: what is wrong with a directory of clusters."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import click

from xds.cli.main import ISSUES_FOUND
from xds.cli.options import output_option
from xds.cli.output import count_services, note, plural, print_list
from xds.cli.problems import counted, print_problem


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--strict", is_flag=True, help="Fail if there are warnings, too, e.g. that there is no cluster at all.")
@output_option("lines", "json", "yaml")
def validate(directory: Path, *, strict: bool, output: str) -> int:
    """Check a directory of clusters and print what is wrong, one line a problem, errors first.

    \b
    FILE:LINE: SEVERITY CODE OBJECT FIELD: MESSAGE (HINT)

    Exits with 79 if there are errors; warnings alone are fine without --strict.
    """  # noqa: D301 - click wants the character, not a backslash
    from xds.admin.answers import problems as message_of
    from xds.admin.answers import to_json
    from xds.cli.offline import Offline

    offline = Offline(directory)
    items = json.loads(to_json(message_of(offline.problems())))["items"]
    if output == "lines":
        for item in items:
            print_problem(item, str(directory / item["source"]))
        own = sum(bool(key.scope) for key in offline.fleet.services)
        services = count_services(own, len(offline.fleet.services) - own)
        what = counted(Counter(item["severity"] for item in items)) or "no problems"
        note(f"{plural(len(offline.fleet.members), 'cluster')}, {services}: {what}")
    else:
        print_list("ProblemList", items, output)
    bad = {"error", "warning"} if strict else {"error"}
    return ISSUES_FOUND if any(item["severity"] in bad for item in items) else 0
