"""A profile as the output of a notebook's cell: its page in a frame of its own, and never too large.

The page travels in the frame's `srcdoc`, so that nothing is requested and no server is needed. The frame is
sandboxed without `allow-same-origin`: what runs in it can reach neither the notebook nor its kernel.
"""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Iterator
from io import StringIO

from llmflame.analysis.run_tree import build_run_tree
from llmflame.store.profile import Profile
from llmflame.views.console import console_for
from llmflame.views.one_line import one_line
from llmflame.views.page import PageData, page_data, render_page
from llmflame.views.summary import summary_view

FRAME_HEIGHT_PX = 720
"""Most of a laptop's screen: the flame graph and what is said of a frame fit in it."""
MOST_CHARACTERS = 3_000_000
"""Of one output, all ASCII but for names: several of them leave a notebook that people can still commit."""
TO_A_FILE = 'profile.write_page("run.html")'
NO_FRAME = f"The page is drawn in a trusted notebook only; {TO_A_FILE} writes it to a file."
WITHOUT_MEMORY = (
    f"Memory is left out: with it the page is too large for a notebook. {TO_A_FILE} writes all of it."
)
TOO_LARGE = f"The page is too large for a notebook: {TO_A_FILE} writes it to a file."


def notebook_html(profile: Profile, most: int = MOST_CHARACTERS) -> str:
    """The page in a frame; where that is longer than `most` characters the page without memory, and where
    that is too the summary as text. What is left out is said, and how to get it."""
    run = build_run_tree(profile)
    data = page_data(profile, run)
    line = one_line(data.summary)
    for page, remark in _pages(data):
        output = _output(line, remark, _frame(page, data.title))
        if len(output) <= most:
            return output
    stream = StringIO()
    console_for(stream).print(summary_view(data.summary, data.tree))
    return _output(line, TOO_LARGE, f"<pre>{html.escape(stream.getvalue())}</pre>")


def _pages(data: PageData) -> Iterator[tuple[str, str]]:
    """From the fullest page on, each with what is to be said of it."""
    yield render_page(data), ""
    if data.memory is not None:
        yield render_page(dataclasses.replace(data, memory=None)), WITHOUT_MEMORY


def _output(line: str, remark: str, content: str) -> str:
    said = f"<p><small>{html.escape(remark)}</small></p>" if remark else ""
    return f'<div class="llmflame"><p>{html.escape(line)}</p>{said}{content}</div>'


def _frame(page: str, title: str) -> str:
    """Attributes alone: a policy of the notebook's may forbid style. The text inside is what remains where
    the frame is taken out, as in a notebook that is not trusted."""
    return (
        f'<iframe title="llmflame: {html.escape(title)}" width="100%" height="{FRAME_HEIGHT_PX}" '
        'frameborder="0" sandbox="allow-scripts allow-downloads" allow="clipboard-write" '
        f'srcdoc="{html.escape(page)}">{html.escape(NO_FRAME)}</iframe>'
    )
