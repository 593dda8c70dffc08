"""What a load did, by hand: bytes, times scaled to the undisturbed load, and what was written twice."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from llmflame.analysis.load_anatomy import LoadAnatomy, load_anatomy
from llmflame.analysis.load_table import COLUMNS, load_table
from llmflame.store.model import Fact
from llmflame.store.profile import Profile
from llmflame.store.rows import ProbeReportRow, Row, TransferRow

from .gpu import fact
from .small import span, stored

Kind = Literal["copy", "convert", "to device", "from device", "on device"]
MIB = 1 << 20
MS = 10**6
NAMES = [column.name for column in COLUMNS]


def moved(
    kind: Kind, source: str, target: str, read: int, written: int, wall: int, **more: Any
) -> TransferRow:
    named = {"part": "weights", "pinned": None, "calls": 3} | more
    return TransferRow(
        "anatomy",
        "load",
        kind=kind,
        source=source,
        target=target,
        source_bytes=read,
        target_bytes=written,
        wall_ns=wall,
        **named,
    )


WIDENED = moved("convert", "bfloat16 cpu", "float32 cpu", 100 * MIB, 200 * MIB, 600 * MS)
CUDA = "bfloat16 cuda:0"
CROSSED = moved(
    "to device", "bfloat16 cpu", CUDA, 100 * MIB, 100 * MIB, 50 * MS, part="to device", pinned=False
)
CACHED = ProbeReportRow("clean", "page cache", "weights cached before load", 0.95, "share")
NOTED = ProbeReportRow("anatomy", "transfers", "kinds in load", 0, "count")


def profile(
    *transfers: Row,
    traced: int = 2000,
    parts: tuple[int, int] | None = None,
    facts: list[Fact] | None = None,
    **subject: Any,
) -> Profile:
    """A load of a second, traced in two; `parts` are the times of its part `weights` in both, in ms."""
    rows: list[Row] = [
        span("import", 5, 1, rss_file_bytes=10 * MIB),
        span(
            "load", 1000 * MS, 2, start_ns=5, read_bytes=30 * MIB, disk_wait_ns=100 * MS,
            rss_file_bytes=110 * MIB, peak_rss_bytes=400 * MIB,
        ),
        span("load", traced * MS, 11, pass_name="anatomy", treatment="traced"),
    ]  # fmt: skip
    if parts is not None:
        rows.append(span("weights", parts[0] * MS, 3, parent=2))
        rows.append(span("weights", parts[1] * MS, 12, parent=11, pass_name="anatomy", treatment="traced"))
    known: dict[str, Any] = {"device": "cpu", "weight_bytes": 100 * MIB, "weights_in_memory_bytes": 200 * MIB}
    return stored([*rows, CACHED, *transfers], subject=known | subject, facts=facts or [])


def anatomy(*transfers: Row, **more: Any) -> LoadAnatomy:
    found = load_anatomy(profile(*transfers, **more))
    assert found is not None
    return found


def test_what_was_read_and_mapped() -> None:
    found = anatomy(NOTED)
    assert (found.read_bytes, found.mapped_bytes, found.disk_wait_ns) == (30 * MIB, 100 * MIB, 100 * MS)
    assert (found.checkpoint_bytes, found.weights_bytes, found.cached_share) == (100 * MIB, 200 * MIB, 0.95)
    assert (found.wall_ns, found.peak_rss_bytes, found.moves, found.known) == (1000 * MS, 400 * MIB, (), True)


def test_a_profile_without_a_load() -> None:
    assert load_anatomy(stored()) is None
    table = load_table(stored())
    assert (table.rows, table.notes) == ((), ("This profile has no load in it.",))


def test_transfers_of_other_phases_are_not_the_loads() -> None:
    other = TransferRow("anatomy", "warmup", "", "copy", "int64 cpu", "int64 cpu", None, 1, 8, 8, 1)
    assert anatomy(other).moves == ()


def test_host_times_are_scaled_by_the_part_that_they_lie_in() -> None:
    """Of a part that took 900 ms traced and 300 ms undisturbed, 600 are 200."""
    (move,) = anatomy(WIDENED, parts=(300, 900)).moves
    assert move.time_ns == pytest.approx(200 * MS)
    assert move.share == pytest.approx(0.2)
    (move,) = anatomy(WIDENED).moves
    assert move.time_ns == pytest.approx(300 * MS), "no parts are marked: as the whole load, 1 of 2 s"


def test_a_cold_load_is_slower_by_its_storage_and_not_by_its_copies() -> None:
    (move,) = anatomy(WIDENED, parts=(990, 700)).moves
    assert move.time_ns == 600 * MS
    (move,) = anatomy(WIDENED, traced=500).moves
    assert move.time_ns == 600 * MS


def test_a_devices_times_are_its_own() -> None:
    (move,) = anatomy(CROSSED).moves
    assert move.time_ns == 50 * MS
    assert move.share == pytest.approx(0.05)


def test_no_copy_takes_longer_than_the_load() -> None:
    slow = moved("convert", "bfloat16 cpu", "float32 cpu", MIB, MIB, 9000 * MS)
    assert anatomy(slow).moves[0].time_ns == 1000 * MS


def test_a_load_that_was_not_traced() -> None:
    rows: list[Row] = [span("load", 100, 1), WIDENED]
    found = load_anatomy(stored(rows))
    assert found is not None and found.known
    assert [move.time_ns for move in found.moves] == [100]
    found = load_anatomy(stored(rows[:1]))
    assert found is not None and not found.known
    assert (found.read_bytes, found.mapped_bytes, found.weights_bytes) == (None, None, None)


RATES = [
    fact("ceilings", "measured device", "H200"),
    fact("ceilings", "host copy", 20e9),
    fact("ceilings", "device copy", 4e12),
    fact("ceilings", "host to device pageable", 10e9),
    fact("ceilings", "host to device pinned", 50e9),
    fact("ceilings", "device to host pinned", 40e9),
    fact("ceilings: L4", "measured device", "L4"),
    fact("ceilings: L4", "host to device pageable", 5e9),
]


@pytest.mark.parametrize(
    ("kind", "source", "target", "pinned", "ceiling"),
    [
        ("convert", "bfloat16 cpu", "float32 cpu", None, 20e9),
        ("copy", "bfloat16 cpu", "bfloat16 cpu", None, 20e9),
        ("copy", CUDA, CUDA, None, 4e12),
        ("to device", "bfloat16 cpu", CUDA, False, 10e9),
        ("to device", "bfloat16 cpu", CUDA, True, 50e9),
        ("to device", "bfloat16 cpu", CUDA, None, None),
        ("from device", CUDA, "bfloat16 cpu", True, 40e9),
        ("from device", CUDA, "bfloat16 cpu", False, None),
        ("on device", CUDA, "bfloat16 cuda:1", None, None),
    ],
)
def test_each_kind_has_its_ceiling(
    kind: Kind, source: str, target: str, pinned: bool | None, ceiling: float | None
) -> None:
    row = moved(kind, source, target, 100, 100, 50, pinned=pinned)
    (move,) = anatomy(row, facts=RATES, device_name="H200").moves
    assert move.ceiling_bytes_per_s == ceiling
    both = kind in ("copy", "convert")
    assert move.bytes_per_s == pytest.approx(4e9 if both else 2e9), "a copy in one memory reads and writes"


def test_each_device_has_its_ceilings_and_the_host_has_its_own() -> None:
    found = anatomy(CROSSED, WIDENED, facts=RATES, device_name="L4")
    assert {move.row.kind: move.ceiling_bytes_per_s for move in found.moves} == {
        "to device": 5e9,
        "convert": 20e9,
    }
    assert anatomy(CROSSED).moves[0].ceiling_bytes_per_s is None


def test_a_widened_checkpoint_is_in_memory_twice() -> None:
    found = anatomy(WIDENED)
    assert found.double_copies == (
        "100 MiB of bfloat16 were converted into 200 MiB of float32 in host memory (300 ms, 30.0 % of the "
        "load): the checkpoint's pages and the copies are resident together",
    )
    assert (found.copied_bytes, found.to_device_bytes) == (0, 0)


def test_what_is_converted_and_then_moved_is_written_twice() -> None:
    wide = moved("to device", "float32 cpu", "float32 cuda:0", 200 * MIB, 200 * MIB, 40 * MS, pinned=False)
    found = anatomy(WIDENED, wide)
    assert found.double_copies[1:] == (
        "200 MiB were written in host memory before they were moved to the device (200 MiB in 40.0 ms, 4.0 % "
        "of the load)",
    )
    assert found.to_device_bytes == 200 * MIB


def test_plain_copies_are_said() -> None:
    found = anatomy(moved("copy", "bfloat16 cpu", "bfloat16 cpu", 50 * MIB, 50 * MIB, 20 * MS))
    assert found.copied_bytes == 50 * MIB
    assert found.double_copies == (
        "50 MiB were copied in host memory without a change (10.0 ms, 1.0 % of the load): the checkpoint's "
        "pages and the copies are resident together",
    )


def test_what_is_moved_wider_and_narrowed_there_is_said() -> None:
    wide = moved("to device", "float32 cpu", "float32 cuda:0", 400 * MIB, 400 * MIB, 40 * MS, pinned=True)
    there = moved("convert", "float32 cuda:0", CUDA, 400 * MIB, 200 * MIB, 2 * MS)
    assert anatomy(wide, there).double_copies == (
        "400 MiB of float32 were converted into 200 MiB of bfloat16 on cuda:0 (2.00 ms, 0.2 % of the load): "
        "what was moved and the copies are resident together",
        "400 MiB were moved to the device, the weights are 200 MiB: some were moved more than once, or in a "
        "wider dtype",
    )


def test_single_numbers_and_one_way_to_the_device_are_no_double_copies() -> None:
    single = moved("convert", "int64 cpu", "float32 cpu", 8, 4, 10)
    assert anatomy(single, CROSSED, weights_in_memory_bytes=100 * MIB).double_copies == ()


# --- the table -------------------------------------------------------------------------------------------


def test_a_row_for_each_kind_the_longest_first() -> None:
    table = load_table(profile(CROSSED, WIDENED, facts=RATES, device="cuda:0", device_name="H200"))
    assert all(len(row) == len(COLUMNS) for row in table.rows)
    rows = [dict(zip(NAMES, row, strict=True)) for row in table.rows]
    assert [row["what"] for row in rows] == ["read", "mapped at its end", "convert", "to device"]
    assert (rows[0]["source_bytes"], rows[0]["time_ns"], rows[0]["share"]) == (30 * MIB, 100 * MS, 0.1)
    assert rows[1]["source_bytes"] == 100 * MIB
    crossed = rows[3]
    assert (crossed["part"], crossed["source"], crossed["target"]) == ("to device", "bfloat16 cpu", CUDA)
    assert (crossed["memory"], crossed["calls"], crossed["time_ns"]) == ("pageable", 3, 50 * MS)
    assert (crossed["rate"], crossed["ceiling"]) == ("2.10 GB/s", "10.0 GB/s")
    assert crossed["ceiling_bytes_per_s"] == 10e9
    assert (rows[2]["time_ns"], rows[2]["traced_ns"]) == (300 * MS, 600 * MS)


def test_its_notes() -> None:
    notes = load_table(profile(WIDENED)).notes
    assert notes[:2] == (
        "The weights: 100 MiB in the checkpoint's files, 200 MiB in memory.",
        "Before the load 95.0 % of them was cached: warm.",
    )
    assert notes[2].startswith("100 MiB of bfloat16 were converted into 200 MiB") and notes[2].endswith(".")
    assert "one thread" in notes[3] and len(notes) == 4


def test_weights_that_lie_where_they_are_mapped() -> None:
    single = moved("convert", "int64 cpu", "float32 cpu", 8, 4, 10)
    table = load_table(profile(NOTED, single))
    assert table.notes[-1].startswith("No weights were copied: they lie in the checkpoint's mapped pages")
    assert table.rows[-1][NAMES.index("rate")] is None, "of one number it is the call that takes the time"
    notes = load_table(profile(NOTED, single, device="cuda:0")).notes
    assert not any("No weights were copied" in note for note in notes)


def test_a_profile_that_does_not_know() -> None:
    table = load_table(profile())
    assert table.notes[-1].startswith("What the load copied is not known")
    assert len(table.rows) == 2
    assert load_table(stored([span("load", 100, 1)])).rows == ()
