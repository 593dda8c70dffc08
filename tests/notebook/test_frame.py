"""What a notebook is given to show: bounded, escaped, and one line where there is no frame."""

from __future__ import annotations

import dataclasses
from html.parser import HTMLParser
from pathlib import Path

import pytest

import llmflame
from llmflame import errors
from llmflame.views.notebook_frame import (
    MOST_CHARACTERS,
    TOO_LARGE,
    WITHOUT_MEMORY,
    notebook_html,
)
from tests.handmade import handmade
from tests.handmade_memory import handmade_memory

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>\x1b[31m\u202e'
SANDBOX = {"allow-scripts", "allow-downloads"}


class Elements(HTMLParser):
    """Every element with its attributes, and all text outside of them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: dict[str, dict[str, str | None]] = {}
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes[tag] = dict(attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return handmade_memory(tmp_path / "run.llmflame")


def test_the_frame_holds_the_very_page(file: Path, tmp_path: Path) -> None:
    profile = llmflame.open(file)
    page = profile.write_page(tmp_path / "run.html")
    found = Elements(profile._repr_html_())
    assert found.tags == ["div", "p", "iframe"]
    frame = found.attributes["iframe"]
    assert frame["srcdoc"] == page.read_text("utf-8")
    assert set((frame["sandbox"] or "").split()) == SANDBOX, "allow-same-origin would undo the sandbox"
    assert "src" not in frame and "style" not in frame


def test_a_console_shows_one_line(file: Path) -> None:
    profile = llmflame.open(file)
    line = repr(profile)
    assert "\n" not in line and len(line) < 300
    assert line.startswith("Tiny-2L  TinyForCausalLM · ") and "50.0 ms to the first, 250 ms in all" in line
    assert Elements(profile._repr_html_()).text.startswith(line.partition(":")[0])


def test_every_front_door_shows_itself(file: Path) -> None:
    profile = llmflame.open(file)
    assert isinstance(profile, type(dataclasses.replace(profile)))
    assert llmflame.Recorder.read(file) == profile
    assert llmflame.profile.__annotations__["return"] == llmflame.open.__annotations__["return"]


@pytest.mark.parametrize("status", ["partial", "failed"])
def test_a_broken_run_says_so(tmp_path: Path, status: str) -> None:
    profile = llmflame.open(handmade(tmp_path / "a.llmflame", until="load", status=status, reason=HOSTILE))  # type: ignore[arg-type]
    assert f"({status}: " in repr(profile) and "\x1b" not in repr(profile)
    assert Elements(profile._repr_html_()).tags == ["div", "p", "iframe"]


@pytest.mark.parametrize("most", [MOST_CHARACTERS, 0])
def test_hostile_names_are_text(file: Path, most: int) -> None:
    plain = llmflame.open(file)
    hostile = dataclasses.replace(
        plain,
        subject={**plain.subject, "model": HOSTILE, "architecture": HOSTILE},
        run=dataclasses.replace(plain.run, status="failed", reason=HOSTILE),
        frames={n: dataclasses.replace(frame, name=HOSTILE) for n, frame in plain.frames.items()},
    )
    found = Elements(notebook_html(hostile, most))
    assert set(found.tags) <= {"div", "p", "small", "pre", "iframe"}
    assert "\x1b" not in found.text and "\u202e" not in found.text
    assert "<script>alert(1)" in found.text


def test_a_page_that_is_too_large_is_shown_in_part(file: Path) -> None:
    profile = llmflame.open(file)
    whole = notebook_html(profile)
    smaller = notebook_html(profile, len(whole) - 1)
    assert len(smaller) < len(whole)
    assert WITHOUT_MEMORY in Elements(smaller).text and "iframe" in Elements(smaller).tags
    text = notebook_html(profile, len(smaller) - len(WITHOUT_MEMORY))
    found = Elements(text)
    assert "iframe" not in found.tags and TOO_LARGE in found.text
    assert "write_page" in found.text and "Phase" in found.text
    assert len(text) < 20_000


def test_a_page_replaces_nothing(file: Path, tmp_path: Path) -> None:
    profile = llmflame.open(file)
    page = tmp_path / "page.html"
    page.write_text("mine")
    with pytest.raises(errors.UsageError, match="exists"):
        profile.write_page(page)
    with pytest.raises(errors.UsageError, match="the profile itself"):
        profile.write_page(file, force=True)
    assert profile.write_page(str(page), force=True) == page
    assert page.read_text("utf-8").startswith("<!doctype html>")
