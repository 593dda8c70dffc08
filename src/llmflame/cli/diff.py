"""The command `llmflame diff`."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmflame.errors import UsageError

if TYPE_CHECKING:
    from llmflame.analysis.compare.comparison import Comparison
    from llmflame.store.model import Metric

ROWS = 12


class DiffMetric(str, Enum):  # noqa: UP042  older typer versions read no StrEnum
    """By what the changes of frames and modules are ordered."""

    wall = "wall"
    host = "host"
    device = "device"
    idle = "idle"
    samples = "samples"
    calls = "calls"
    allocated = "allocated"
    device_allocated = "device-allocated"


def diff(  # noqa: PLR0913  each option is a parameter
    a: Annotated[
        Path, typer.Argument(metavar="A", help="The profile before, *.llmflame.", show_default=False)
    ],
    b: Annotated[Path, typer.Argument(metavar="B", help="The profile after.", show_default=False)],
    metric: Annotated[
        DiffMetric | None,
        typer.Option(
            help="Order frames and modules by wall, host, GPU or idle time, samples, calls, or bytes.",
            show_default="wall",
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="At most N frames and modules.", show_default="12")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="PAGE", help="Also write B's page, compared with A.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the page if it exists.")] = False,
    unlike: Annotated[
        bool, typer.Option("--unlike", help="Compare different models or machines too.")
    ] = False,
    all_frames: Annotated[
        bool, typer.Option("--all-frames", help="Keep frames that only pass a call on.")
    ] = False,
) -> None:
    """Compare two profiles: what changed in time, bytes and calls, and how sure that is.

    Intervals are of 95 %, from the repetitions of both; what lies within them is called noise.
    """
    from llmflame.analysis.compare.comparison import compare
    from llmflame.analysis.compare.document import diff_document
    from llmflame.cli.printing import print_json, print_view
    from llmflame.cli.show import no_collection
    from llmflame.store.profile import read_profile

    _refuse_same(a, b)
    if report is not None:
        _check_page(report, a, b, force=force)
    elif force:
        raise UsageError("--force goes with --report: --unlike compares different models or machines")
    with no_collection():
        before = read_profile(a, timelines=False)
        after = read_profile(b, timelines=report is not None)
        comparison = compare(before, after, force=unlike, all_frames=all_frames)
        wanted = _metric(comparison, metric)
        if report is not None:
            _write_page(comparison, report)
        if json:
            print_json(diff_document(comparison, wanted, limit))
            return
        from llmflame.views.compare import compare_view

        print_view(compare_view(diff_document(comparison, wanted, limit or ROWS), wanted))


def _refuse_same(a: Path, b: Path) -> None:
    if a.exists() and b.exists() and a.samefile(b):
        raise UsageError(f"{a} and {b} are the same file: a profile is compared with another one")


def _check_page(page: Path, a: Path, b: Path, *, force: bool) -> None:
    from llmflame.atomic import check_writable

    check_writable(page, force=force)
    for file in (a, b):
        if page.exists() and file.exists() and page.samefile(file):
            raise UsageError(f"{page} is one of the profiles: name another file with --report")


def _write_page(comparison: Comparison, page: Path) -> None:
    from dataclasses import replace

    from llmflame.atomic import write_atomically
    from llmflame.views.page import page_compare, page_data, render_page

    both = page_compare(comparison)
    data = replace(page_data(comparison.after, comparison.run), tree=both.tree, compared=both.facts)
    write_atomically(page, render_page(data))


def _metric(comparison: Comparison, wanted: DiffMetric | None) -> Metric:
    """Raises UsageError where neither profile has any of it."""
    from llmflame.analysis.tree_table import widest
    from llmflame.store import metrics

    if wanted is None:
        return widest(comparison.joined.tree)
    known = {
        DiffMetric.wall: metrics.WALL,
        DiffMetric.host: metrics.HOST,
        DiffMetric.device: metrics.DEVICE,
        DiffMetric.idle: metrics.IDLE,
        DiffMetric.samples: metrics.SAMPLES,
        DiffMetric.calls: metrics.CALLS,
        DiffMetric.allocated: metrics.ALLOCATED,
        DiffMetric.device_allocated: metrics.DEVICE_ALLOCATED,
    }
    has = {metric.name for metric in comparison.joined.tree.metrics}
    if known[wanted].name not in has:
        words = ", ".join(one.value for one, metric in known.items() if metric.name in has)
        raise UsageError(f"--metric {wanted.value}: these profiles have {words}")
    return known[wanted]
