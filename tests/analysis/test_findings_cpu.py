"""Each rule about the host and a CPU: a run in which it fires with a gain by hand, and one that is well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from llmflame.analysis.findings import Finding, find
from llmflame.analysis.findings.find import RULES
from llmflame.analysis.run_tree import build_run_tree
from llmflame.store.model import Fact
from llmflame.store.observed import FrameKey
from llmflame.store.profile import Profile
from llmflame.store.rows import PassRow, ProbeReportRow, Row
from llmflame.store.writer import Scalar

from .gpu import fact
from .small import module, observed, op, python, request, span, stored, window

SAMPLE = python("_sample", "transformers/generation/utils.py", 312)
ATTENTION = (SAMPLE, module("", "Llama"), module("model.layers.3.self_attn", "Attention"))
MM = (*ATTENTION, op("aten::mm"))
STEPS = 10
ALL = STEPS + 1
"""Decode steps and the prefill, which is like them."""
Path = tuple[FrameKey, ...]


def on_cpu(
    times: Mapping[Path, float],
    *,
    work: Mapping[Any, Mapping[str, float]] | None = None,
    around: Mapping[str, int] | None = None,
    steps: list[int] | None = None,
    rows: list[Row] | None = None,
    facts: list[Fact] | None = None,
    subject: Mapping[str, Scalar] | None = None,
) -> Profile:
    """A step's nanoseconds by frame; prefill and ten decode steps are alike."""
    wall = round(sum(times.values()))
    cells = {path: {"wall_ns": own, "calls": 1.0} for path, own in times.items()}
    walls = steps or [wall] * STEPS
    phases = dict(around or {}) | {"prefill": wall, "decode": sum(walls)}
    trees = []
    for number, (name, step) in enumerate((("prefill", 0), ("decode", 1))):
        trees.append((window(1001 + number, name, wall, step), observed(cells)))
        trees.append((window(1101 + number, name, wall, step, kind="shapes"), observed(work or {})))
    return stored(
        [*request(phases, steps=walls), *(rows or [])],
        trees,
        subject={"device": "cpu", "dtype": "float32"} | dict(subject or {}),
        facts=facts or [],
    )


def findings(profile: Profile) -> dict[str, Finding]:
    return {one.name: one for one in find(profile, build_run_tree(profile))}


def check(found: Finding, gain_ns: float, whole_ns: float, scope: str = "request") -> None:
    assert found.scope == scope
    assert found.gain_ns == pytest.approx(gain_ns)
    assert found.gain_share == pytest.approx(gain_ns / whole_ns)


BASE = {MM: 800.0, (SAMPLE,): 200.0}
WIDE = {"checkpoint_dtype": "bfloat16"}


def _rates(narrow: float | None) -> list[Fact]:
    facts = [fact("ceilings", "host matmul float32", 300e9)]
    return facts if narrow is None else [*facts, fact("ceilings", "host matmul bfloat16", narrow)]


@pytest.mark.parametrize("narrow", [None, 300e9, 900e9])
def test_wide_weights_on_a_cpu(narrow: float | None) -> None:
    found = findings(on_cpu(BASE, subject=WIDE, facts=_rates(narrow)))
    check(found["wide-weights"], 400 * ALL, 1000 * ALL)
    assert found["wide-weights"].evidence == ("twice the bytes are read for each token",)


def test_wide_weights_on_a_cpu_that_has_no_instructions_for_narrow_ones() -> None:
    assert findings(on_cpu(BASE, subject=WIDE, facts=_rates(160e9))) == {}


def _attention(name: str) -> dict[Path, float]:
    inside = (*ATTENTION, python(name, "transformers/models/llama/modeling_llama.py"))
    return {
        MM: 400.0,
        (*inside, op("aten::matmul")): 300.0,
        (*inside, op("aten::softmax")): 100.0,
        (SAMPLE,): 200.0,
    }


def test_attention_operator_by_operator() -> None:
    found = findings(on_cpu(_attention("eager_attention_forward")))["unfused-attention"]
    check(found, 400 * ALL, 1000 * ALL)
    assert found.evidence == ("eager attention takes 4.40 µs of a request",)
    assert found.frames[0] == "decode › model.layers.*.self_attn › aten::matmul"


def test_a_fused_kernel_would_still_have_the_arithmetic_to_do() -> None:
    """100 operations at 1 GFLOP/s are 100 ns of the 400."""
    times = _attention("eager_attention_forward")
    product = next(path for path in times if path[-1] == op("aten::matmul"))
    facts = [fact("ceilings", "host matmul float32", 1e9)]
    found = findings(on_cpu(times, work={product: {"flops": 100}}, facts=facts))["unfused-attention"]
    check(found, 300 * ALL, 1000 * ALL)
    assert found.evidence[1] == "its arithmetic alone would take 1.10 µs"


def test_attention_in_one_operator() -> None:
    assert findings(on_cpu(_attention("sdpa_attention_forward"))) == {}


def _repeating(name: str) -> tuple[dict[Path, float], Path]:
    copy = (*ATTENTION, python(name, "transformers/integrations/sdpa_attention.py"), op("aten::clone"))
    return {**BASE, copy: 250.0}, copy


def test_keys_repeated_for_each_query_head() -> None:
    times, copy = _repeating("repeat_kv")
    found = findings(on_cpu(times, work={copy: {"written_bytes": 1024}}))["repeated-keys"]
    check(found, 250 * ALL, 1250 * ALL)
    assert found.evidence == ("repeat_kv takes 2.75 µs of a request and writes 11 KiB",)


def test_keys_that_are_copied_for_another_reason() -> None:
    assert findings(on_cpu(_repeating("to_contiguous")[0])) == {}


def _cache(file: str) -> tuple[dict[Path, float], Path]:
    cat = (*ATTENTION, python("update", file), op("aten::cat"))
    return {**BASE, cat: 250.0}, cat


def test_a_cache_that_is_copied_for_each_token() -> None:
    """Only while decoding: the prefill has to fill it."""
    times, cat = _cache("transformers/cache_utils.py")
    found = findings(on_cpu(times, work={cat: {"written_bytes": 1024}}))["growing-cache"]
    check(found, 250 * STEPS, 1250 * ALL)
    assert found.evidence == ("torch.cat in the dynamic cache takes 2.50 µs and writes 10 KiB",)
    assert found.frames == ("decode › model.layers.*.self_attn › aten::cat",)


def test_tensors_that_are_joined_elsewhere() -> None:
    assert findings(on_cpu(_cache("transformers/models/llama/modeling_llama.py")[0])) == {}


def _callback(file: str, *above: FrameKey) -> dict[Path, float]:
    return {**BASE, (SAMPLE, *above, python("callback", file, 7)): 250.0}


def test_own_code_between_the_steps() -> None:
    found = findings(on_cpu(_callback("/home/me/loop.py")))["own-code-between-steps"]
    check(found, 250 * ALL, 1250 * ALL)
    assert found.frames == (
        "decode › callback (/home/me/loop.py:7)",
        "prefill › callback (/home/me/loop.py:7)",
    )


def test_code_of_libraries_and_of_the_model_is_not_the_programs_own() -> None:
    assert findings(on_cpu(_callback("transformers/generation/logits_process.py"))) == {}
    assert findings(on_cpu(_callback("<frozen os>"))) == {}
    assert findings(on_cpu(_callback("/home/me/model.py", *ATTENTION[1:]))) == {}


def test_a_slow_tokeniser() -> None:
    around = {"tokenize": 2000, "detokenize": 500}
    found = findings(on_cpu(BASE, around=around))["slow-tokeniser"]
    check(found, 2500, 1000 * ALL + 2500)
    assert found.evidence == ("tokenize and detokenize take 2.50 µs, 18.5 % of a request",)
    assert findings(on_cpu(BASE, around={"tokenize": 300, "detokenize": 200})) == {}


def _requests(gap: int, *, mode: str = "in-process", rows: tuple[Row, ...] = ()) -> Profile:
    """Three requests of 100."""
    spans = [
        row
        for number in range(3)
        for row in request(
            {"prefill": 100}, repetition=number, first=100 * (number + 1), start_ns=number * (100 + gap)
        )
    ]
    return stored([*spans, *rows], mode=mode)


def test_nothing_runs_between_requests() -> None:
    """Three requests of 100 and two gaps of 75: a third of the time, of a request 33.3."""
    found = findings(_requests(75))["requests-apart"]
    check(found, 100 / 3, 100)
    assert found.evidence == ("150 ns between 3 requests, 33.3 % of the time",)


def test_requests_one_behind_the_other() -> None:
    assert findings(_requests(4)) == {}


def test_what_lies_between_our_own_repetitions_is_ours() -> None:
    anatomy = PassRow("anatomy", "complete", None, 1, 0, 1, None)
    assert findings(_requests(75, rows=(anatomy,))) == {}
    assert findings(_requests(75, mode="processes")) == {}, "a recording that ended before its second pass"


def _cold(import_s: float, load_s: float) -> Profile:
    spans = [
        span("startup", 10**8, 1),
        span("import", round(import_s * 1e9), 2),
        span("load", round(load_s * 1e9), 3),
    ]
    tree = observed({(python("<module>", "torch/__init__.py", 1),): {"wall_ns": 100}})
    sampled = window(1, "import", 100, pass_name="clean", kind="sampled")
    return stored(spans, [(sampled, tree)])


def test_a_cold_start_of_imports() -> None:
    found = findings(_cold(6.0, 1.0))["slow-imports"]
    check(found, 6e9, 7.1e9, "cold start")
    assert found.frames == ("import › <module> (torch/__init__.py:1)",)


def test_imports_that_are_short_or_the_smaller_part() -> None:
    assert findings(_cold(4.9, 0.5)) == {}
    assert findings(_cold(6.0, 6.0)) == {}


def report(name: str, value: float) -> ProbeReportRow:
    return ProbeReportRow("clean", "compiler", name, value, "count")


def test_a_model_compiled_in_pieces() -> None:
    lookup = (SAMPLE, op("TorchDynamo Cache Lookup"))
    times = {**BASE, lookup: 250.0}
    rows: list[Row] = [report("graph break: print", 1), report("graph break: item", 3)]
    found = findings(on_cpu(times, rows=rows))["graph-breaks"]
    check(found, 250 * ALL, 1250 * ALL)
    assert found.evidence == (
        "4 graph breaks; the guards and wrappers of the pieces take 2.75 µs of a request",
        "3 x item",
        "1 x print",
    )
    assert findings(on_cpu(times)) == {}


def test_a_graph_compiled_in_a_warm_request() -> None:
    """One step took 6,000 instead of 1,000: 5,000 of a request of 16,000."""
    steps = [1000] * 9 + [6000]
    rows: list[Row] = [report("graphs compiled in timed requests", 2)]
    found = findings(on_cpu(BASE, steps=steps, rows=rows))["recompiles"]
    check(found, 5000, 16_000)
    assert found.evidence[0] == "2 graphs compiled after the warm-up"
    rows = [report("graphs compiled in timed requests", 0)]
    assert findings(on_cpu(BASE, steps=steps, rows=rows)) == {}


def test_other_passes_requests_don_t_dilute_a_compilation() -> None:
    other = span("request", 5, 900, pass_name="anatomy", repetition=1)
    rows: list[Row] = [report("graphs compiled in timed requests", 2), other]
    found = findings(on_cpu(BASE, steps=[1000] * 9 + [6000], rows=rows))["recompiles"]
    check(found, 5000, 16_000)


def _queued(queue_ns: int, threads: int = 2) -> Profile:
    spans = [
        row
        if row.name != "decode"
        else span("decode", 10_000, row.id, parent=100, repetition=0, run_queue_ns=queue_ns)
        for row in request({"prefill": 1000, "decode": 10_000}, steps=[1000] * 10)
    ]
    return stored(
        spans,
        subject={"device": "cpu", "torch_threads": threads},
        facts=[fact("limits", "CPU limit", "no limit"), fact("cpu", "CPUs this process may use", 2)],
    )


def test_threads_that_wait_for_a_cpu() -> None:
    found = findings(_queued(2200))["oversubscription"]
    check(found, 2200, 11_000)
    assert found.evidence == ("the main thread stood in the run queue for 2.20 µs, 20.0 %",)
    assert findings(_queued(1100)) == {}


def test_more_threads_than_cpus() -> None:
    found = findings(_queued(1000, threads=8))["oversubscription"]
    check(found, 1000, 11_000)
    assert found.evidence[0] == "torch uses 8 threads on 2 usable CPUs"
    assert findings(_queued(100, threads=8)) == {}, "nobody waits for long"


CEILINGS = [fact("ceilings", "host read", 1e9), fact("ceilings", "host matmul float32", 1e9)]


def test_products_on_a_slow_code_path() -> None:
    """150 bytes at 1 GB/s are 150 ns, the product took 800."""
    found = findings(
        on_cpu(BASE, work={MM: {"read_bytes": 100, "written_bytes": 50, "flops": 20}}, facts=CEILINGS)
    )
    check(found["slow-cpu-kernels"], 650 * ALL, 1000 * ALL)
    assert found["slow-cpu-kernels"].evidence == (
        "2 of them take more than 4 times their floor",
        "the worst: decode › model.layers.3.self_attn › aten::mm takes 8.00 µs, its floor is 1.50 µs",
    )


def test_products_within_reach_of_their_floor() -> None:
    work = {MM: {"read_bytes": 150, "written_bytes": 60, "flops": 20}}
    assert findings(on_cpu(BASE, work=work, facts=CEILINGS)) == {}
    slow = {MM: {"read_bytes": 1}}
    assert findings(on_cpu(BASE, work=slow)) == {}, "no ceiling is known"


def test_a_healthy_run_on_a_cpu_has_no_finding() -> None:
    times = {
        MM: 800.0,
        (*ATTENTION, op("aten::scaled_dot_product_attention")): 60.0,
        (*ATTENTION, python("forward", "transformers/models/llama/modeling_llama.py")): 60.0,
        (SAMPLE,): 70.0,
        (SAMPLE, python("__exit__", "contextlib.py")): 10.0,
    }
    profile = on_cpu(
        times,
        work={MM: {"read_bytes": 700, "flops": 300}},
        around={"tokenize": 100, "prepare": 200, "detokenize": 50},
        facts=[*CEILINGS, fact("cpu", "CPUs this process may use", 2)],
        subject={"checkpoint_dtype": "float32", "torch_threads": 2},
        rows=[span("startup", 10**8, 1), span("import", 4 * 10**9, 2), span("load", 10**9, 3)],
    )
    assert findings(profile) == {}


def test_a_request_comes_before_the_cold_start_and_the_largest_gain_first() -> None:
    times = {**_cache("transformers/cache_utils.py")[0], (SAMPLE, python("callback", "/me.py")): 500.0}
    rows: list[Row] = [span("import", 6 * 10**9, 2)]
    found = find(profile := on_cpu(times, rows=rows), build_run_tree(profile))
    assert [one.name for one in found] == ["own-code-between-steps", "growing-cache", "slow-imports"]


def test_a_change_can_gain_no_more_than_all() -> None:
    """Queues of several threads may add up to more than the time that passed."""
    found = findings(_queued(50_000))["oversubscription"]
    assert (found.gain_ns, found.gain_share) == (11_000, 1.0)


def test_an_empty_profile_has_no_finding() -> None:
    assert findings(stored()) == {}


def test_rules_have_names_of_their_own() -> None:
    assert len({rule.__name__ for rule in RULES}) == len(RULES) == 25
