"""Each check of the device's account, where it holds and where it doesn't."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from llmflame.analysis.device_checks import Check, device_checks
from llmflame.analysis.run_tree import build_run_tree
from llmflame.store.profile import Profile
from llmflame.store.rows import ProbeReportRow, Row
from tests.gpu_script import US, Script

from .gpu import fact, on_gpu
from .small import observed, python, request, stored, window

SAMPLE = python("_sample", "transformers/generation/utils.py", 312)
WELL = {
    "launches": 700.0, "work on the tree": 710.0, "work listed": 710.0, "launches without work": 0.0,
    "work without launch": 0.0, "work before its launch": 0.0, "largest clock skew": 0.0,
    "allocator imbalance": 0.0,
}  # fmt: skip

EARLY = {"work before its launch": 4.0, "largest clock skew": 2_500.0}


def reports(values: Mapping[str, float | None]) -> list[Row]:
    return [
        ProbeReportRow("anatomy", "device checks", name, value, "count")
        for name, value in values.items()
        if value is not None
    ]


def _script(*, waits: bool = True) -> Script:
    script = Script()
    script.host(20 * US, SAMPLE)
    script.launch("gemm", 100 * US, SAMPLE)
    if waits:
        script.wait(SAMPLE)
    return script


def checks(profile: Profile) -> dict[str, Check]:
    return {check.name: check for check in device_checks(profile, build_run_tree(profile))}


def test_an_account_that_agrees_with_itself() -> None:
    found = checks(on_gpu(_script(), rows=reports(dict(WELL))))
    assert {name: check.passed for name, check in found.items()} == {
        "launches": True,
        "work on the tree": True,
        "clocks": True,
        "allocator": True,
        "device time in its step": True,
    }
    assert found["launches"].words == "700 launches, 710 kernels, copies and fills"
    assert found["work on the tree"].words == "710 of the 710 that the tracer listed hang on the tree"
    assert found["device time in its step"].words.startswith("0 % of the device's time")


@pytest.mark.parametrize(
    ("name", "changed", "words"),
    [
        ("launches", {"launches without work": 3.0}, "; 3 launches lost their work"),
        ("launches", {"work without launch": 2.0}, "; 2 ran without a known launch"),
        ("work on the tree", {"work listed": 715.0}, "710 of the 715"),
        ("work on the tree", {"work listed": 600.0}, "710 of the 600"),
        ("clocks", EARLY, "4 works began before their launch, by up to 2.50 µs"),
        ("allocator", {"allocator imbalance": 4096.0}, "differs by 4 KiB from"),
    ],
)  # fmt: skip
def test_an_account_that_does_not(name: str, changed: dict[str, float], words: str) -> None:
    found = checks(on_gpu(_script(), rows=reports(dict(WELL) | changed)))
    assert found[name].passed is False and words in found[name].words
    assert [check.name for check in found.values() if check.passed is False] == [name]


def test_a_counter_that_was_not_read_is_neither() -> None:
    found = checks(on_gpu(_script(), rows=reports(dict(WELL) | {"allocator imbalance": None})))
    assert found["allocator"].passed is None


def test_reports_of_two_recordings_add_up_but_the_skew_is_the_larger() -> None:
    early = {"work before its launch": 1.0, "largest clock skew": 2_000.0}
    late = {"work before its launch": 2.0, "largest clock skew": 3_000.0}
    rows = [*reports(dict(WELL) | early), *reports(dict(WELL) | late)]
    found = checks(on_gpu(_script(), rows=rows))
    assert found["launches"].words.startswith("1,400 launches")
    assert found["clocks"].words == "3 works began before their launch, by up to 3.00 µs"


def test_device_time_that_ends_after_its_step() -> None:
    """The step ends 24 after it began, 1 before its kernel starts."""
    found = checks(on_gpu(_script(waits=False), rows=reports(dict(WELL))))
    assert found["device time in its step"].passed is False
    assert found["device time in its step"].words.startswith("100 % of the device's time")


def test_where_no_device_was_asked_for_there_is_nothing_to_check() -> None:
    assert checks(stored()) == {}
    assert checks(stored(subject={"device": "cpu"}, facts=[fact("gpu", "GPUs", 0)])) == {}


def test_a_gpu_that_torch_cannot_use_is_told() -> None:
    subject = {"device": "cpu", "cuda_unusable": "the driver is too old"}
    found = checks(stored(subject=subject, facts=[fact("gpu", "GPUs", 2)]))
    assert found["GPU used"].passed is False
    assert found["GPU used"].words.endswith("2 GPU(s), it ran on the CPU: the driver is too old")
    assert checks(stored(subject={"device": "cpu"}, facts=[fact("gpu", "GPUs", 2)])) == {}


def test_a_tracer_that_saw_no_kernel_is_told() -> None:
    cells = observed({(SAMPLE,): {"wall_ns": 100, "calls": 1}})
    trees = [(window(1001, "prefill", 100, 0), cells)]
    found = checks(stored(request({"prefill": 100}), trees, subject={"device": "cuda:0"}))
    assert found["kernels"].passed is False and "no kernel was recorded" in found["kernels"].words
    assert checks(stored(request({"prefill": 100}), trees, subject={"device": "cpu"})) == {}
    assert "kernels" not in checks(on_gpu(_script()))


@pytest.mark.parametrize(("count", "passed"), [(0, True), (2, False)])
def test_other_processes_on_the_gpu_are_told(count: int, passed: bool) -> None:
    others = fact("gpu 0", "other processes", count)
    found = checks(on_gpu(_script(), facts=[fact("gpu", "GPUs", 1), others]))
    assert found["alone on the GPU"].passed is passed
    of_two = checks(on_gpu(_script(), facts=[fact("gpu", "GPUs", 2), others]))
    assert "alone on the GPU" not in of_two, "the driver's first of two needn't be torch's"
    assert "alone on the GPU" not in checks(on_gpu(_script()))
