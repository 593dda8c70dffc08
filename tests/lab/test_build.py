"""Compiling C++ on first use."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from llmflame.errors import UsageError
from llmflame.lab.kernels.build import library


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LLMFLAME_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def source(folder: Path, text: str) -> Path:
    path = folder / "made.cpp"
    path.write_text(text, encoding="utf-8")
    return path


def test_it_is_compiled_once(tmp_path: Path, own_cache: Path) -> None:
    path = source(tmp_path, 'extern "C" int twice(int n) { return 2 * n; }')
    assert library(path).twice(21) == 42
    (made,) = (own_cache / "kernels").iterdir()
    when = made.stat().st_mtime_ns
    assert library(path).twice(4) == 8 and made.stat().st_mtime_ns == when
    path.write_text('extern "C" int twice(int n) { return n + n; }', encoding="utf-8")
    assert library(path).twice(5) == 10
    assert len(list((own_cache / "kernels").iterdir())) == 2


def test_what_cannot_be_compiled_says_why(tmp_path: Path, own_cache: Path) -> None:
    with pytest.raises(UsageError, match=r"can't compile made\.cpp: .*error: .*nothing") as caught:
        library(source(tmp_path, "int f() { return nothing; }"))
    assert "\n" not in str(caught.value)
    assert list((own_cache / "kernels").iterdir()) == []


def test_without_a_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(UsageError, match=r"no C\+\+ compiler is on the PATH: g\+\+ or clang\+\+ is needed"):
        library(source(tmp_path, ""))
