"""Published figures: dense, each with its source, and only for the device that is meant."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest

from llmflame.analysis.published import PUBLISHED, Published, published_for

DOCUMENT = Path(__file__).parents[2] / "docs" / "ceilings.md"
RATES = [field.name for field in dataclasses.fields(Published) if field.name.endswith("_per_s")]


@pytest.mark.parametrize(
    ("device", "name"),
    [
        ("NVIDIA H200", "H200 SXM"),
        ("NVIDIA H200 NVL", "H200 NVL"),
        ("NVIDIA A100-SXM4-80GB", "A100 80GB SXM"),
        ("NVIDIA A100-SXM4-40GB", "A100 40GB SXM"),
        ("A100-SXM4-40GB", "A100 40GB SXM"),
        ("NVIDIA A100-PCIE-40GB", "A100 40GB PCIe"),
        ("NVIDIA A100 80GB PCIe", "A100 80GB PCIe"),
        ("Tesla T4", "T4"),
        ("NVIDIA L4", "L4"),
        ("NVIDIA A10", "A10"),
        ("NVIDIA GeForce RTX 4090", "GeForce RTX 4090"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA H100 80GB HBM3", "H100 SXM"),
        ("NVIDIA H100 PCIe", "H100 PCIe"),
        ("NVIDIA H100 NVL", "H100 NVL"),
        ("NVIDIA B200", "B200"),
        ("AMD Instinct MI300X", "Instinct MI300X"),
        ("Apple M2 Pro", "Apple M2 Pro"),
        ("  nvidia  h200 ", "H200 SXM"),
    ],
)
def test_drivers_names_are_known(device: str, name: str) -> None:
    found = published_for(device)
    assert found is not None and found.name == name


@pytest.mark.parametrize(
    "device",
    [
        "",
        "NVIDIA",
        "NVIDIA A10G",
        "NVIDIA A100",
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "NVIDIA GeForce RTX 4090 D",
        "NVIDIA L40",
        "NVIDIA H100",
        "NVIDIA GH200 480GB",
        "NVIDIA GB200",
        "NVIDIA H20",
        "NVIDIA A100-SXM4-40GB MIG 1g.5gb",
        "NVIDIA H100 80GB HBM3 MIG 1g.10gb",
        "MIG 1g.10gb",
        "NVIDIA H200 MIG 1g.18gb",
        "GRID T4-8Q",
        "AMD Instinct MI300A",
        "AMD Instinct MI300X VF",
        "Apple M1",
        "Apple M3 Max",
        "Apple M4 Max",
        "Intel(R) Xeon(R) Processor",
        "\x00",
    ],
)
def test_other_devices_stay_unknown(device: str) -> None:
    assert published_for(device) is None


def test_no_name_belongs_to_two_devices() -> None:
    names = [name.casefold() for entry in PUBLISHED for name in entry.names]
    assert len(names) == len(set(names))
    assert all(published_for(name) is entry for entry in PUBLISHED for name in entry.names)
    assert len({entry.name for entry in PUBLISHED}) == len(PUBLISHED)


@pytest.mark.parametrize("entry", PUBLISHED, ids=lambda entry: entry.name)
def test_every_entry_is_plausible_and_has_a_source(entry: Published) -> None:
    assert entry.source and entry.names
    values = [getattr(entry, name) for name in RATES]
    known = [value for value in values if value is not None]
    assert known and all(math.isfinite(value) and value > 0 for value in known)
    assert entry.memory_bytes_per_s is not None and 5e10 < entry.memory_bytes_per_s < 2e13
    assert all(1e12 < value < 2e16 for value in known if value != entry.memory_bytes_per_s)


@pytest.mark.parametrize("entry", PUBLISHED, ids=lambda entry: entry.name)
def test_rates_are_dense(entry: Published) -> None:
    """Half the width gives at most twice the rate; a rate with sparsity would be twice that."""
    if entry.float16_flop_per_s is None:
        return
    for narrower, wider in (
        ("float8_flop_per_s", "float16_flop_per_s"),
        ("int8_op_per_s", "float16_flop_per_s"),
        ("float16_flop_per_s", "tfloat32_flop_per_s"),
    ):
        pair = getattr(entry, narrower), getattr(entry, wider)
        if None not in pair:
            # GeForce cards multiply int8 at the rate of float16 accumulation, twice that of float32's.
            most = 4 if (narrower, entry.name) == ("int8_op_per_s", "GeForce RTX 4090") else 2.05
            assert 1 < pair[0] / pair[1] <= most


def test_rates_are_found_by_dtype() -> None:
    h200 = published_for("NVIDIA H200")
    assert h200 is not None
    assert h200.flop_per_s("bfloat16") == h200.flop_per_s("float16") == pytest.approx(989.5e12)
    assert h200.flop_per_s("int8") == h200.flop_per_s("float8_e4m3fn") == pytest.approx(1979e12)
    assert h200.flop_per_s("float64") is None and h200.flop_per_s("") is None
    t4 = published_for("Tesla T4")
    assert t4 is not None and t4.flop_per_s("bfloat16") is None


def test_the_document_holds_the_same_figures() -> None:
    rows = {
        cells[0]: cells[1:]
        for line in DOCUMENT.read_text("utf-8").splitlines()
        if len(cells := [cell.strip() for cell in line.strip("|").split("|")]) == 9
    }
    for entry in PUBLISHED:
        shown = [None if cell == "unknown" else float(cell.replace(",", "")) for cell in rows[entry.name][:7]]
        wanted = [
            entry.float32_flop_per_s,
            entry.tfloat32_flop_per_s,
            entry.bfloat16_flop_per_s,
            entry.float16_flop_per_s,
            entry.float8_flop_per_s,
            entry.int8_op_per_s,
        ]
        scaled = [None if value is None else pytest.approx(value / 1e12) for value in wanted]
        assert shown[:6] == scaled
        assert shown[6] == pytest.approx((entry.memory_bytes_per_s or 0) / 1e9)
        assert rows[entry.name][7].startswith(entry.source)
