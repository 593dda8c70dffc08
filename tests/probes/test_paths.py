"""File names without the folder that Python found them in."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

import llmflame.probes.paths
from llmflame.probes.paths import short_path


@pytest.fixture
def search_path(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    folders = ["", "/env/lib/python3.11/site-packages", "/env/lib/python3.11", "/home/me/code", "zip.zip"]
    monkeypatch.setattr(sys, "path", folders)
    short_path.cache_clear()
    yield
    short_path.cache_clear()


@pytest.mark.usefixtures("search_path")
@pytest.mark.parametrize(
    ("file", "short"),
    [
        ("/env/lib/python3.11/site-packages/transformers/x.py", "transformers/x.py"),
        ("/env/lib/python3.11/json/decoder.py", "json/decoder.py"),
        ("/home/me/code/run.py", "run.py"),
        ("/elsewhere/run.py", "/elsewhere/run.py"),
        ("/home/me", "/home/me"),
        ("/home/me/codes/run.py", "/home/me/codes/run.py"),
        ("relative/run.py", "relative/run.py"),
        ("<frozen importlib._bootstrap>", "<frozen importlib._bootstrap>"),
        ("<string>", "<string>"),
        ("", ""),
    ],
)
def test_the_longest_entry_is_taken_away(file: str, short: str) -> None:
    assert short_path(file) == short


def test_the_packages_own_files_are_its_own() -> None:
    """The tracer, the sampler and the analysis must agree on what a file is called."""
    file = llmflame.probes.paths.__file__
    assert file is not None and short_path(file) == "llmflame/probes/paths.py"
