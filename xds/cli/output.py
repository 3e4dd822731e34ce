"""What commands print: plain columns for people, JSON and YAML for machines."""

from __future__ import annotations

import difflib
import json
import os
import shutil
import sys
import textwrap
import unicodedata
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

API_VERSION = "xdsctl/v1"
"""Of the lists that we print as JSON or YAML; their shape changes only with it."""

LEAST_ROOM = 40
"""Letters of a line that the last cell of a row may have however wide the others are."""
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories of characters that a terminal obeys instead of showing them."""
_COLOURS = {
    "SYNCED": "green",
    "Connected": "green",
    "HEALTHY": "green",
    "ok": "green",
    "STALE": "yellow",
    "Stale": "yellow",
    "Syncing": "yellow",
    "DRAINING": "yellow",
    "DEGRADED": "yellow",
    "warning": "yellow",
    "ERROR": "red",
    "Lost": "red",
    "UNHEALTHY": "red",
    "error": "red",
    "failed": "red",
}


def print_table(  # noqa: PLR0913 - each has its own default
    headers: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    show_headers: bool = True,
    indent: str = "",
    below: Sequence[str] = (),
    widths: Sequence[int] = (),
    limit: int | None = None,
) -> list[int]:
    """Print aligned columns, three spaces apart, the last one as wide as it needs; empty cells become `-`.

    A row stays one line, whatever its cells contain, unless there is a limit.

    Args:
        headers: the first line.
        rows: the others.
        show_headers: whether to print the first line.
        indent: begins each line.
        below: text for each row, printed under it.
        widths: of rows printed before, to which these are to align.
        limit: of what a line may have; the last cell goes on in further ones, under its column.

    Returns:
        The widths of the columns.
    """
    cells = [[visible(str(cell)) or "-" for cell in row] for row in rows]
    lines = [list(headers), *cells] if show_headers else cells
    known = widths or [0] * len(headers)
    aligned = [max((known[column], *(len(line[column]) for line in lines))) for column in range(len(headers))]
    for position, line in enumerate(lines):
        padded = [cell.ljust(width) for cell, width in zip(line[:-1], aligned, strict=False)]
        paint = str if show_headers and position == 0 else coloured
        before = "".join(f"{paint(cell)}   " for cell in padded)
        blank = " " * sum(len(cell) + 3 for cell in padded)
        last, *more = _wrapped(line[-1], limit - len(indent) - len(blank)) if limit else [line[-1]]
        click.echo(indent + before + paint(last))
        for text in more:
            click.echo(indent + blank + text)
        row = position - 1 if show_headers else position
        if below and row >= 0 and below[row]:
            say_indented(below[row], f"{indent}    ")
    return aligned


def _wrapped(text: str, room: int, indent: str = "") -> list[str]:
    wide = max(room, LEAST_ROOM)
    return textwrap.wrap(text, wide, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def terminal_width() -> int | None:
    """Return how wide the terminal is; None where stdout is something else, which may be searched by lines."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def print_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Print `Name:   value`, the values aligned."""
    print_table(("", ""), [(f"{name}:", value) for name, value in facts], show_headers=False)


def print_list(kind: str, items: Sequence[Any], output: str) -> None:
    """Print items of the admin API for machines, with the version of this shape."""
    print_data({"apiVersion": API_VERSION, "kind": kind, "items": items}, output)


def print_data(data: Any, output: str) -> None:
    """Print data as `json` or `yaml`."""
    click.echo(to_yaml(data) if output == "yaml" else json.dumps(data, indent=2, ensure_ascii=False), nl=output != "yaml")


def to_yaml(data: Any) -> str:
    """Return block-style YAML, keys in their given order, a newline at the end."""
    import yaml

    text: str = yaml.dump(data, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=10_000)
    return text


def say(text: str = "", *, colour: str | None = None, to_stderr: bool = False) -> None:
    """Print text for people: its line breaks stay, other characters that a terminal obeys are shown.

    Whatever is not a table or data for machines is printed here, since most of it repeats what clients said.
    """
    shown = "\n".join(map(visible, text.split("\n")))
    click.echo(click.style(shown, fg=colour) if colour else shown, err=to_stderr)


def say_indented(text: str, indent: str) -> None:
    """Print the lines of somebody else's text, each indented, so that none passes for one of ours."""
    say("\n".join(indent + line for line in text.splitlines()))


def say_wrapped(text: str, indent: str) -> None:
    """Print one line; on a terminal that is too narrow for it, further ones that begin with the indent."""
    room, shown = terminal_width(), visible(text)
    click.echo("\n".join(_wrapped(shown, room, indent)) if room else shown)


def note(text: str) -> None:
    """Say something that is not part of the result."""
    say(text, to_stderr=True)


def visible(text: str) -> str:
    r"""Return the text with every character that a terminal would obey as an escape, e.g. `\x1b`, `\n` or `\u202e`.

    Clients choose their ids and error texts: those must not colour, overwrite or reorder what an operator reads, nor forge rows.
    """
    if text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode("ascii") if unicodedata.category(char) in _UNSEEN else char for char in text
    )


def plural(number: int, noun: str) -> str:
    """Return `1 service`, `2 services`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def suggestion(name: str, known: Iterable[str], otherwise: str) -> str:
    """Return `did you mean …?` with what comes closest to a name, or what is to be said if nothing comes close."""
    close = difflib.get_close_matches(name, sorted(set(known)), n=1)
    return f"did you mean {close[0]!r}?" if close else otherwise


def count_services(own: int, merged: int) -> str:
    """Return `3 services (2 of single clusters, 1 of the cluster set)`, or without brackets where no cluster exports any."""
    detail = f" ({own} of single clusters, {merged} of the cluster set)" if merged else ""
    return plural(own + merged, "service") + detail


def coloured(cell: str) -> str:
    """Return the cell in the colour of its first word, if stdout is a terminal and NO_COLOR is not set."""
    colour = _COLOURS.get(cell.partition(" ")[0])
    return click.style(cell, fg=colour) if colour and uses_colour() else cell


def uses_colour() -> bool:
    """Return whether stdout shows colours (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def age(moment: str) -> str:
    """Return how long ago a timestamp of the admin API was, e.g. `2m`; "" for one that is missing."""
    return duration((datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()) if moment else ""


def since(moment: str) -> str:
    """Return a timestamp of the admin API with its age, e.g. `2m (2026-11-25T08:00:00Z)`; "" for one that is missing."""
    return f"{age(moment)} ({moment})" if moment else ""


def size(number: int) -> str:
    """Write a number of bytes in two or three digits, e.g. `3.1 KiB`."""
    amount = float(number)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1000:
            return f"{amount:.{1 if amount < 10 and unit != 'B' else 0}f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"


def duration(duration_s: float) -> str:
    """Return a duration for people, with one or two units: `3s`, `4m10s`, `25m`, `3h5m`, `12d`."""
    seconds = max(0, int(duration_s))
    for unit_s, unit, smaller_s, smaller in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "m"), (60, "m", 1, "s")):
        if seconds >= unit_s:
            whole, rest = divmod(seconds, unit_s)
            part = rest // smaller_s
            return f"{whole}{unit}{part}{smaller}" if whole < 10 and part else f"{whole}{unit}"
    return f"{seconds}s"
