"""Every notebook of examples/ in a Jupyter kernel, on a tiny model: nobody sees a terminal here."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from llmflame.views.notebook_frame import MOST_CHARACTERS
from tests.test_architecture import REPOSITORY

nbformat: Any = pytest.importorskip("nbformat")
nbclient: Any = pytest.importorskip("nbclient")

EXAMPLES = sorted((REPOSITORY / "examples").glob("*.ipynb"))
MOST_BYTES = 3_000_000
"""Of a notebook file with all its outputs."""
CELL_TIMEOUT_S = 300
each_example = pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: str(file.name))


def executed(file: Path, folder: Path, model: Path) -> Any:
    """The notebook after it ran from top to bottom. Raises the first cell's error."""
    notebook = nbformat.read(file, as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=CELL_TIMEOUT_S, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    # Under pytest a kernel leaves out what native code writes to standard error.
    left_out = ("COLUMNS", "TERM", "PYTEST_CURRENT_TEST")
    environment = {name: value for name, value in os.environ.items() if name not in left_out}
    environment |= {
        "PYTHONPATH": str(REPOSITORY / "src"),
        "IPYTHONDIR": str(folder / "ipython"),
        "LLMFLAME_EXAMPLE_MODEL": str(model),
    }
    return client.execute(env=environment)


def pages(notebook: Any) -> list[str]:
    """The HTML of every profile that is shown."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    found = [output["data"].get("text/html", "") for output in outputs if "data" in output]
    return [html for html in found if "<iframe" in html]


def said(notebook: Any, stream: str) -> str:
    """All that was written to a stream."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return "".join(output["text"] for output in outputs if output.get("name") == stream)


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 2


@each_example
def test_an_example_is_kept_without_outputs(file: Path) -> None:
    notebook = nbformat.read(file, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None


@each_example
def test_an_example_runs(file: Path, tmp_path: Path, tiny_folder: Path) -> None:
    notebook = executed(file, tmp_path, tiny_folder)
    found = pages(notebook)
    assert found
    assert all("srcdoc=" in page and len(page) <= MOST_CHARACTERS for page in found)
    written = tmp_path / "executed.ipynb"
    nbformat.write(notebook, written)
    assert written.stat().st_size <= MOST_BYTES
    assert "Traceback" not in said(notebook, "stderr")
    if file.stem == "a-loaded-model":
        assert said(notebook, "stdout").count("llmflame runs this code 8 times") == 2
        # transformers has its say in the first cell, torch one of its allocator's later: llmflame has none.
        notebook.cells = notebook.cells[2:]
        lines = said(notebook, "stderr").splitlines()
        assert [line for line in lines if "CPUAllocator.cpp" not in line] == []
