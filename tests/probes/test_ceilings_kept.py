"""What was measured is kept for the machine it was measured on, and a damaged file counts for nothing."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmflame.probes.ceilings.kept import MOST_BYTES, file_name, keep, kept, with_kept
from llmflame.store.model import Fact

MACHINE = [
    Fact("cpu", "model", "A CPU", None, "s"),
    Fact("cpu", "logical CPUs", 8, "CPUs", "s"),
    Fact("memory", "RAM total", 25_276_510_208, "bytes", "s"),
    Fact("gpu", "GPUs", 1, "GPUs", "s"),
    Fact("gpu 0", "name", "NVIDIA H200", None, "s"),
    Fact("software", "torch", "2.13.0", None, "s"),
    Fact("disk", "free", 1, "bytes", "s"),
]
CEILINGS = [
    Fact("ceilings", "measured at", "2026-01-02T03:04:05+00:00", None, "the clock"),
    Fact("ceilings", "measured device", "NVIDIA H200", None, "torch"),
    Fact("ceilings", "measured threads", 8, "threads", "torch"),
    Fact("ceilings", "host copy", 2.5e10, "bytes/s", "Tensor.copy_"),
    Fact("ceilings", "disk read", None, "bytes/s", "not measured: no room"),
    Fact("ceilings", "launch latency", 4100.5, "ns", "Tensor.neg_"),
    Fact("ceilings 2", "device read", 4.2e12, "bytes/s", "Tensor.sum"),
]


def changed(section: str, name: str, value: Any) -> list[Fact]:
    return [
        replace(fact, value=value) if (fact.section, fact.name) == (section, name) else fact
        for fact in MACHINE
    ]


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "yet"
    assert kept(folder, MACHINE) == []
    file = keep(folder, MACHINE, CEILINGS)
    assert kept(folder, MACHINE) == CEILINGS
    assert with_kept(folder, MACHINE) == [*MACHINE, *CEILINGS]
    assert list(folder.iterdir()) == [file]
    keep(folder, MACHINE, CEILINGS[:3])
    assert kept(folder, MACHINE) == CEILINGS[:3]


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("cpu", "model", "Another"),
        ("cpu", "logical CPUs", 4),
        ("memory", "RAM total", 2**34),
        ("gpu 0", "name", "NVIDIA H100"),
        ("software", "torch", "2.11.0"),
        ("cpu", "model", None),
    ],
)
def test_another_machine_gets_nothing(tmp_path: Path, section: str, name: str, value: Any) -> None:
    keep(tmp_path, MACHINE, CEILINGS)
    assert kept(tmp_path, changed(section, name, value)) == []


def test_a_machine_stays_itself(tmp_path: Path) -> None:
    """Free room, the order of the facts and a kernel that takes a few megabytes more don't matter."""
    keep(tmp_path, MACHINE, CEILINGS)
    assert kept(tmp_path, changed("disk", "free", 2)) == CEILINGS
    assert kept(tmp_path, changed("memory", "RAM total", 25_276_510_208 - 5_000_000)) == CEILINGS
    assert kept(tmp_path, MACHINE[::-1]) == CEILINGS


def test_parts_of_a_gpu_are_another_machine() -> None:
    part = Fact("gpu 0", "MIG 0 name", "NVIDIA H200 MIG 1g.18gb", None, "s")
    assert file_name([*MACHINE, part]) != file_name(MACHINE)


def test_an_error_message_with_anything_in_it_is_kept(tmp_path: Path) -> None:
    wild = Fact("ceilings", "host copy", None, "bytes/s", "not measured: \x1b[31m\n\ud800" + "x" * 1000)
    keep(tmp_path, MACHINE, [wild])
    (back,) = kept(tmp_path, MACHINE)
    assert (
        back.value is None and back.source.startswith("not measured:  [31m  xx") and len(back.source) == 500
    )


def document(**changes: Any) -> str:
    row = asdict(CEILINGS[3]) | changes
    return json.dumps({"schema": 1, "facts": [row]})


DAMAGED = {
    "nothing": "",
    "no JSON": "{",
    "a list": "[]",
    "a number": "1",
    "no facts": '{"schema": 1}',
    "another key": '{"schema": 1, "facts": [], "more": 1}',
    "another schema": '{"schema": 2, "facts": []}',
    "a schema that is true": '{"schema": true, "facts": []}',
    "facts that are none": '{"schema": 1, "facts": {"a": 1}}',
    "a fact that is none": '{"schema": 1, "facts": [3]}',
    "a fact without source": '{"schema": 1, "facts": [{"section": "ceilings", "name": "host copy"}]}',
    "NaN": document(value=float("nan")),
    "infinity": document(value=float("inf")),
    "an infinite number": document().replace("25000000000.0", "1e999"),
    "a number of thousands of digits": document().replace("25000000000.0", "9" * 5000),
    "a whole number beyond floats": document().replace("25000000000.0", "9" * 400),
    "zero": document(value=0),
    "a negative rate": document(value=-1.0),
    "an absurd rate": document(value=1e30),
    "true for a rate": document(value=True),
    "text for a rate": document(value="fast"),
    "a list for a rate": document(value=[1]),
    "another section": document(section="cpu"),
    "a section with a line feed": document(section="ceilings\n"),
    "an unknown name": document(name="host teleport"),
    "a name that is a list": document(name=["host copy"]),
    "another unit": document(unit="FLOP/s"),
    "an escape in the source": document(source="\x1b[31m"),
    "half a character": document(source="\ud800"),
    "an empty source": document(source=""),
    "a long source": document(source="x" * 501),
    "no source": document(source=None),
    "a time that is none": document(name="measured at", unit=None, value="yesterday"),
    "a time of nowhere": document(name="measured at", unit=None, value="2026-01-02T03:04:05"),
    "a number for a device": document(name="measured device", unit=None, value=1),
    "threads and a half": document(name="measured threads", unit="threads", value=1.5),
    "no threads": document(name="measured threads", unit="threads", value=0),
    "a fact twice": json.dumps({"schema": 1, "facts": [asdict(CEILINGS[3])] * 2}),
    "one bad fact of two": json.dumps({"schema": 1, "facts": [asdict(CEILINGS[3]), None]}),
    "depth": "[" * 100_000,
    "deep facts": '{"schema": 1, "facts": ' + "[" * 50_000 + "]" * 50_000 + "}",
    "a large file": " " * MOST_BYTES + document(),
}


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_file_counts_for_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / file_name(MACHINE)).write_text(text)
    assert kept(tmp_path, MACHINE) == []


def test_the_undamaged_document_counts(tmp_path: Path) -> None:
    """So that the documents above fail for what is wrong with them alone."""
    (tmp_path / file_name(MACHINE)).write_text(document())
    assert kept(tmp_path, MACHINE) == [CEILINGS[3]]
    (tmp_path / file_name(MACHINE)).write_text(document(value=10**20))
    (fact,) = kept(tmp_path, MACHINE)
    assert isinstance(fact.value, float), "a database's integer would not hold it"


@given(raw=st.binary(max_size=200))
def test_any_bytes_are_read_without_an_error(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / file_name(MACHINE)).write_bytes(raw)
    assert kept(folder, MACHINE) == []


def test_what_is_no_plain_file_is_not_read(tmp_path: Path) -> None:
    place = tmp_path / file_name(MACHINE)
    place.mkdir()
    assert kept(tmp_path, MACHINE) == []
    place.rmdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(place)
        assert kept(tmp_path, MACHINE) == []


def test_a_failed_write_leaves_the_old_file_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = keep(tmp_path, MACHINE, CEILINGS)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        keep(tmp_path, MACHINE, CEILINGS[:1])
    assert kept(tmp_path, MACHINE) == CEILINGS
    assert list(tmp_path.iterdir()) == [file]


def test_an_interrupted_write_leaves_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupt(_descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        keep(tmp_path, MACHINE, CEILINGS)
    assert list(tmp_path.iterdir()) == []


def test_a_recording_holds_what_was_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import torch

    import llmflame
    from llmflame.probes.machine import read_machine

    monkeypatch.setenv("LLMFLAME_CACHE", str(tmp_path / "cache"))
    keep(tmp_path / "cache", read_machine(tmp_path / "cache", with_torch=False), CEILINGS)
    model = torch.nn.Linear(2, 2)
    with llmflame.Recorder(model, tmp_path / "a.llmflame") as recorder:
        model(torch.ones(1, 2))
    held = [fact for fact in recorder.profile.machine if fact.section.startswith("ceilings")]
    assert held == CEILINGS
