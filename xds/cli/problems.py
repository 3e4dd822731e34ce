"""`xdsctl problems`, and how problems look on a screen."""

from __future__ import annotations

import textwrap
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from xds.cli.options import asks_server, output_option
from xds.cli.output import coloured, note, plural, print_list, say, terminal_width, visible
from xds.cli.resources import object_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from xds.cli.client import Client

SEVERITIES = ("error", "warning", "info")


@click.command()
@click.option("--severity", type=click.Choice(SEVERITIES), multiple=True, help="Only problems that are so bad; may be repeated.")
@output_option("lines", "json", "yaml")
@asks_server
def problems(client: Client, *, severity: tuple[str, ...], output: str) -> None:
    """List what is wrong with the manifests and the nodes that a control plane serves, errors first.

    \b
    FILE:LINE: SEVERITY CODE OBJECT FIELD: MESSAGE (HINT)

    FILE:LINE is where the object is defined; what is wrong with a node has none.
    """  # noqa: D301 - click wants the character, not a backslash
    items = [item for item in client.items("/v1/problems") if not severity or item["severity"] in severity]
    items.sort(key=lambda item: SEVERITIES.index(item["severity"]))
    if output != "lines":
        print_list("ProblemList", items, output)
        return
    for item in items:
        print_problem(item, item["source"])
    note(counted(Counter(item["severity"] for item in items)) or "no problems")


def print_section(items: Sequence[dict[str, Any]]) -> None:
    """Print the problems of something that is described."""
    say("\nProblems:" if items else "\nProblems: none")
    for item in items:
        print_problem(item, item["source"], indent="  ")


def print_problem(item: dict[str, Any], place: str, *, indent: str = "") -> None:
    """Print a problem: on a terminal in as many lines as it needs there, else in one.

    Args:
        item: as the admin API tells it.
        place: where it is, `FILE:LINE`; "" if that is not known.
        indent: begins each line.
    """
    place = visible(place)
    head = f"{place}: " if place else ""
    where = " ".join(part for part in (object_name(item["object"]) if "object" in item else "", item["field"]) if part)
    hint = f" ({item['hint']})" if item["hint"] else ""
    # The message may be a proxy's own words, in several lines.
    message = " ".join(item["message"].split())
    text = indent + visible(f"{head}{item['severity']} {item['code']}{' ' if where else ''}{where}: {message}{hint}")
    if width := terminal_width():
        text = textwrap.fill(text, width, subsequent_indent=f"{indent}    ", break_long_words=False, break_on_hyphens=False)
    # Coloured last: wrapping would count the colours as letters.
    start = text.find(item["severity"], len(indent + place))
    click.echo(text[:start] + coloured(item["severity"]) + text[start + len(item["severity"]) :])


def counted(by_severity: Mapping[str, int]) -> str:
    """Return the numbers of problems, the worst first, e.g. `4 errors, 1 warning, 1 info`; "" if there are none."""
    found = {severity: by_severity[severity] for severity in SEVERITIES if by_severity.get(severity)}
    return ", ".join(f"{number} info" if severity == "info" else plural(number, severity) for severity, number in found.items())
