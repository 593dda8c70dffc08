"""The whole reading on the machine that runs the tests, its summary and its command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import llmflame.probes.machine as package
from llmflame.analysis.machine import machine_summary
from llmflame.cli.machine import cache_folder, machine
from llmflame.probes.machine import read_machine
from llmflame.store.model import Fact

SOURCE_FOLDER = str(Path(package.__file__).parents[3])


def test_this_machine(tmp_path: Path) -> None:
    facts = read_machine(tmp_path / "not" / "yet", with_torch=False)
    known = {(fact.section, fact.name): fact.value for fact in facts if fact.value is not None}
    assert known["software", "python"] == sys.version.split()[0]
    for place in (("cpu", "logical CPUs"), ("memory", "RAM total"), ("disk", "free")):
        value = known[place]
        assert isinstance(value, int) and value > 0
    assert {"cpu", "caches", "memory", "limits", "disk", "gpu", "system", "mitigations"} <= {
        fact.section for fact in facts
    }
    assert all(fact.source and fact.name for fact in facts)
    places = [(fact.section, fact.name) for fact in facts]
    assert len(places) == len(set(places))
    rows = [[fact.section, fact.name, fact.value, fact.unit, fact.source] for fact in facts]
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows


def test_without_torch_nothing_imports_it(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from llmflame.probes.machine import read_machine;"
        f"read_machine(Path({str(tmp_path)!r}), with_torch=False);"
        "from llmflame.views.machine import machine_view; from llmflame.cli.machine import machine;"
        "assert not {'torch', 'transformers', 'cpuinfo'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {SOURCE_FOLDER!r}); {code}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")


def test_a_source_that_fails_is_one_unknown_fact(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(*arguments: object) -> list[Fact]:
        raise RuntimeError("nobody thought of this")

    monkeypatch.setattr(package, "memory_facts", fail)
    memory = [fact for fact in read_machine(tmp_path, with_torch=False) if fact.section == "memory"]
    wanted = "could not be read: RuntimeError: nobody thought of this"
    assert memory == [Fact("memory", "memory", None, None, wanted)]


def test_summary_of_two_gpus() -> None:
    facts = [
        Fact("cpu", "model", "X", None, "s"),
        Fact("cpu", "physical cores", 8, "cores", "s"),
        Fact("memory", "RAM total", 1024, "bytes", "s"),
        Fact("gpu", "GPUs", 3, "GPUs", "s"),
        *(Fact(f"gpu {n}", "name", name, None, "s") for n, name in enumerate(["A", "A", "B"])),
        Fact("software", "torch", "2.13.0", None, "s"),
    ]
    summary = machine_summary(facts)
    assert list(summary) == ["cpu", "cores", "ram_bytes", "gpu", "os", "python", "torch", "transformers"]
    assert list(summary.values()) == ["X", 8, 1024, "2 x A, B", None, None, "2.13.0", None]


def test_summary_tells_no_gpu_from_an_unknown_one() -> None:
    assert machine_summary([Fact("gpu", "GPUs", 0, "GPUs", "s")])["gpu"] == "none"
    assert machine_summary([Fact("gpu", "GPUs", None, "GPUs", "s")])["gpu"] is None
    assert set(machine_summary([]).values()) == {None}


def test_summary_finds_what_the_probes_name(tmp_path: Path) -> None:
    places = {(fact.section, fact.name) for fact in read_machine(tmp_path, with_torch=False)}
    assert {("cpu", "model"), ("cpu", "physical cores"), ("memory", "RAM total"), ("system", "OS")} <= places
    assert {("software", name) for name in ("python", "torch", "transformers")} <= places


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    facts = [Fact("cpu", "model", "Evil \x1b[31m[bold]\ud800", None, "file")]
    monkeypatch.setattr(package, "read_machine", lambda folder: facts)
    app = typer.Typer()
    app.command()(machine)
    return app


def test_command_prints_one_json_document(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["--json"])
    assert result.exit_code == 0 and result.stderr == ""
    row = {"section": "cpu", "name": "model", "unit": None, "source": "file"}
    assert json.loads(result.stdout) == {"schema": 1, "facts": [row | {"value": "Evil \x1b[31m[bold]\ud800"}]}
    assert "\x1b" not in result.stdout


def test_command_prints_the_view(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, [])
    assert result.exit_code == 0
    assert "Evil \\x1b[31m[bold]\\ud800" in result.stdout and "\x1b" not in result.stdout


def test_cache_folder_follows_the_variables_of_hugging_face() -> None:
    assert cache_folder({"HF_HUB_CACHE": "/a", "HF_HOME": "/b"}) == Path("/a")
    assert cache_folder({"HF_HOME": "/b", "XDG_CACHE_HOME": "/c"}) == Path("/b/hub")
    assert cache_folder({"XDG_CACHE_HOME": "/c"}) == Path("/c/huggingface/hub")
    assert cache_folder({}) == Path("~/.cache/huggingface/hub")
