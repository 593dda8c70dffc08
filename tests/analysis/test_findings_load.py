"""The rule about loads: in which it fires with a gain by hand, and those that are well."""

from __future__ import annotations

from typing import Any

import pytest

from llmflame.analysis.findings import Finding
from llmflame.store.profile import Profile
from llmflame.store.rows import TransferRow

from .small import span, stored
from .test_findings_cpu import BASE, WIDE, check, findings, on_cpu
from .test_load_anatomy import MIB, MS, WIDENED, moved

COLD = [
    span("startup", 100 * MS, 1),
    span("import", 1900 * MS, 2),
    span("load", 1000 * MS, 3),
    span("load", 2000 * MS, 11, pass_name="anatomy", treatment="traced"),
]


def loaded(*transfers: TransferRow, **subject: Any) -> Profile:
    """A cold start of 3 s with a load of 1 s in it, which took 2 s traced."""
    return stored([*COLD, *transfers], subject={"device": "cpu"} | subject)


def found(*transfers: TransferRow) -> Finding | None:
    return findings(loaded(*transfers)).get("converted-weights")


def test_a_load_that_converts() -> None:
    one = found(WIDENED)
    assert one is not None
    check(one, 300 * MS, 3000 * MS, "cold start")
    assert one.title == "Loading converts the checkpoint from bfloat16 to float32"
    assert one.evidence == (
        "100 MiB are read and 200 MiB written to convert them, 300 ms, 30.0 % of the load",
        "both lie in memory meanwhile",
        "saved in float32 200 MiB would have to be read instead of 100 MiB: where the file isn't cached, "
        "that takes back some of the gain",
    )
    assert "Save the model once in float32" in one.change
    assert one.frames == ("load › weights",)


def test_a_wide_checkpoint_that_is_narrowed() -> None:
    """Several dtypes are one conversion, named after the largest."""
    one = found(
        moved("convert", "float32 cpu", "bfloat16 cpu", 400 * MIB, 200 * MIB, 600 * MS),
        moved("convert", "float16 cpu", "bfloat16 cpu", 2 * MIB, 2 * MIB, 20 * MS, part=""),
    )
    assert one is not None
    check(one, 310 * MS, 3000 * MS, "cold start")
    assert one.title.endswith("from float32 to bfloat16")
    assert one.evidence[0].startswith("402 MiB are read and 202 MiB written")
    assert one.evidence[1:] == ("both lie in memory meanwhile",), "a smaller file is read"
    assert one.frames == ("load › weights", "load")


def test_on_a_device_nothing_is_said_of_host_memory() -> None:
    one = found(moved("convert", "float32 cuda:0", "bfloat16 cuda:0", 400 * MIB, 200 * MIB, 200 * MS))
    assert one is not None
    check(one, 200 * MS, 3000 * MS, "cold start")
    assert len(one.evidence) == 1


def test_conversions_can_take_no_longer_than_the_load() -> None:
    one = found(WIDENED, moved("convert", "float16 cpu", "float32 cpu", MIB, MIB, 1900 * MS))
    assert one is not None
    check(one, 1000 * MS, 3000 * MS, "cold start")


@pytest.mark.parametrize(
    "row",
    [
        moved("convert", "bfloat16 cpu", "float32 cpu", 100 * MIB, 200 * MIB, 290 * MS),
        moved("convert", "int64 cpu", "float32 cpu", 8, 4, 600 * MS),
        moved("copy", "bfloat16 cpu", "bfloat16 cpu", 100 * MIB, 100 * MIB, 600 * MS),
        moved("to device", "bfloat16 cpu", "bfloat16 cuda:0", 100 * MIB, 100 * MIB, 600 * MS, pinned=False),
    ],
    ids=["little of the cold start", "a number", "a copy", "to a device"],
)
def test_loads_that_are_well(row: TransferRow) -> None:
    assert found(row) is None


def test_a_load_that_nobody_looked_into() -> None:
    assert found() is None


def test_loading_the_checkpoints_own_dtype_is_not_said_twice() -> None:
    """`wide-weights` says so already, for every request; where it doesn't hold, this one does."""
    said = findings(on_cpu(BASE, rows=[*COLD, WIDENED], subject=WIDE))
    assert "wide-weights" in said and "converted-weights" not in said
    other = moved("convert", "float16 cpu", "float32 cpu", 100 * MIB, 200 * MIB, 600 * MS)
    assert set(findings(on_cpu(BASE, rows=[*COLD, other], subject=WIDE))) == {
        "wide-weights",
        "converted-weights",
    }
