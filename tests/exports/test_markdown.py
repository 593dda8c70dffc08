"""The summary for a pull request, against golden files; names in it draw nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from llmflame.exports.markdown import markdown
from llmflame.exports.markdown_text import escaped
from llmflame.exports.request import Request
from llmflame.store.profile import read_profile
from tests.exports.made import HOSTILE, PROFILES, SLICED, on_each_profile, request_of
from tests.golden_files import check_golden
from tests.handmade import handmade


@on_each_profile
def test_golden(tmp_path: Path, kind: str) -> None:
    check_golden(f"export-markdown-{kind}", markdown(request_of(tmp_path, kind)))


def test_slices_change_nothing_of_it(tmp_path: Path) -> None:
    assert markdown(request_of(tmp_path, SLICED)) == markdown(request_of(tmp_path, "cpu"))


@on_each_profile
def test_tables_have_as_many_cells_in_each_row(tmp_path: Path, kind: str) -> None:
    widths: set[int] = set()
    for line in [*markdown(request_of(tmp_path, kind)).splitlines(), ""]:
        if line.startswith("|"):
            widths.add(len(re.findall(r"(?<!\\)\|", line)))
        else:
            assert len(widths) <= 1
            widths.clear()


@pytest.mark.parametrize("until", ["nothing", "load", "clean"])
def test_an_unfinished_run_says_so(tmp_path: Path, until: str) -> None:
    path = handmade(tmp_path / "a.llmflame", until=until, status="partial", reason="killed <by> *them*")
    text = markdown(Request(read_profile(path)))
    assert r"**This profile is partial**: killed &lt;by&gt; \*them\*" in text


def test_names_are_data(tmp_path: Path) -> None:
    assert set(PROFILES) == {"cpu", "gpu", "memory"}
    path = handmade(
        tmp_path / "a.llmflame", name=HOSTILE, model=HOSTILE, status="partial", reason="![x](http://y) @z #1"
    )
    text = markdown(Request(read_profile(path)))
    assert "<img" not in text and "\x1b" not in text and "\u202e" not in text
    title = text.splitlines()[0]
    assert title == (
        r"# a;b c\\n&lt;img src=x onerror=alert(1)&gt;\\x1b\[31m\\u202e\\udc80\|\`\*@<!-- -->x\`"
    )
    assert r"!\[x\](http://y) @<!-- -->z \#1" in text


def test_escapes_what_either_language_reads() -> None:
    assert escaped("a_b & <c> | d") == r"a\_b &amp; &lt;c&gt; \| d"
    assert escaped("~~x~~ $y$ `z`") == r"\~\~x\~\~ \$y\$ \`z\`"
