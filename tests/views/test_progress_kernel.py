"""Progress in a real kernel: one output, however often it changed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")

import llmflame  # noqa: E402

CELL = f"""
import sys
sys.path.insert(0, {str(Path(llmflame.__file__).parents[1])!r})
from llmflame.progress import Piece
from llmflame.views.notebook_progress import in_notebook
from llmflame.views.watching import progress_for
assert in_notebook()
progress = progress_for(None, alone=True)
progress.begin([Piece(f"piece {{number}}", 1) for number in range(2000)])
for number in range(2000):
    progress.step(f"piece {{number}}")
progress.finish()
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::UserWarning")
def test_a_kernel_keeps_one_small_output() -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": sys.executable}
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    (output,) = notebook.cells[0].outputs
    assert output["data"]["text/plain"].startswith("llmflame: 0:0")
    assert len(json.dumps(notebook)) < 4_000
