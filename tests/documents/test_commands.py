"""Every command, program and query in the documents works: what can't be run is declared in exceptions.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmflame.cli.app import run
from tests.documents import reader
from tests.documents.collect import DOCUMENTS, Found, command_of, found_in
from tests.documents.exceptions import EXIT_CODES, ONLY_COMPILED, ONLY_PARSED, PREFIXES
from tests.handmade import handmade
from tests.handmade_gpu import handmade_gpu
from tests.handmade_heap import handmade_heap
from tests.handmade_lab import handmade_lab
from tests.handmade_memory import handmade_memory
from tests.handmade_stalls import handmade_stalls

FOUND = [one for document in DOCUMENTS for one in found_in(document)]
COMMANDS = [one for one in FOUND if one.kind in ("command", "span")]


def of(*kinds: str) -> pytest.MarkDecorator:
    chosen = [one for one in FOUND if one.kind in kinds]
    return pytest.mark.parametrize("found", chosen, ids=map(str, chosen))


def is_compiled_only(found: Found) -> bool:
    return any(
        found.document == where.partition(": ")[0]
        and any(line.startswith(where.partition(": ")[2]) for line in found.text.splitlines())
        for where in ONLY_COMPILED
    )


@pytest.fixture(scope="module")
def profiles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("profiles")
    return {
        "cpu": handmade(folder / "cpu.llmflame"),
        "heap": handmade_heap(folder / "heap.llmflame"),
        "memory": handmade_memory(folder / "memory.llmflame"),
        "gpu": handmade_gpu(folder / "gpu.llmflame"),
        "stalls": handmade_stalls(folder / "stalls.llmflame"),
        "lab": handmade_lab(folder / "lab.llmflame", batches=(1,)),
    }


def profile_for(text: str, profiles: dict[str, Path]) -> Path:
    """Hand-made: an experiment where one is named, of a GPU where a device is asked about, with stalls,
    holders of memory or followed allocations where those are."""
    asked = {
        "lab": ("lab.llmflame",),
        "stalls": ("stalls", "instructions"),
        "gpu": ("device", "idle", "kernels"),
        "heap": ("heap",),
        "memory": ("memory", "bytes", "held"),
    }
    kinds = (kind for kind, words in asked.items() if any(word in text for word in words))
    return profiles[next(kinds, "cpu")]


def test_something_is_found() -> None:
    assert {one.kind for one in FOUND} == {"command", "span", "python", "sql"}
    assert len(COMMANDS) > 30


@of("command", "span")
def test_a_command(
    found: Found, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, profiles: dict[str, Path]
) -> None:
    command = found.text
    monkeypatch.chdir(tmp_path)
    if any(command.startswith(prefix) for prefix in PREFIXES):
        reader.check_not_run(command)
    elif reader.is_synopsis(found):
        reader.check_synopsis(command)
    elif command in ONLY_PARSED:
        if command.startswith("llmflame "):
            reader.parse(command)
    else:
        words = reader.arguments_of(command)
        reader.provide(tmp_path, profile_for(command, profiles), words)
        reader.run_command(command, tmp_path)


@of("python")
def test_python(
    found: Found, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, profiles: dict[str, Path]
) -> None:
    monkeypatch.chdir(tmp_path)
    if is_compiled_only(found):
        reader.check_python(found)
    else:
        reader.run_python(found, tmp_path, profiles["cpu"])


@of("sql")
def test_a_query(found: Found, profiles: dict[str, Path]) -> None:
    reader.run_sql(found, profiles["gpu"])
    reader.run_sql(found, profiles["memory"])


def test_no_exception_is_left_over() -> None:
    texts = {one.text for one in COMMANDS}
    assert set(ONLY_PARSED) <= texts and set(EXIT_CODES) <= texts
    assert all(any(text.startswith(prefix) for text in texts) for prefix in PREFIXES)
    compiled = [one for one in FOUND if one.kind == "python" and is_compiled_only(one)]
    assert len(compiled) == len(ONLY_COMPILED)


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("    llmflame show a.llmflame   # a comment", "llmflame show a.llmflame"),
        ("$ llmflame show a.llmflame", "llmflame show a.llmflame"),
        (" llmflame: no such file", None),
        ("    model.layers.3", None),
        ("go tool pprof -top a.pb.gz", "go tool pprof -top a.pb.gz"),
    ],
)
def test_what_a_command_is(line: str, command: str | None) -> None:
    assert command_of(line) == command


@pytest.mark.parametrize(
    "wrong",
    ["llmflame profile demo --no-such-option", "llmflame plan demo --batch many"],
)
def test_parsing_finds_mistakes(wrong: str) -> None:
    with pytest.raises(Exception, match=r"(?i)no such option|valid integer"):
        reader.parse(wrong)


def test_running_finds_mistakes(tmp_path: Path, profiles: dict[str, Path]) -> None:
    assert run(["show", str(profiles["gpu"]), "--view", "nothing"]) == 2
    with pytest.raises(AssertionError):
        reader.run_command(f"llmflame show {tmp_path}/missing.llmflame", tmp_path)
    with pytest.raises(AssertionError):
        reader.check_synopsis("llmflame export FILE [--no-such-option]")
    with pytest.raises(AssertionError):
        reader.check_not_run("make no-such-target")
    with pytest.raises(KeyError):
        reader.check_synopsis("llmflame nothing FILE")
