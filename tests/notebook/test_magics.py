"""The magics in a real IPython shell, on a tiny model."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from IPython.core.error import UsageError

import llmflame
from llmflame import errors
from llmflame.recording.live import DEFAULT_REPETITIONS, runs_of
from tests.notebook.real_shell import Shell

CALL = "pipe('Once upon a time', max_new_tokens=3, do_sample=False)"
RUNS = runs_of(1)


@pytest.fixture(autouse=True)
def names(shell: Shell, pipe: Any) -> None:
    shell.names["pipe"] = pipe


def test_a_cell_shows_a_page_and_has_its_last_value(shell: Shell, pipe: Any) -> None:
    value = shell.run(f"%%llmflame -r 1\nresult = {CALL}\nresult[0]['generated_text'] + '!'")
    expected = pipe("Once upon a time", max_new_tokens=3, do_sample=False)
    assert value == expected[0]["generated_text"] + "!"
    assert shell.names["result"] == expected and shell.names["_"] == value
    (page,) = shell.pages
    assert "<iframe" in page and "srcdoc=" in page


def test_a_cell_whose_last_line_is_no_expression_has_no_value(shell: Shell) -> None:
    assert shell.run(f"%%llmflame --once\nresult = {CALL}") is None


def test_a_semicolon_silences_the_value(shell: Shell) -> None:
    assert shell.run(f"%%llmflame --once\n{CALL};  # but shown") is None
    assert shell.run(f"%llmflame --once {CALL};") is None
    assert len(shell.pages) == 2


def test_a_statement_on_a_line(shell: Shell) -> None:
    value = shell.run(f"%llmflame -r 1 --name profile {CALL}")
    assert value[0]["generated_text"]
    assert shell.names["profile"].windows
    assert shell.run("x = '{y}'\n%llmflame --once z = pipe(f'{x} a', max_new_tokens=2)") is None
    assert shell.names["z"][0]["generated_text"].startswith("{y} a"), "braces are the statement's own"


def test_it_says_how_often_it_runs(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    calls: list[int] = []
    shell.names["calls"] = calls
    shell.run(f"%%llmflame\ncalls.append(1)\n{CALL}")
    said = runs_of(DEFAULT_REPETITIONS)
    assert len(calls) == said == 8
    assert f"runs this code {said} times" in capsys.readouterr().out
    assert f"THE CODE RUNS {said} TIMES" in (shell.shell.find_line_magic("llmflame").__doc__)


def test_names_are_bound_as_if_the_cell_had_run_once(shell: Shell) -> None:
    shell.names["n"], shell.names["seen"] = 5, []
    shell.run(f"%%llmflame -r 1\nfirst = 'new' not in globals()\nn += 1\nnew = n\nseen.append(n)\n{CALL}")
    assert shell.names["n"] == shell.names["new"] == 6
    assert shell.names["first"] is True
    assert shell.names["seen"] == [6] * RUNS, "objects are changed by every run, as the help says"


def test_each_run_draws_the_same_and_the_cell_draws_once(shell: Shell) -> None:
    drawn: list[tuple[str, float, float]] = []
    shell.names["drawn"] = drawn
    torch.manual_seed(3)
    random.seed(3)
    shell.run(
        "%%llmflame -r 1\nimport random, torch\n"
        "text = pipe('a', max_new_tokens=4, do_sample=True)[0]['generated_text']\n"
        "drawn.append((text, random.random(), torch.rand(()).item()))"
    )
    assert len(drawn) == RUNS and len(set(drawn)) == 1
    torch.manual_seed(3)
    random.seed(3)
    shell.run("once = pipe('a', max_new_tokens=4, do_sample=True)[0]['generated_text']")
    assert drawn[0] == (shell.names["once"], random.random(), torch.rand(()).item())


def test_only_the_first_run_prints(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    shell.run(
        f"%%llmflame -r 1\nfrom IPython.display import display, HTML\nprint('heard')\n"
        f"display(HTML('<i>once</i>'))\n{CALL};"
    )
    assert capsys.readouterr().out.count("heard") == 1
    assert [page for page in shell.pages if page == "<i>once</i>"] == ["<i>once</i>"]


def test_once_runs_once_without_a_call_tree(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    calls: list[int] = []
    shell.names["calls"] = calls
    shell.run(f"%%llmflame --once --name profile\ncalls.append(1)\n{CALL}\n{CALL};")
    profile = shell.names["profile"]
    assert len(calls) == 1 and profile.windows == ()
    assert {span.repetition for span in profile.spans if span.name == "decode"} == {0, 1}
    assert "llmflame:" not in capsys.readouterr().out


def test_two_generations_in_one_request_are_told(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    shell.run(f"%%llmflame -r 1\n{CALL}\n{CALL};")
    assert "generates 2 times" in capsys.readouterr().out
    shell.run(f"%%llmflame -r 1\n{CALL};")
    assert "generates" not in capsys.readouterr().out


@pytest.mark.parametrize("how", ["--once", "-r 1"])
def test_an_exception_passes_through_unchanged(shell: Shell, how: str) -> None:
    mine = ArithmeticError("mine")
    shell.names["mine"] = mine
    with pytest.raises(ArithmeticError) as caught:
        shell.run(f"%%llmflame {how} -o failed.llmflame\nbefore = 1\n{CALL}\nraise mine")
    assert caught.value is mine
    assert shell.names["before"] == 1
    assert llmflame.open("failed.llmflame").run.reason == "ArithmeticError: mine"
    assert sum(len(m._forward_hooks) for m in shell.names["pipe"].model.modules()) == 0
    assert shell.run("1 + 1") == 2


def test_an_exception_in_a_later_run_ends_the_silence(
    shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.names["calls"] = []
    with pytest.raises(ZeroDivisionError):
        shell.run(f"%%llmflame -r 1\ncalls.append(1)\n{CALL}\n1 / (3 - len(calls))")
    capsys.readouterr()
    shell.run("print('heard')")
    assert capsys.readouterr().out == "heard\n"


def test_a_cells_own_usage_error_is_not_reworded(shell: Shell) -> None:
    with pytest.raises(errors.UsageError):
        shell.run("%%llmflame --once\nimport llmflame\nllmflame.profile(3)\npipe")


def test_a_syntax_error_is_one(shell: Shell) -> None:
    with pytest.raises(SyntaxError):
        shell.run("%%llmflame\npipe(")


def test_a_profile_is_kept_and_not_overwritten(shell: Shell, tmp_path: Path) -> None:
    shell.names["folder"] = tmp_path
    shell.run(f"%%llmflame --once -o {{folder}}/kept.llmflame\n{CALL};")
    kept = tmp_path / "kept.llmflame"
    assert llmflame.open(kept).run.status == "complete"
    calls: list[int] = []
    shell.names["calls"] = calls
    with pytest.raises(UsageError, match="exists"):
        shell.run("%%llmflame --once -o kept.llmflame\ncalls.append(1)\npipe")
    assert calls == []
    shell.run(f"%%llmflame --once --force --output='kept.llmflame'\n{CALL};")


def test_help_shows_the_options(shell: Shell) -> None:
    magic = shell.shell.find_cell_magic("llmflame")
    for option in ("--output", "--name", "--model", "--repetitions", "--once", "--force"):
        assert option in magic.__doc__
    shell.run("%llmflame?")


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("%%llmflame --nonsense\npipe('a')", "no option --nonsense"),
        ("%%llmflame -r none\npipe('a')", "whole number"),
        ("%%llmflame -r\npipe('a')", "-r needs a value"),
        ("%%llmflame -r 0\npipe('a')", "at least 1"),
        ("%%llmflame --once -r 2\npipe('a')", "exclude"),
        ("%%llmflame --force\npipe('a')", "--force goes with"),
        ("%%llmflame --name 2x\npipe('a')", "name of a variable"),
        ("%%llmflame --name class\npipe('a')", "name of a variable"),
        ("%%llmflame pipe\npipe('a')", "options only"),
        ("%%llmflame --model nobody\npipe('a')", "NameError"),
        ("%%llmflame --model 3\npipe('a')", "neither an nn.Module"),
        ("%%llmflame -o no/such/folder.llmflame\npipe('a')", "no such folder"),
        ("%%llmflame\n\n", "nothing to run"),
        ("%llmflame", "nothing to run"),
    ],
)
def test_what_cant_be_used_is_one_line_and_nothing_runs(shell: Shell, cell: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        shell.run(cell)
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert shell.pages == []


def test_the_model_is_the_one_that_the_code_names(shell: Shell) -> None:
    shell.names["other"] = torch.nn.Linear(2, 2)
    shell.names["model"] = shell.names["pipe"].model
    shell.run(f"%%llmflame --once --name one\n{CALL};")
    assert shell.names["one"].subject["model"] != "Linear"
    shell.run("%%llmflame --once --name two\nimport torch\nother(torch.ones(1, 2));")
    assert shell.names["two"].subject["model"] == "Linear"
    shell.run("def ask():\n    return pipe('a', max_new_tokens=2)")
    with pytest.raises(UsageError, match=r"more than one model \(pipe, other\): say which with --model NAME"):
        shell.run("%%llmflame --once\nask()")
    shell.run("%%llmflame --once --name three --model pipe.model\nask();")
    assert shell.names["three"].subject["model"] == shell.names["one"].subject["model"]
    del shell.names["other"]
    shell.run("%%llmflame --once --name four\nask();")
    assert [span.name for span in shell.names["four"].spans].count("step") == 2


def test_a_notebook_without_a_model_says_so(shell: Shell) -> None:
    del shell.names["pipe"]
    with pytest.raises(UsageError, match="load it in a cell above"):
        shell.run("%%llmflame\n1 + 1")
