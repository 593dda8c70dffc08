"""Tables as comma-separated values, read back by the standard library."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from llmflame.errors import UsageError
from llmflame.exports.csv_table import csv_table
from llmflame.exports.request import Request
from llmflame.exports.tables import VIEWS
from llmflame.store.profile import read_profile
from tests.exports.made import HOSTILE, on_each_profile, request_of
from tests.handmade import handmade
from tests.handmade_gpu import handmade_gpu


def parsed(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


@on_each_profile
@pytest.mark.parametrize("view", VIEWS)
def test_reads_back(tmp_path: Path, kind: str, view: str) -> None:
    request = request_of(tmp_path, kind, view=view)
    head, *rows = parsed(csv_table(request))
    table = VIEWS[view](request)
    assert head == [column.name for column in table.columns]
    assert rows == [["" if value is None else str(value) for value in row] for row in table.rows]


def test_own_times_add_up_to_the_wall(tmp_path: Path) -> None:
    request = request_of(tmp_path, "cpu")
    head, *rows = parsed(csv_table(request))
    own = sum(int(row[head.index("tottime_ns")]) for row in rows)
    assert own == pytest.approx(sum(request.tree.selfs["wall_ns"]), abs=len(rows))


def test_one_phase(tmp_path: Path) -> None:
    request = request_of(tmp_path, "cpu", view="phases", phases=("load",))
    _, *rows = parsed(csv_table(request))
    assert {row[0] for row in rows} == {"load"}


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_name_is_no_formula(tmp_path: Path, start: str) -> None:
    name = f'{start}HYPERLINK("http://x", "y")'
    path = handmade_gpu(tmp_path / "a.llmflame", kernel=name)
    head, *rows = parsed(csv_table(Request(read_profile(path), view="kernels")))
    cells = [row[head.index("full_name")] for row in rows]
    assert any(cell.startswith("'") and cell.endswith('HYPERLINK("http://x", "y")') for cell in cells)
    texts = [cell for row in rows for cell in row if not _is_number(cell)]
    assert not [cell for cell in texts if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


def test_a_negative_number_stays_a_number(tmp_path: Path) -> None:
    request = request_of(tmp_path, "cpu", view="steps")
    table = VIEWS["steps"](request)
    place = table.place("rss_delta_bytes")
    head, *rows = parsed(csv_table(request))
    assert head[place] == "rss_delta_bytes"
    assert [int(row[place] or 0) for row in rows] == [row[place] or 0 for row in table.rows]


def test_names_are_one_line(tmp_path: Path) -> None:
    profile = read_profile(handmade(tmp_path / "a.llmflame", name=HOSTILE))
    text = csv_table(Request(profile))
    assert all(cell.isprintable() for row in parsed(text) for cell in row)
    text.encode("utf-8")


def test_what_has_no_use_is_refused(tmp_path: Path) -> None:
    profile = request_of(tmp_path, "cpu").profile
    for view in ("steps", "roofline", "load"):
        with pytest.raises(UsageError, match=f"--phase doesn't go with --view {view}"):
            csv_table(Request(profile, view=view, phases=("decode",)))
    with pytest.raises(UsageError, match="--all-frames"):
        csv_table(request_of(tmp_path, "gpu", view="ops", all_frames=True))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
