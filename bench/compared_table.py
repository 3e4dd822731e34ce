"""Tables of what was measured: medians, and their ratios to the others of the same run."""

from __future__ import annotations

import json
import math
import os
import platform
import re
import statistics
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compared_programs import HERE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

RESULTS = HERE / "results"
Rows = dict[str, tuple[str, float, str, int]]
"""Row -> field of what was measured, factor, unit, digits."""
OURS = {"istiod": "ours-live"}
"""Whose figures those of a contestant are compared with, where not with those of `ours`."""


def share_of_ours(who: str, medians: Mapping[str, float]) -> float:
    """Return ours as a multiple of somebody's; NaN of ourselves."""
    ours = medians.get(OURS.get(who, "ours"), math.nan)
    return math.nan if who.startswith("ours") or not medians[who] else ours / medians[who]


@dataclass(kw_only=True)
class Report:
    """What a table is about."""

    name: str
    """Of the files."""
    title: str
    how: str
    """It was measured."""
    rows: Rows
    work: object
    """A dataclass."""
    bracket: Callable[[str, Mapping[str, float]], float] = share_of_ours
    """Given a column and the medians of a row by column, what stands in brackets; NaN if nothing does."""
    remarks: tuple[str, ...] = ()
    """Paragraphs below the table."""


def line(measured: object, rows: Rows) -> str:
    """Return a short line on the medians so far."""
    found = ((name, median(measured, field), factor, unit, digits) for name, (field, factor, unit, digits) in rows.items())
    return ", ".join(
        f"{name.strip()} {value * factor:.{digits}f} {unit}".strip()
        for name, value, factor, unit, digits in found
        if not math.isnan(value)
    )


def median(measured: object, field: str) -> float:
    """Return a median; NaN of what was not measured."""
    values = getattr(measured, field)
    return statistics.median(values) if values else math.nan


def write(report: Report, measured: Mapping[str, Any]) -> str:
    """Write the results, `.md` for people and `.json` with every value; return the text.

    Args:
        report: what they are about.
        measured: column -> a dataclass, each field of which that is in a row is a list of values.
    """
    RESULTS.mkdir(exist_ok=True)
    about = machine()
    place = f"{about['date']}; {about['cores']} cores of {about['cpu']}, shared by server and load client, nobody pinned"
    place = f"{place}; load average at the end {about['load']}. {about['versions']}."
    paragraphs = [f"# {report.title}", f"{place}\n{report.how}", "\n".join(table(report, measured)), *report.remarks]
    text = "\n\n".join(paragraphs) + "\n"
    name = f"{time.strftime('%Y-%m-%d')}-{report.name}"
    (RESULTS / f"{name}.md").write_text(text)
    values = {"machine": about, "work": asdict(report.work), "measured": {who: asdict(one) for who, one in measured.items()}}  # type: ignore[call-overload]
    (RESULTS / f"{name}.json").write_text(json.dumps(values, indent=1) + "\n")
    return text


def table(report: Report, measured: Mapping[str, Any]) -> list[str]:
    """Return a Markdown table, a column for each of what was measured."""
    lines = [f"| work | {' | '.join(measured)} |", f"|---|{'---|' * len(measured)}"]
    for row, (field, factor, unit, digits) in report.rows.items():
        medians = {who: median(one, field) * factor for who, one in measured.items()}
        if all(map(math.isnan, medians.values())):
            continue
        cells = []
        for who, value in medians.items():
            share = report.bracket(who, medians)
            ratio = "" if math.isnan(share) else f" ({share:.2f})"
            cells.append("-" if math.isnan(value) else f"{value:,.{digits}f} {unit}".strip() + ratio)
        lines.append(f"| {row.strip()} | {' | '.join(cells)} |")
    return lines


def machine() -> dict[str, str]:
    """Return what the figures depend on."""
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    modules = (HERE / "go" / "go.mod").read_text()
    go = re.findall(
        r"^\s*(?:require )?(\S*(?:go-control-plane|istio\.io/istio|google\.golang\.org/grpc)) (v\S+)", modules, re.MULTILINE
    )
    versions = [f"Python {platform.python_version()}", f"grpcio {version('grpcio')}", f"protobuf {version('protobuf')}"]
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "cores": str(os.cpu_count()),
        "cpu": found[1] if found else platform.machine(),
        "load": f"{os.getloadavg()[0]:.1f}",
        "versions": ", ".join([*versions, *(f"{name.rpartition('/')[2]} {number}" for name, number in go)]),
    }
