"""The whole HTML document: template, style, script and data in one text. Standard library only."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from functools import cache
from importlib.resources import files
from string import Template

from llmflame.analysis.tree import Tree
from llmflame.views.page.document import document, pack, readable
from llmflame.views.page.memory import PageMemory

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class PageData:
    """What one page shows."""

    title: str
    summary: Mapping[str, object]
    """The document that `llmflame show --json` prints. Shares, coverage and `cost.clean`, `cost.anatomy`
    are fractions (0.02 is 2 %); every value may be None, which the page calls unknown."""
    tree: Tree
    """The whole run: node 0 is the run, its children are the phases."""
    memory: PageMemory | None = None
    """Where the bytes were; None leaves the page's part about memory out."""
    _: KW_ONLY
    compared: Mapping[str, object] | None = None
    """The document that `llmflame diff --json` prints, where `tree` is a comparison's; else None."""
    sections: Mapping[str, object] | None = None
    """What `page_sections` gives; a section without data isn't there."""


def render_page(data: PageData) -> str:
    """One HTML document that needs no network and runs only the script that it was built with."""
    script, style = _asset("page.js"), _asset("page.css")
    return Template(_asset("page.html")).substitute(
        title=html.escape(CONTROL.sub("\ufffd", readable(data.title))),
        policy=_policy(script, style),
        style=style,
        script=script,
        data=pack(document(data.title, data.summary, data.tree, data.memory, data.compared, data.sections)),
    )


def _policy(script: str, style: str) -> str:
    """A content security policy: nothing is loaded, and only this very script and style count."""
    return (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


@cache
def _asset(name: str) -> str:
    return (files(__package__) / "assets" / name).read_text(encoding="utf-8")
