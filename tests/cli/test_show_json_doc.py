"""docs/show-json.md names every field that a document has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llmflame.analysis import (
    functions_table,
    idle_table,
    kernels_table,
    load_table,
    machine_table,
    modules_table,
    ops_table,
    phases_table,
    roofline_table,
    steps_table,
    tree_table,
)
from llmflame.analysis.memory.overview import memory_document
from llmflame.analysis.stalls import instructions_table, stalls_table
from llmflame.analysis.stalls.reasons import GROUPS, REASONS
from llmflame.analysis.summary import summarise
from llmflame.store import metrics
from llmflame.store.profile import read_profile
from tests.handmade import handmade
from tests.handmade_gpu import handmade_gpu
from tests.handmade_memory import handmade_memory
from tests.handmade_stalls import handmade_stalls

DOC = (Path(__file__).parents[2] / "docs" / "show-json.md").read_text("utf-8")
NAMED = {name.removeprefix(".") for name in re.findall(r"`([^`\n]+)`", DOC)}
NAMED |= {name.rpartition(".")[2] for name in NAMED if re.fullmatch(r"[a-z_]+\.[a-z_]+", name)}


def names(value: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield f"{prefix}{key}"
            yield from names(inner, f"{key}." if key in ("waiting", "tpot_ms") else "")
    elif isinstance(value, list):
        for inner in value:
            yield from names(inner, prefix)


def test_every_field_of_the_summary_is_described(tmp_path: Path) -> None:
    grouped = {"waiting", "tpot_ms", "tpot_ms.p10", "tpot_ms.p90"}
    assert {"p10", "p90"} <= NAMED
    for path in (
        handmade(tmp_path / "a.llmflame"),
        handmade_gpu(tmp_path / "b.llmflame"),
        handmade_memory(tmp_path / "c.llmflame", device=True),
        handmade_stalls(tmp_path / "d.llmflame"),
    ):
        document = json.loads(json.dumps(summarise(read_profile(path))))
        assert set(names(document)) - grouped - {*REASONS, *GROUPS} - NAMED == set()


def test_every_field_of_memory_is_described(tmp_path: Path) -> None:
    path = handmade_memory(tmp_path / "a.llmflame", device=True, failed=True)
    found = memory_document(read_profile(path))
    readings = set(found["failure"].pop("readings"))
    assert set(names(found)) - NAMED - readings == set()


def test_every_column_is_described() -> None:
    columns = [
        *phases_table.COLUMNS,
        *tree_table.COLUMNS,
        *ops_table.HOST,
        *ops_table.DEVICE,
        *functions_table.COLUMNS,
        *steps_table.COLUMNS,
        *machine_table.COLUMNS,
        *kernels_table.COLUMNS,
        *modules_table.COLUMNS,
        *idle_table.COLUMNS,
        *roofline_table.COLUMNS,
        *load_table.COLUMNS,
        *tree_table.columns_of(metrics.HELD),
        *(column for column in stalls_table.COLUMNS if not column.name.startswith(tuple(REASONS))),
        *instructions_table.COLUMNS,
    ]
    usual = {"phase"}
    assert {column.name for column in columns} - usual - NAMED == set()
