"""A hand-made profile of a run on a GPU: three layers, two streams, one wait a step, measured ceilings."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from llmflame.store.model import Fact
from llmflame.store.observed import FrameKey
from llmflame.store.rows import PassRow, ProbeReportRow, Row, WindowRow
from llmflame.store.writer import ProfileWriter, Scalar
from tests.gpu_script import US, Script
from tests.handmade import MIB, MS, import_window, load_window, module, python, span

LAYERS = 3
STEPS = 4
PHASE_MS = {
    "startup": 20.0,
    "import": 1000.0,
    "load": 500.0,
    "warmup": 300.0,
    "tokenize": 0.08,
    "prepare": 0.2,
    "prefill": 2.025,
    "decode": STEPS * 0.843,
    "detokenize": 0.04,
}
"""Prefill and decode steps take as long as `one_step` makes them: tracing cost nothing."""
REQUEST = ("tokenize", "prepare", "prefill", "decode", "detokenize")
WEIGHT_BYTES = LAYERS * (100_000_000 + 200_000_000) + 300_000_000
"""That the matrix products of a step read: 1.2 GB."""
KV_LAYER_BYTES = 4_096
PROMPT = 7
FACTS = (
    Fact("cpu", "model", "Hand-made CPU", None, "here"),
    Fact("gpu", "GPUs", 1, "GPUs", "here"),
    Fact("gpu 0", "name", "NVIDIA H200", None, "here"),
    Fact("ceilings", "measured device", "NVIDIA H200", None, "here"),
    Fact("ceilings", "device copy", 3.9e12, "bytes/s", "here"),
    Fact("ceilings", "device read", 4.0e12, "bytes/s", "here"),
    Fact("ceilings", "device matmul bfloat16", 660e12, "FLOP/s", "here"),
)
SUBJECT: dict[str, Scalar] = {
    "model": "Tiny-3L", "architecture": "TinyForCausalLM", "parameters": WEIGHT_BYTES // 2,
    "dtype": "bfloat16", "checkpoint_dtype": "bfloat16", "device": "cuda:0", "batch_size": 1,
    "prompt_tokens": PROMPT, "new_tokens": STEPS + 1, "layers": LAYERS,
    "kv_layer_bytes_per_token": KV_LAYER_BYTES, "kv_sliding_layers": 0,
}  # fmt: skip
TINY = "transformers/models/tiny/modeling_tiny.py"
SAMPLE = python("_sample", "transformers/generation/utils.py", 312)
FORWARD = python("forward", TINY, 40)
GEMM = "nvjet_sm90_tst_64x8_64x16_4x1_v_bz_TNT"
ADD = (
    "void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<c10::BFloat16>, "
    "std::array<char*, 3ul> >(int, at::native::CUDAFunctor_add<c10::BFloat16>, std::array<char*, 3ul>)"
)
CHECKS = {
    "launches": 40.0, "work on the tree": 40.0, "work listed": 40.0, "launches without work": 0.0,
    "work without launch": 0.0, "work before its launch": 0.0, "largest clock skew": 0.0,
    "allocator imbalance": 0.0,
}  # fmt: skip


def op(name: str) -> FrameKey:
    return ("op", name, None, None, None)


def handmade_gpu(
    path: Path,
    *,
    name: str = "forward",
    kernel: str = GEMM,
    model: str = "Tiny-3L",
    imbalance: float = 0.0,
    more: Iterable[Row] = (),
) -> Path:
    """Write the profile. `name` is a function's in every layer, `kernel` a matrix product's, `model` the
    model's: all are data from outside. `imbalance`: bytes by which the allocator's accounts differ. `more`:
    rows of other passes."""
    writer = ProfileWriter(path, version="0.0.test", mode="processes")
    writer.facts(FACTS)
    writer.subject({**SUBJECT, "model": model})
    writer.rows(_clean_pass())
    writer.tree(*import_window())
    writer.tree(*load_window())
    writer.rows([PassRow("anatomy", "complete", None, 4243, 3_000 * MS, 2_000 * MS, 210 * MIB)])
    checks = {**CHECKS, "allocator imbalance": imbalance}
    writer.rows(ProbeReportRow("anatomy", "device checks", *pair, "count") for pair in checks.items())
    for number, (phase, step) in enumerate((("prefill", 0), ("decode", 1))):
        script = one_step(name, kernel, kernel_factor=4 if step == 0 else 1)
        for kind, first, tree in (("traced", 1001, script.tree), ("shapes", 1011, script.shapes)):
            row = WindowRow("anatomy", first + number, kind, phase, step, script.now, None, 50, 0)  # type: ignore[arg-type]
            writer.tree(row, tree)
    writer.rows(more)
    writer.finish("complete")
    return path


def one_step(name: str = "forward", kernel: str = GEMM, *, kernel_factor: int = 1) -> Script:
    """One forward pass, the choice of the token, and the read-back of the stopping check."""
    script = Script()
    forward = (SAMPLE, module("TinyForCausalLM", ""), FORWARD)
    script.host(120 * US, SAMPLE)
    if kernel_factor > 1:
        script.copy("Memcpy HtoD (Pageable -> Device)", 2 * US, 56, SAMPLE, op("aten::copy_"), holds_ns=US)
    script.host(80 * US, *forward)
    for layer in range(LAYERS):
        attention = (
            *forward, module("TinyAttention", f"model.layers.{layer}.self_attn"), python(name, TINY, 12)
        )  # fmt: skip
        script.host(50 * US, *attention)
        _product(script, kernel, 40 * US * kernel_factor, 100_000_000, *attention)
        fused = (*attention, op("aten::_scaled_dot_product_flash_attention"))
        script.host(20 * US, *fused)
        script.launch("flash_fwd_kernel", 15 * US * kernel_factor, *fused)
        script.work(*fused, flops=1_000_000, read=2 * MIB)
        mlp = (*forward, module("TinyMLP", f"model.layers.{layer}.mlp"), python(name, TINY, 30))
        script.host(30 * US, *mlp)
        _product(script, kernel, 80 * US * kernel_factor, 200_000_000, *mlp)
        script.host(8 * US, *mlp, op("aten::add"))
        script.launch(ADD, 6 * US, *mlp, op("aten::add"), stream=8, small=True)
        script.work(*mlp, op("aten::add"), flops=2_048, read=8_192, written=4_096)
    _product(script, kernel, 100 * US, 300_000_000, *forward, module("Linear", "lm_head"))
    check = (
        SAMPLE,
        python("__call__", "transformers/generation/stopping_criteria.py", 500),
        op("aten::item"),
    )
    script.host(15 * US, *check)
    script.copy("Memcpy DtoH (Device -> Pinned)", 2 * US, 1, *check)
    script.wait(*check, after_ns=3 * US)
    script.host(25 * US, SAMPLE, calls=0)
    return script


def _product(script: Script, kernel: str, device_ns: int, weights: int, *path: FrameKey) -> None:
    product = (*path, op("aten::mm"))
    script.host(12 * US, *product)
    script.launch(kernel, device_ns, *product)
    script.work(*product, flops=weights, read=weights + 4_096, written=4_096, weights=weights)


def _clean_pass() -> list[Row]:
    rows: list[Row] = [PassRow("clean", "complete", None, 4242, 0, 3_000 * MS, 200 * MIB)]
    at, number = 0.0, 1
    for name, wall in PHASE_MS.items():
        where: dict[str, int] = {"parent": 50, "repetition": 0} if name in REQUEST else {}
        rows.append(span(number, name, wall, start_ms=at, **where))  # type: ignore[arg-type]
        if name in ("prefill", "decode"):
            first, count = (0, 1) if name == "prefill" else (1, STEPS)
            rows += [
                span(
                    100 + step, "step", wall / count, start_ms=at + (step - first) * wall / count,
                    parent=number, repetition=0, step=step,
                )
                for step in range(first, first + count)
            ]  # fmt: skip
        at, number = at + wall, number + 1
    whole = sum(PHASE_MS[name] for name in REQUEST)
    rows.append(span(50, "request", whole, start_ms=at - whole, repetition=0))
    return rows
