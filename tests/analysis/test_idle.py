"""Who kept the GPU waiting, by cause and by frame."""

from __future__ import annotations

import pytest

from llmflame.analysis.idle import CAUSES, Cause, cause_of, idle
from llmflame.analysis.idle_table import NO_GPU, idle_table
from llmflame.analysis.run_tree import RunTree, build_run_tree
from llmflame.analysis.tree import Tree
from llmflame.errors import UsageError
from llmflame.store.model import Frame
from tests.gpu_script import US, Script, runtime

from .gpu import on_gpu
from .small import module, observed, op, python, request, stored, window

SAMPLE = python("_sample", "transformers/generation/utils.py", 312)


def _step() -> Script:
    """100 in all: the device idles for 30 of Python, 10 of an allocation, 8 of a copy's call, 5 of its own
    latency in the call that launches, 7 after the wait; it works for 40."""
    script = Script()
    script.host(30 * US, SAMPLE)
    script.host(10 * US, SAMPLE, runtime("cudaMalloc"))
    script.host(8 * US, SAMPLE, runtime("cudaMemcpyAsync"))
    script.launch("gemm", 40 * US, SAMPLE)
    script.wait(SAMPLE, after_ns=7 * US)
    return script


def _run(**options: object) -> RunTree:
    tokenise = Script()
    tokenise.host(20 * US, python("encode", "tokenizers/x.py", 3))
    return build_run_tree(on_gpu(_step(), others={"tokenize": tokenise}, **options))  # type: ignore[arg-type]


def test_each_cause_has_its_time() -> None:
    run = _run(gap_ns=6 * US)
    decode = idle(run.tree, ("decode",))
    assert decode is not None
    each = {cause: own / US / 10 for cause, own in decode.by_cause.items()}
    assert each == pytest.approx(
        {
            "launch-bound Python": 30 + 4,  # and the launching call
            "synchronisation": 7 + 1,  # after the device was done, and before the kernel began
            "copy": 8,
            "allocation": 10,
            "tokeniser": 0,
        }
    )
    assert decode.total_ns / US / 10 == pytest.approx(60)
    assert decode.wall_ns / US / 10 == pytest.approx(100)
    assert decode.named_ns == pytest.approx(decode.total_ns)
    tokenise = idle(run.tree, ("tokenize",))
    assert tokenise is not None and tokenise.by_cause["tokeniser"] == pytest.approx(20 * US)
    between = idle(run.tree, ("run",))
    assert between is not None and not between.total_ns, "the recorder's own pause is nobody's idle time"


@pytest.mark.parametrize(
    ("frame", "phase", "cause"),
    [
        (Frame("python", "forward"), "decode", "launch-bound Python"),
        (Frame("op", "aten::mm"), "prefill", "launch-bound Python"),
        (Frame("runtime", "cudaLaunchKernel"), "decode", "launch-bound Python"),
        (Frame("wait", "waiting for GPU"), "decode", "synchronisation"),
        (Frame("wait", "waiting for GPU"), "tokenize", "synchronisation"),
        (Frame("runtime", "cudaMemcpyAsync"), "decode", "copy"),
        (Frame("runtime", "hipMemsetAsync"), "tokenize", "copy"),
        (Frame("runtime", "cuMemcpyHtoD_v2"), "decode", "copy"),
        (Frame("runtime", "cudaMalloc"), "decode", "allocation"),
        (Frame("runtime", "cudaHostAlloc"), "decode", "allocation"),
        (Frame("runtime", "cuMemMap"), "decode", "allocation"),
        (Frame("python", "encode"), "tokenize", "tokeniser"),
        (Frame("python", "decode"), "detokenize", "tokeniser"),
        (Frame("python", "cudaMalloc"), "decode", "launch-bound Python"),
    ],
)
def test_cause_by_frame_and_phase(frame: Frame, phase: str, cause: Cause) -> None:
    assert cause_of(frame, phase) == cause and cause in CAUSES


def test_a_cpu_has_no_idle_gpu() -> None:
    cells = observed({(SAMPLE,): {"wall_ns": 100, "calls": 1}})
    profile = stored(request({"prefill": 100}), [(window(1001, "prefill", 100, 0), cells)])
    tree = build_run_tree(profile).tree
    assert idle(tree, ("prefill",)) is None
    table = idle_table(tree)
    assert table.rows == () and table.notes == (NO_GPU,)


def _rows(tree: Tree, *phases: str) -> list[dict[str, object]]:
    table = idle_table(tree, phases)
    names = [column.name for column in table.columns]
    return [dict(zip(names, row, strict=True)) for row in table.rows]


def test_the_layers_of_a_model_are_one_row() -> None:
    """Eleven layers and two experts; what lies in no numbered module stays apart."""
    script = Script()
    for layer in range(11):
        attention = (SAMPLE, module(f"model.layers.{layer}.self_attn"))
        script.host((layer + 1) * US, *attention, python("forward", "m.py", 12))
        script.host(US, *attention, op("aten::mm"))
    for expert in range(2):
        script.host(9 * US, SAMPLE, module(f"model.layers.3.experts.{expert}"), python("forward", "m.py", 12))
    script.host(3 * US, SAMPLE, module("model.norm2"), python("forward", "m.py", 12))
    script.launch("gemm", US, SAMPLE)
    script.wait(SAMPLE)
    rows = _rows(build_run_tree(on_gpu(script, steps=1)).tree, "decode")
    found = {(row["frame"], row["module"]): row["idle_ns"] for row in rows}
    assert found["forward", "model.layers.*.self_attn"] == pytest.approx(66 * US, abs=1)
    assert found["aten::mm", "model.layers.*.self_attn"] == pytest.approx(11 * US, abs=1)
    assert found["forward", "model.layers.*.experts.*"] == pytest.approx(18 * US, abs=1)
    assert found["forward", "model.norm2"] == pytest.approx(3 * US, abs=1)
    assert len(rows) == 6
    assert rows[0] == {
        "cause": "launch-bound Python",
        "phase": "decode",
        "frame": "forward",
        "module": "model.layers.*.self_attn",
        "place": "m.py:12",
        "idle_ns": rows[0]["idle_ns"],
        "share": rows[0]["share"],
    }
    assert sum(float(str(row["share"])) for row in rows) == pytest.approx(1.0)


def test_the_note_tells_the_whole_by_cause() -> None:
    tree = _run(gap_ns=6 * US).tree
    (note,) = idle_table(tree).notes
    # 11 steps of 60 and 20 of tokenising, of 11 x 100 + 20.
    assert note.startswith("The GPU is idle for 680 µs, 60.7 % of a request: launch-bound Python 374 µs")
    assert note.endswith("allocation 110 µs, tokeniser 20.0 µs.")
    (decode,) = idle_table(tree, ("prefill", "decode")).notes
    assert "660 µs, 60.0 % of prefill + decode" in decode and "tokeniser" not in decode


def test_an_unknown_phase_is_refused() -> None:
    with pytest.raises(
        UsageError, match=r"--phase nope: this profile has the phases tokenize, prefill, decode"
    ):
        idle_table(_run().tree, ("nope",))
