"""Does what a document's reader would do, in a folder that has the files which the document speaks of."""

from __future__ import annotations

import ast
import inspect
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer

import llmflame
from llmflame.cli.app import app, run
from tests.documents.collect import ROOT, Found
from tests.documents.exceptions import EXIT_CODES, PLACEHOLDERS

OUTPUTS = ("-o", "--output", "--report")
"""What follows is written, not read."""
EXPORTS = {
    ".pstats": ("pstats",),
    ".pb.gz": ("pprof",),
    ".functions.parquet": ("parquet",),
    ".functions.csv": ("csv",),
    ".speedscope.json": ("speedscope",),
    ".trace.json": ("chrome",),
}
"""Files that a document reads after an export that it may have shown elsewhere."""

MEASURED = ROOT / "tests" / "importing" / "ncu_raw.csv"
"""What another tool wrote, to be imported."""


def arguments_of(command: str) -> list[str]:
    """The words of a command, placeholders filled in."""
    return [PLACEHOLDERS.get(word, word) for word in shlex.split(command)]


def provide(folder: Path, profile: Path, words: list[str]) -> None:
    """Put the files there that a command or a program names: copies of one profile, and its exports."""
    for before, word in zip(["", *words], words, strict=False):
        # A row of an experiment is named behind its file.
        name = re.search(r"[\w./-]+$", re.sub(r"(\.llmflame):.*", r"\1", word))
        if name is None or before in OUTPUTS:
            continue
        target = folder / name[0]
        if target.suffix == ".llmflame" and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(profile, target)
        if before == "import":
            shutil.copyfile(MEASURED, target)
        for suffix, (form,) in EXPORTS.items():
            if word.endswith(suffix) and not target.exists():
                assert run(["export", str(profile), "--format", form, "-o", str(target)]) == 0


def parse(command: str) -> None:
    """Parse an llmflame command without running it: its name, its options, their values."""
    words = arguments_of(command)[1:]
    group = typer.main.get_command(app)
    with group.make_context("llmflame", words[:1], resilient_parsing=True) as context:
        name, chosen, _ = group.resolve_command(context, words[:1])  # type: ignore[attr-defined]
        assert chosen is not None
        with chosen.make_context(name, words[1:], parent=context):
            pass


def check_synopsis(command: str) -> None:
    """`llmflame export FILE --format FORMAT [-o OUT] ...`: the command has each of these options."""
    words = command.replace("[", " ").replace("]", " ").replace("...", " ").replace("|", " ").split()
    group: Any = typer.main.get_command(app)
    named = group if words[1].startswith("-") else group.commands[words[1]]
    known = {option for parameter in named.params for option in parameter.opts} | {"--help"}
    assert {word.split("=")[0] for word in words if word.startswith("-")} <= known


def is_synopsis(found: Found) -> bool:
    """Is it a pattern of commands, or only a name of one within a sentence?"""
    if found.kind == "span" and not re.search(r"\bFILE\b|\.llmflame\b| A B\b", found.text):
        return True
    return bool(re.search(r" \[|\.\.\.|\|", found.text))


def run_command(command: str, folder: Path) -> None:
    """Run one in `folder`, which is the current one. The exit code is 0, unless another is declared."""
    words = arguments_of(command)
    expected = EXIT_CODES.get(command, 0)
    if words[0] == "llmflame":
        assert run([*words[1:], *_forced(words)]) == expected
        return
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    program = shutil.which(words[0], path=programs)
    if program is None:
        pytest.skip(f"needs {words[0]}")
    done = subprocess.run(
        [program, *words[1:]],
        cwd=folder,
        input="",
        capture_output=True,
        encoding="utf-8",
        timeout=500,
        env={**os.environ, "GOTOOLCHAIN": "local", "GOTELEMETRY": "off", "PPROF_TMPDIR": str(folder)},
        check=False,
    )
    assert done.returncode == expected, done.stderr[-2_000:]


def _forced(words: list[str]) -> list[str]:
    """A document may write one file twice."""
    return ["--force"] if words[1] in ("export", "report") and "--force" not in words else []


def check_not_run(command: str) -> None:
    """What can be said of a command of another program without running it."""
    words = shlex.split(command)
    if words[0] == "pip":
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"][
            "optional-dependencies"
        ]
        for wanted in re.findall(r"\[([\w,]+)\]", command):
            assert set(wanted.split(",")) <= set(extras)
    elif words[0] == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
        assert set(words[1:]) <= set(targets)
    elif words[0] == "python":
        text = (ROOT / words[1]).read_text("utf-8")
        assert all(f'"{word}"' in text for word in words if word.startswith("--"))
    elif words[0] == "npm":
        scripts = (ROOT / "web" / "package.json").read_text("utf-8")
        assert words[1] in ("ci", "install", "test") or f'"{words[2]}"' in scripts


def run_python(found: Found, folder: Path, profile: Path) -> None:
    """Execute a block, in a namespace of its own."""
    provide(folder, profile, re.findall(r'"([\w./-]+)"', found.text))
    exec(compile(found.text, str(found), "exec"), {"__name__": "document"})


def check_python(found: Found) -> None:
    """Compile a block; the names and parameters of llmflame that it uses exist."""
    for node in ast.walk(ast.parse(found.text, str(found))):
        called = node.func if isinstance(node, ast.Call) else node
        if not (
            isinstance(called, ast.Attribute)
            and isinstance(called.value, ast.Name)
            and called.value.id == "llmflame"
        ):
            continue
        known = getattr(llmflame, called.attr)
        if isinstance(node, ast.Call):
            from llmflame.recording.workload import Workload

            parameters = {*inspect.signature(known).parameters, *Workload.__dataclass_fields__}
            assert {keyword.arg for keyword in node.keywords} <= parameters


def run_sql(found: Found, profile: Path) -> None:
    """Each query of a block can be asked of a profile."""
    db = sqlite3.connect(f"{profile.absolute().as_uri()}?mode=ro", uri=True)
    try:
        for query in found.text.split(";"):
            if query.strip():
                db.execute(query).fetchall()
    finally:
        db.close()
