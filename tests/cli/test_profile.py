"""`llmflame profile`, with the recorder replaced: what it is told, what is shown, what is refused."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from llmflame.cli.profile import slug
from llmflame.errors import ProgramFailedError
from llmflame.recording.workload import DEFAULT_PROMPT, Workload
from tests.cli.conftest import Invoke
from tests.handmade import handmade


class Recorder:
    """Stands for the subjects and the recorder; leaves a hand-made profile."""

    def __init__(self) -> None:
        self.models: list[tuple[str, dict[str, Any]]] = []
        self.workloads: list[Workload] = []
        self.followed: list[bool] = []
        self.stalls: list[str | None] = []
        self.refusal: str | None = None
        self.failure: BaseException | None = None

    def resolve(self, model: str, *, progress: Any, **trust: bool) -> Any:
        progress(f"resolving [bold]{model}")
        self.models.append((model, trust))
        return SimpleNamespace(spec=model, context_tokens=128)

    def record(
        self,
        checkpoint: Any,
        workload: Workload,
        output: Path,
        *,
        force: bool,
        host_allocations: bool,
        stalls: str | None,
        progress: Any,
    ) -> str | None:
        progress("clean pass")
        self.workloads.append(workload)
        self.followed.append(host_allocations)
        self.stalls.append(stalls)
        if force:
            output.unlink(missing_ok=True)
        if self.failure is not None:
            handmade(output, until="load", status="failed", reason="boom")
            raise self.failure
        handmade(output)
        return self.refusal


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Recorder]:
    monkeypatch.chdir(tmp_path)
    fake = Recorder()
    monkeypatch.setattr("llmflame.subjects.resolve.resolve", fake.resolve)
    monkeypatch.setattr("llmflame.recording.record.record", fake.record)
    yield fake


def test_records_and_tells(invoke: Invoke, recorder: Recorder, tmp_path: Path) -> None:
    ended = invoke("profile", "org/Model-1B")
    assert ended.code == 0
    assert ended.out.splitlines()[-1] == "wrote Model-1B.llmflame"
    assert "TTFT" in ended.out and ended.err == ""
    assert recorder.models == [("org/Model-1B", {"trust_remote_code": False, "allow_pickle": False})]
    assert recorder.workloads == [Workload(prompt=DEFAULT_PROMPT)]
    assert [path.name for path in tmp_path.iterdir()] == ["Model-1B.llmflame"]


def test_every_option_reaches_the_workload(invoke: Invoke, recorder: Recorder) -> None:
    ended = invoke(
        "profile",
        "demo",
        "-o",
        "x.llmflame",
        "--prompt-tokens",
        "9",
        "--new-tokens",
        "3",
        "--batch-size",
        "2",
        "--dtype",
        "bfloat16",
        "--device",
        "cuda:1",
        "--repetitions",
        "5",
        "--sample",
        "--seed",
        "7",
        "--stop-at-eos",
        "--gauge-interval",
        "2.5",
        "--trust-remote-code",
        "--allow-pickle",
    )
    assert ended.code == 0, ended.err
    assert recorder.workloads == [
        Workload(
            prompt_tokens=9,
            new_tokens=3,
            batch_size=2,
            dtype="bfloat16",
            device="cuda:1",
            repetitions=5,
            sample=True,
            seed=7,
            stop_at_eos=True,
            gauge_interval_ms=2.5,
        )
    ]
    assert recorder.models[0][1] == {"trust_remote_code": True, "allow_pickle": True}


def test_prompts(invoke: Invoke, recorder: Recorder, tmp_path: Path) -> None:
    (tmp_path / "prompt.txt").write_text("Größe\n", encoding="utf-8")
    assert invoke("profile", "demo", "--prompt-file", "prompt.txt").code == 0
    assert invoke("profile", "demo", "--force", "--prompt", "[bold]x").code == 0
    assert [workload.prompt for workload in recorder.workloads] == ["Größe\n", "[bold]x"]


def test_json_is_the_only_thing_on_stdout(invoke: Invoke, recorder: Recorder) -> None:
    ended = invoke("profile", "demo", "--json", "--report", "page.html")
    assert ended.code == 0 and json.loads(ended.out)["status"] == "complete"
    assert ended.err.splitlines() == ["wrote demo.llmflame", "wrote page.html"]
    assert Path("page.html").exists()


def test_a_program_that_fails_leaves_its_profile(invoke: Invoke, recorder: Recorder) -> None:
    recorder.failure = ProgramFailedError("the clean pass failed: boom")
    ended = invoke("profile", "demo")
    assert ended.code == 1 and ended.out == ""
    assert ended.err == ("llmflame: the clean pass failed: boom. What was recorded is kept: demo.llmflame\n")
    assert "boom" in invoke("show", "demo.llmflame").out


def test_an_interruption_leaves_its_profile(invoke: Invoke, recorder: Recorder) -> None:
    recorder.failure = KeyboardInterrupt()
    ended = invoke("profile", "demo")
    assert ended.code == 1 and ended.out == ""
    assert ended.err == "llmflame: interrupted. What was recorded is kept: demo.llmflame\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--prompt", "a", "--prompt-tokens", "3"], "--prompt and --prompt-tokens exclude each other"),
        (["--prompt", "a", "--prompt-file", "x"], "--prompt and --prompt-file exclude each other"),
        (["--prompt-file", "missing.txt"], "can't read the prompt file missing.txt"),
        (["--prompt-file", "latin1.txt"], "latin1.txt is not UTF-8 text (at byte 2)"),
        (["--prompt", ""], "the prompt is empty"),
        (["--new-tokens", "0"], "--new-tokens must be at least 1"),
        (["--batch-size", "-1"], "--batch-size must be at least 1"),
        (["-o", "there.llmflame"], "there.llmflame exists: use --force"),
        (["-o", "no/such/folder/x"], "no such folder"),
        (["--report", "there.llmflame"], "there.llmflame exists: use --force"),
        (["--report", "new.llmflame", "-o", "new.llmflame"], "are the same file"),
    ],
)
def test_bad_usage_is_told_before_anything_runs(
    invoke: Invoke, recorder: Recorder, tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "there.llmflame").write_text("mine")
    (tmp_path / "latin1.txt").write_bytes(b"Gr\xf6\xdfe")
    ended = invoke("profile", "demo", *arguments)
    assert ended.code == 2 and ended.out == "" and ended.err.count("\n") == 1
    assert message in ended.err
    assert recorder.models == [] and (tmp_path / "there.llmflame").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 2


def test_without_torch_the_line_says_what_to_install(
    invoke: Invoke, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else real(name))
    ended = invoke("profile", "demo")
    assert ended.code == 2 and 'pip install "llmflame[run]"' in ended.err and ended.err.count("\n") == 1


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("demo", "demo"),
        ("org/Name-1.5B", "Name-1.5B"),
        ("./models/tiny/", "tiny"),
        ("/data/x.Q4_K.GGUF", "x.Q4_K"),
        ("dummy:llama-3.2-1b", "dummy-llama-3.2-1b"),
        ("a b\n[c]", "a-b-c"),
        ("..", "model"),
        ("x" * 500, "x" * 80),
    ],
)
def test_default_file_name(model: str, name: str) -> None:
    assert slug(model) == name


@pytest.mark.parametrize(
    ("words", "mode"), [([], None), (["--stalls"], "continuous"), (["--stalls=exact"], "exact")]
)
def test_stalls_may_stand_alone_or_say_how(
    invoke: Invoke, recorder: Recorder, words: list[str], mode: str | None
) -> None:
    ended = invoke("profile", "org/Model-1B", *words, "--new-tokens", "4")
    assert ended.code == 0
    assert recorder.stalls == [mode]
    assert [workload.new_tokens for workload in recorder.workloads] == [4]
    assert ("about 50 times as long" in ended.err) is (mode == "exact")  # said before it starts


def test_a_way_of_sampling_that_is_none_is_one_line(invoke: Invoke, recorder: Recorder) -> None:
    ended = invoke("profile", "org/Model-1B", "--stalls=always")
    assert ended.code == 2
    assert ended.err == "llmflame: --stalls or --stalls=exact, not --stalls='always'\n"
    assert recorder.workloads == []


def test_a_refusal_to_sample_leaves_the_profile(invoke: Invoke, recorder: Recorder, tmp_path: Path) -> None:
    recorder.refusal = "the stalls pass failed: no \x1b[31mpermission"
    ended = invoke("profile", "org/Model-1B", "--stalls")
    assert ended.code == 0
    assert "without stalls: the stalls pass failed: no " in ended.err and "\x1b" not in ended.err
    assert (tmp_path / "Model-1B.llmflame").is_file()
