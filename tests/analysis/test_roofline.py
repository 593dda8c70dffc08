"""How far a phase is from the hardware's limit, against calculations by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmflame.analysis.ceiling import Rates, ceilings
from llmflame.analysis.kv_cache import kv_bytes_read
from llmflame.analysis.roofline import PARTS, Roofline, floor_ns, rooflines, with_floors
from llmflame.analysis.roofline_table import roofline_table
from llmflame.analysis.run_tree import build_run_tree
from llmflame.analysis.summary import summarise
from llmflame.analysis.tables import Table
from llmflame.store.model import Fact
from llmflame.store.observed import FrameKey
from llmflame.store.profile import Profile
from tests.gpu_script import US, Script

from .gpu import fact, on_gpu
from .small import module, observed, op, python, request, span, stored, window

H200 = fact("gpu 0", "name", "NVIDIA H200")
MEASURED = (
    H200,
    fact("ceilings", "measured device", "NVIDIA H200"),
    fact("ceilings", "device copy", 3.9e12),
    fact("ceilings", "device read", 4.0e12),
    fact("ceilings", "device matmul bfloat16", 660e12),
)
LLAMA_1B = {"layers": 16, "kv_layer_bytes_per_token": 2048, "kv_sliding_layers": 0, "batch_size": 1}
"""Llama-3.2-1B in bfloat16: 2 x 8 heads x 64 x 2 bytes a layer and token, 32,768 over 16 layers."""
WEIGHTS = 2_471_000_000
PARAMETERS = 1_235_500_000
SAMPLE = python("_sample", "transformers/generation/utils.py", 312)
MM = (SAMPLE, module("", "Llama"), op("aten::mm"))


def found(profile: Profile) -> dict[str, Roofline]:
    return {one.phase: one for one in rooflines(profile, build_run_tree(profile).tree)}


def _llama(*facts: Fact, tokens: int = 1000) -> Profile:
    """Each step one product that reads all weights, in a step of exactly 1 ms; the cache holds 1,000 tokens
    before the first decode step."""
    script = Script()
    script.host(195 * US, *MM)
    script.launch("gemm", 800 * US, *MM)
    script.wait(SAMPLE)
    script.work(*MM, flops=2 * PARAMETERS, read=WEIGHTS, weights=WEIGHTS)
    assert script.now == 1_000 * US
    profile = on_gpu(script, steps=4, facts=facts, subject=LLAMA_1B)
    spans = [
        replace(one, kv_tokens=tokens + one.step - 1 if one.step else 0, tokens=1 if one.step else tokens)
        if one.name == "step" and one.step is not None
        else one
        for one in profile.spans
    ]  # fmt: skip
    return replace(profile, spans=tuple(spans))


def test_mbu_and_mfu_of_llama_1b_by_hand() -> None:
    decode = found(_llama(*MEASURED))["decode"]
    # Step s of 1 to 4 reads the keys and values of 1000 + s tokens: 1001 + 1002 + 1003 + 1004 = 4010.
    kv = 4010 * 32_768
    assert decode.kv_bytes == kv == 131_399_680
    assert (decode.steps, decode.wall_ns, decode.weight_bytes) == pytest.approx((4, 4e6, 4 * WEIGHTS))
    moved = 4 * 2_471_000_000 + 131_399_680  # 10,015,399,680 bytes in 4 ms: 2.504 TB/s
    assert decode.mbu == pytest.approx(moved / 0.004 / 4.0e12) == pytest.approx(0.62596, abs=1e-5)
    assert decode.mbu_published == pytest.approx(moved / 0.004 / 4.8e12) == pytest.approx(0.52164, abs=1e-5)
    # 2.471 GFLOP in 1 ms are 2.471 TFLOP/s.
    assert decode.mfu == pytest.approx(2.471e12 / 660e12) == pytest.approx(0.0037439, abs=1e-7)
    assert decode.mfu_published == pytest.approx(2.471e12 / 989.5e12)
    # The floor: 2.471 GB over 4 TB/s are 617.75 µs; the product took 800.
    assert decode.floor_ns == pytest.approx(4 * 617.75 * US)
    assert decode.parts == pytest.approx(
        {
            "floor": 4 * 617.75 * US,
            "launch gaps": 4 * 200 * US,
            "synchronisation": 0,
            "copies": 0,
            "element-wise": 0,
            "low occupancy": 0,
            "other": 4 * (800 - 617.75) * US,
        },
        abs=4 * US,  # the kernel begins a moment after the launching call's end, within the wait
    )
    assert decode.known_share == pytest.approx(1.0)


def test_prefill_reads_the_keys_of_its_own_tokens() -> None:
    prefill = found(_llama(*MEASURED))["prefill"]
    assert prefill.kv_bytes == 1000 * 32_768 and prefill.steps == 1


def test_without_measured_ceilings_the_published_ones_speak() -> None:
    decode = found(_llama(H200))["decode"]
    assert decode.mbu is None and decode.mfu is None
    assert decode.mbu_published == pytest.approx(0.52164, abs=1e-5)
    assert decode.floor_ns == pytest.approx(4 * WEIGHTS / 4.8e12 * 1e9)
    profile = _llama(H200)
    table = roofline_table(rooflines(profile, build_run_tree(profile).tree), ceilings(profile))
    assert table.notes == ("Ceilings of NVIDIA H200, bfloat16. Published: 4.80 TB/s, 990 TFLOP/s.",)
    values = dict(zip([column.name for column in table.columns], table.rows[1], strict=True))
    assert values["mbu"] == values["mbu_published"] == pytest.approx(0.52164, abs=1e-5)
    assert values["step_ns"] == 1_000 * US and values["steps"] == 4


def test_without_any_ceiling_nothing_is_claimed() -> None:
    profile = _llama(fact("gpu 0", "name", "NVIDIA GeForce GT 710"))
    decode = found(profile)["decode"]
    assert (decode.floor_ns, decode.mbu, decode.mfu, decode.mbu_published, decode.mfu_published) == (
        None,
    ) * 5
    assert decode.parts["floor"] == 0 and sum(decode.parts.values()) == pytest.approx(decode.wall_ns)
    assert decode.kv_bytes is not None and decode.flops == pytest.approx(4 * 2 * PARAMETERS)
    table = roofline_table([decode], ceilings(profile))
    assert table.notes[0].startswith(
        "No ceiling of NVIDIA GeForce GT 710 is known: `llmflame machine --measure`"
    )
    values = dict(zip([column.name for column in table.columns], table.rows[0], strict=True))
    assert values["floor_ns"] is None and values["mbu"] is None
    (document,) = [one for one in summarise(profile)["roofline"] if one["phase"] == "decode"]
    assert document["floor_s"] is None and document["mbu_published"] is None


def test_ceilings_measured_on_another_device_are_not_this_ones() -> None:
    others = (*MEASURED[:1], fact("ceilings", "measured device", "NVIDIA L4"), *MEASURED[2:])
    assert ceilings(_llama(*others)).measured == Rates(None, None)
    assert ceilings(_llama(*others)).best == Rates(4.8e12, 989.5e12)
    assert ceilings(_llama(*MEASURED)).best == Rates(4.0e12, 660e12)


@pytest.mark.parametrize("wrong", ["fast", 0.0, -3.0])
def test_a_ceiling_that_cannot_be_is_none(wrong: str | float) -> None:
    facts = (fact("ceilings", "host copy", wrong), fact("ceilings", "host matmul float32", wrong))
    profile = stored(subject={"device": "cpu", "dtype": "float32"}, facts=facts)
    assert ceilings(profile).best == Rates(None, None)


def test_the_second_gpu_has_its_own_name() -> None:
    facts = (fact("gpu 0", "name", "NVIDIA L4"), fact("gpu 1", "name", "NVIDIA H200"))
    profile = stored(subject={"device": "cuda:1", "dtype": "bfloat16"}, facts=facts)
    assert ceilings(profile).device == "NVIDIA H200"
    assert ceilings(profile).published == Rates(4.8e12, 989.5e12)
    assert ceilings(stored(subject={"device": "cuda"}, facts=facts)).device == "NVIDIA L4"
    assert ceilings(stored(subject={"device": "cuda:7"}, facts=facts)).device == "cuda:7"


def test_a_cpu_has_what_was_measured_on_it() -> None:
    facts = (
        fact("cpu", "model", "A CPU"),
        fact("ceilings", "host copy", 20e9),
        fact("ceilings", "host read", 30e9),
        fact("ceilings", "host matmul float32", 300e9),
        fact("ceilings", "host matmul bfloat16", 100e9),
    )
    known = ceilings(stored(subject={"device": "cpu", "dtype": "float32"}, facts=facts))
    assert (known.measured, known.published, known.device) == (Rates(30e9, 300e9), Rates(None, None), "A CPU")


def test_an_operators_floor_is_the_longer_of_bytes_and_operations() -> None:
    assert floor_ns(100, 50, Rates(1e9, 1e9)) == 100
    assert floor_ns(10, 50, Rates(1e9, 1e9)) == 50
    assert floor_ns(1e9, 50, Rates(1e9, None)) == 50
    assert floor_ns(1e9, 50, Rates(None, 1e9)) == 0


def test_each_part_of_a_step_on_a_gpu() -> None:
    """Floors by 1 GB/s: 1 byte is 1 ns. A product of 100 with a floor of 60, half of it in a small grid; an
    addition of 20; a kernel of no known operator (a product, by its name) of 30; one that nobody knows of 8;
    a copy of 10 behind which the host waits for 5 more."""
    script = Script()
    script.host(50 * US, SAMPLE)
    known, added = (SAMPLE, op("aten::mm")), (SAMPLE, op("aten::add"))
    script.launch("gemm a", 50 * US, *known)
    script.launch("gemm b", 50 * US, *known, small=True)
    script.launch("vectorized_elementwise_kernel", 20 * US, *added)
    script.launch("nvjet_x", 30 * US, SAMPLE)
    script.launch("mystery", 8 * US, SAMPLE)
    script.copy("Memcpy DtoH (Device -> Pinned)", 10 * US, 8, SAMPLE)
    script.wait(SAMPLE, after_ns=5 * US)
    script.work(*known, read=60 * US)
    script.work(*added, read=20 * US)
    facts = (fact("gpu 0", "name", "x"), fact("ceilings", "device read", 1e9))
    profile = on_gpu(script, steps=2, facts=facts)
    decode = found(profile)["decode"]
    each = {part: own / US / 2 for part, own in decode.parts.items()}
    assert each == pytest.approx(
        {
            "floor": 60,
            "launch gaps": 55,
            "synchronisation": 5,
            "copies": 10,
            "element-wise": 20,
            "low occupancy": 20,
            "other": 20 + 30 + 8,
        }
    )
    assert decode.known_share == pytest.approx(120 / 158)
    assert decode.mfu is None and decode.kv_bytes is None


def test_each_part_of_a_step_on_a_cpu() -> None:
    """A product of 100 with a floor of 60, its dispatcher of 5, a norm of 20, an operator of unknown work of
    7, Python of 40."""
    cells = {
        (SAMPLE,): {"wall_ns": 40, "calls": 1},
        (SAMPLE, op("aten::linear")): {"wall_ns": 5, "calls": 1},
        (SAMPLE, op("aten::linear"), op("aten::mm")): {"wall_ns": 100, "calls": 1},
        (SAMPLE, op("aten::rms_norm")): {"wall_ns": 20, "calls": 1},
        (SAMPLE, op("mine::op")): {"wall_ns": 7, "calls": 1},
    }
    work = {
        (SAMPLE, op("aten::linear"), op("aten::mm")): {"read_bytes": 50, "written_bytes": 10, "flops": 1},
        (SAMPLE, op("aten::rms_norm")): {"read_bytes": 4},
        (SAMPLE, op("mine::op")): {"unknown_work": 1},
    }
    profile = stored(
        request({"prefill": 172}),
        [
            (window(1001, "prefill", 172, 0), observed(cells)),
            (window(1101, "prefill", 172, 0, kind="shapes"), observed(work)),
        ],
        subject={"device": "cpu", "dtype": "float32"},
        facts=[fact("ceilings", "host read", 1e9)],
    )
    prefill = found(profile)["prefill"]
    assert prefill.parts == pytest.approx(
        {
            "floor": 60, "launch gaps": 45, "synchronisation": 0, "copies": 0, "element-wise": 20,
            "low occupancy": 0, "other": 40 + 7,
        }
    )  # fmt: skip
    assert prefill.known_share == pytest.approx(120 / 127)


@settings(max_examples=25)
@given(st.data())
def test_parts_always_add_up_to_the_wall(data: st.DataObject) -> None:
    script = Script()
    kernels = ["gemm", "flash_fwd", "vectorized_elementwise_kernel", "mystery"]
    names = ["aten::mm", "aten::add", "aten::embedding", "aten::scaled_dot_product_attention"]
    for _ in range(data.draw(st.integers(1, 10))):
        path: tuple[FrameKey, ...] = (SAMPLE, op(data.draw(st.sampled_from(names))))
        script.host(data.draw(st.integers(1, 40)) * US, *path)
        script.launch(
            data.draw(st.sampled_from(kernels)),
            data.draw(st.integers(1, 90)) * US,
            *path,
            small=data.draw(st.booleans()),
            stream=data.draw(st.sampled_from([7, 8])),
        )
        if data.draw(st.booleans()):
            script.work(*path, read=data.draw(st.integers(1, 10**9)), flops=data.draw(st.integers(0, 10**13)))
        if data.draw(st.booleans()):
            script.wait(SAMPLE)
    profile = on_gpu(script, facts=MEASURED if data.draw(st.booleans()) else ())
    for one in found(profile).values():
        assert set(one.parts) == set(PARTS)
        assert all(own >= -1e-6 for own in one.parts.values())
        assert sum(one.parts.values()) == pytest.approx(one.wall_ns)


def test_floors_stand_in_the_tree_where_a_ceiling_is_known() -> None:
    profile = _llama(*MEASURED)
    tree = build_run_tree(profile).tree
    assert "floor_ns" not in with_floors(tree, Rates(None, 1.0)).selfs
    floors = with_floors(tree, ceilings(profile).best).totals("floor_ns")
    assert floors[0] == pytest.approx(5 * 617.75 * US)
    assert with_floors(tree, ceilings(profile).best).metrics[-1].name == "floor_ns"
    twice = with_floors(with_floors(tree, ceilings(profile).best), ceilings(profile).best)
    assert [metric.name for metric in twice.metrics].count("floor_ns") == 1
    assert "floor_ns" not in tree.selfs, "what was given stays as it was"


def test_the_tables_parts_add_up_to_a_step() -> None:
    profile = _llama(*MEASURED)
    table: Table = roofline_table(list(found(profile).values()), ceilings(profile))
    for row in table.rows:
        values = dict(zip([column.name for column in table.columns], row, strict=True))
        parts = [values[c.name] for c in table.columns if c.unit == "ns" and c.name != "step_ns"]
        assert sum(parts) == pytest.approx(values["step_ns"], abs=len(PARTS))  # type: ignore[arg-type]
    assert table.notes == (
        "Ceilings of NVIDIA H200, bfloat16. Measured: 4.00 TB/s, 660 TFLOP/s. "
        "Published: 4.80 TB/s, 990 TFLOP/s.",
    )


def test_a_batch_reads_one_cache_a_sequence() -> None:
    """Four sequences of 99 tokens and one query token each: 100 tokens x 32,768 bytes x 4."""
    steps = [span("step", 1, 1, step=5, tokens=4, kv_tokens=99)]
    assert kv_bytes_read(LLAMA_1B | {"batch_size": 4}, steps) == 4 * 100 * 32_768


def test_a_sliding_window_reads_no_more_than_its_tokens() -> None:
    """26 layers, 22 of them sliding over 512 tokens: at 1,000 tokens 4 x 1000 + 22 x 512 = 15,264."""
    subject = {
        "layers": 26,
        "kv_layer_bytes_per_token": 1024,
        "kv_sliding_layers": 22,
        "kv_sliding_window": 512,
    }
    long = [span("step", 1, 1, step=5, tokens=1, kv_tokens=999)]
    short = [span("step", 1, 1, step=5, tokens=1, kv_tokens=99)]
    assert kv_bytes_read(subject, long) == 15_264 * 1024
    assert kv_bytes_read(subject, short) == 26 * 100 * 1024
    assert kv_bytes_read(subject | {"kv_sliding_layers": 0}, long) == 26 * 1000 * 1024
    assert kv_bytes_read(subject, long + short) == (15_264 + 2_600) * 1024


@pytest.mark.parametrize("missing", ["layers", "kv_layer_bytes_per_token"])
def test_a_config_without_heads_predicts_no_cache(missing: str) -> None:
    subject = {name: value for name, value in LLAMA_1B.items() if name != missing}
    assert kv_bytes_read(subject, [span("step", 1, 1, step=1, tokens=1, kv_tokens=9)]) is None
