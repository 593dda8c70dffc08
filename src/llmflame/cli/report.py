"""The command `llmflame report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmflame.errors import UsageError

if TYPE_CHECKING:
    from llmflame.store.profile import Profile


def report(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A profile, *.llmflame.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="PAGE", help="The page; by default FILE as .html."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the page if it exists.")] = False,
    all_frames: Annotated[
        bool, typer.Option("--all-frames", help="Keep frames that only pass a call on.")
    ] = False,
) -> None:
    """Write a profile as one HTML page with its flame graph.

    The page needs no network: it can be mailed, attached to an issue or opened from a disk.
    """
    from llmflame.atomic import check_writable
    from llmflame.store.profile import read_profile

    page = output or file.with_suffix(".html")
    check_writable(page, force=force)
    if page.exists() and file.exists() and page.samefile(file):
        raise UsageError(f"{page} is the profile itself: name another file with -o")
    write_report(read_profile(file), page, all_frames=all_frames)
    from llmflame.views.safe import safe_text

    typer.echo(safe_text(str(page), 4_096))


def write_report(profile: Profile, page: Path, *, all_frames: bool = False) -> None:
    """Build the page of a profile and write it at once. Raises UsageError where it can't be written."""
    from llmflame.analysis.ceiling import ceilings
    from llmflame.analysis.plumbing import without_plumbing
    from llmflame.analysis.roofline import with_floors
    from llmflame.analysis.run_tree import build_run_tree
    from llmflame.analysis.step_columns import with_steps
    from llmflame.analysis.summary import summarise
    from llmflame.atomic import write_atomically
    from llmflame.views.page import PageData, page_memory, render_page

    run = build_run_tree(profile)
    tree = with_floors(with_steps(run), ceilings(profile).best)
    tree = tree if all_frames else without_plumbing(tree)
    title = str(profile.subject.get("model") or profile.path.stem)
    data = PageData(title, summarise(profile, run), tree, page_memory(profile))
    write_atomically(page, render_page(data))
