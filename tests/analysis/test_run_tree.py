"""One tree over the run: its wall time is the measured one, whatever the windows saw."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmflame.analysis.phases import run_wall_ns
from llmflame.analysis.run_tree import RunTree, build_run_tree
from llmflame.analysis.tree import Tree
from llmflame.analysis.windows import event_costs
from llmflame.store.observed import FrameKey, ObservedTree
from llmflame.store.profile import Profile
from llmflame.store.rows import ProbeReportRow, Row, WindowRow

from .small import anchor, by_path, cost, module, observed, op, python, request, span, stored, window


def _walls(run: RunTree) -> dict[str, float]:
    return by_path(run.tree, "wall_ns")


def check_tree(tree: Tree) -> None:
    """What every view relies on."""
    size = len(tree)
    assert len(tree.node_frames) == len(tree.origins) == size
    assert tree.parents[0] == -1
    assert all(0 <= parent < node for node, parent in enumerate(tree.parents[1:], start=1))
    # Pre-order: a node's parent is the node before it or one of that node's ancestors.
    for node in range(1, size):
        assert tree.parents[node] in tree.path(node - 1)
    assert all(len(column) == size for column in tree.selfs.values())
    assert [metric.name for metric in tree.metrics] == list(tree.selfs)
    # The rest of a phase may stand beside a rest that its window had already.
    siblings = [
        (tree.parents[n], tree.node_frames[n]) for n in range(size) if tree.frame(n).name != "unattributed"
    ]
    assert len(set(siblings)) == len(siblings)
    assert len(set(tree.frames)) == len(tree.frames)


def test_phases_without_windows_are_named() -> None:
    profile = stored(
        [
            span("startup", 5, 1, thread_cpu_ns=3),
            span("import", 10, 2, start_ns=5, thread_cpu_ns=30),
            *request({"prefill": 30, "decode": 60}, gap_ns=4),
        ],
        subject={"model": "tiny"},
    )
    run = build_run_tree(profile)
    assert _walls(run) == {
        "startup/python starts": 5,
        "import/unattributed": 10,
        "prefill/unattributed": 30,
        "decode/unattributed": 60,
        "unattributed": 4,
    }
    assert by_path(run.tree, "on_cpu_ns") == {"startup/python starts": 3, "import/unattributed": 10}
    assert run.tree.frame(0).name == "tiny" and run.tree.frame(0).kind == "run"
    assert set(run.tree.origins) == {"measured"}
    assert (run.factor, run.slowdown) == (None, None)
    check_tree(run.tree)


def test_an_empty_profile_is_a_lone_root() -> None:
    tree = build_run_tree(stored()).tree
    assert len(tree) == 1 and tree.selfs == {}
    assert tree.frame(0).name == "run"


def _sampled(number: int, name: str, wall_ns: int) -> WindowRow:
    return WindowRow("clean", number, "sampled", name, None, wall_ns, 3, None, 0)


def test_sampled_time_is_stretched_to_the_span_and_traced_bytes_join_it() -> None:
    """The load: clocks of the sampler, bytes and calls of the tracer, below the same phase."""
    load, read = python("load"), python("read")
    workers = ("thread", "worker threads", None, None, None)
    sampled = observed(
        {
            (load,): {"wall_ns": 60, "on_cpu_ns": 40, "samples": 3, "resident_bytes": 4096},
            (load, read): {"wall_ns": 40, "samples": 2},
            (load, workers, read): {"overlapped_ns": 50, "samples": 2},
        }
    )
    traced = observed(
        {
            (op("aten::empty"),): {"wall_ns": 999, "calls": 7, "allocated_bytes": 4096, "allocations": 7},
            (op("aten::copy_"),): {"wall_ns": 999, "calls": 2, "freed_bytes": 64},
        }
    )
    profile = stored(
        [span("load", 200, 1)],
        [(_sampled(1, "load", 100), sampled), (window(1001, "load", 5000), traced)],
    )
    tree = build_run_tree(profile).tree
    assert by_path(tree, "wall_ns") == {"load/load": 120, "load/load/read": 80}
    assert by_path(tree, "on_cpu_ns") == {"load/load": 80}
    assert by_path(tree, "overlapped_ns") == {"load/load/worker threads/read": 100}
    assert by_path(tree, "resident_bytes") == {"load/load": 4096}
    assert by_path(tree, "samples") == {
        "load/load": 3,
        "load/load/read": 2,
        "load/load/worker threads/read": 2,
    }
    assert by_path(tree, "calls") == {"load/aten::empty": 7, "load/aten::copy_": 2}
    assert by_path(tree, "allocated_bytes") == {"load/aten::empty": 4096}
    assert by_path(tree, "freed_bytes") == {"load/aten::copy_": 64}
    assert {tree.origins[node] for node in range(2, len(tree))} == {"sampled"}
    check_tree(tree)


def test_a_traced_phase_is_scaled_to_its_span() -> None:
    traced = observed(
        {
            (python("encode"),): {"wall_ns": 300, "calls": 1},
            (python("encode"), op("aten::add")): {"wall_ns": 100, "calls": 10, "allocated_bytes": 32},
        }
    )
    profile = stored(
        [*request({"tokenize": 200}), span("tokenize", 999, 1, pass_name="anatomy")],
        [(window(1001, "tokenize", 400), traced)],
    )
    tree = build_run_tree(profile).tree
    assert by_path(tree, "wall_ns") == pytest.approx(
        {"tokenize/encode": 150, "tokenize/encode/aten::add": 50}
    )
    assert by_path(tree, "calls") == {"tokenize/encode": 1, "tokenize/encode/aten::add": 10}
    assert by_path(tree, "allocated_bytes") == {"tokenize/encode/aten::add": 32}
    assert tree.origins[-1] == "scaled"


def test_decode_with_windows_at_1_and_8_over_20_steps() -> None:
    """Step s takes 100 + s; the window at 1 saw nothing but `a`, the one at 8 nothing but `b`."""
    steps = [100 + step for step in range(1, 21)]
    decode = sum(steps) + 30  # what lies between the steps is the steps', in proportion
    first = observed({(op("a"),): {"wall_ns": 500, "calls": 3, "allocated_bytes": 16}})
    later = observed({(op("b"),): {"wall_ns": 700, "calls": 5}})
    profile = stored(
        request({"prefill": 40, "decode": decode}, steps=steps),
        [(window(1001, "decode", 500, 1), first), (window(1002, "decode", 700, 8), later)],
    )
    run = build_run_tree(profile)
    part_a = {step: max(8 - step, 0) / 7 for step in range(1, 21)}
    time_a = sum(part_a[step] * (100 + step) for step in part_a)
    stretch = decode / sum(steps)
    assert _walls(run) == pytest.approx(
        {
            "prefill/unattributed": 40,
            "decode/a": time_a * stretch,
            "decode/b": (sum(steps) - time_a) * stretch,
        }
    )
    count_a = sum(part_a.values())
    assert by_path(run.tree, "calls") == pytest.approx(
        {"decode/a": 3 * count_a, "decode/b": 5 * (20 - count_a)}
    )
    assert by_path(run.tree, "allocated_bytes") == pytest.approx({"decode/a": 16 * count_a})
    # Clean time around step 1: steps 1 to 3, median 102; around 8: 6 to 10, median 108.
    assert run.slowdown == pytest.approx(max(500 / 102, 700 / 108))
    assert run.factor == run.slowdown


def test_decode_is_divided_by_anchors_and_cost() -> None:
    """A module's share of the time is its anchor's; within it, the calibrated cost decides."""
    frames: dict[tuple[FrameKey, ...], dict[str, float]] = {
        (): {"wall_ns": 50},
        (module("", "Root"),): {"wall_ns": 50, "calls": 1},
        (module("", "Root"), module("mlp")): {"wall_ns": 1000, "calls": 1},
        (module("", "Root"), module("mlp"), op("mm")): {"wall_ns": 1000, "calls": 1},
        (module("", "Root"), module("mlp"), op("add")): {"wall_ns": 1000, "calls": 50},
    }
    rows: list[Row] = [
        *request({"decode": 2000}, steps=[2000]),
        *cost("op", 10, 10),
        span(
            "step",
            2000,
            1,
            pass_name="anatomy",
            treatment="anchored",
            repetition=1,
            step=1,
            thread_cpu_ns=1100,
        ),
        anchor("", 1, 100, repetition=1, cpu_ns=100),
        anchor("mlp", 1, 1800, repetition=1, cpu_ns=900),
    ]
    profile = stored(rows, [(window(1001, "decode", 3100, 1), observed(frames))])
    walls = _walls(build_run_tree(profile))
    assert walls["decode"] == pytest.approx(100)
    assert walls["decode/Root"] == pytest.approx(100)
    inside = {name.rsplit("/", 1)[-1]: value for name, value in walls.items() if "mlp" in name}
    # 3000 traced, 1800 anchored: an excess of 1200. Calibrated: 510 in mlp (outside of its operators), 510
    # inside of them.
    rate = 1200 / 1020
    left = {"mlp": 1000 - 510 * rate, "mm": 1000 - 10 * rate, "add": 1000 - 500 * rate}
    assert inside == pytest.approx(left)
    cpus = by_path(build_run_tree(profile).tree, "on_cpu_ns")
    assert sum(value for name, value in cpus.items() if "mlp" in name) == pytest.approx(900)
    assert sum(walls.values()) == pytest.approx(2000)


def test_cpu_time_without_anchors_is_the_phases() -> None:
    rows = [
        row
        if row.name != "tokenize"
        else span("tokenize", 200, 101, parent=100, repetition=0, thread_cpu_ns=50)
        for row in request({"tokenize": 200})
    ]
    profile = stored(rows, [(window(1001, "tokenize", 400), observed({(op("a"),): {"wall_ns": 400}}))])
    assert by_path(build_run_tree(profile).tree, "on_cpu_ns") == {"tokenize/a": 50}


def test_a_window_without_time_leaves_the_phase_unattributed() -> None:
    profile = stored(
        request({"decode": 100}, steps=[60, 40]),
        [(window(1001, "decode", 0, 1), observed({(op("a"),): {"calls": 2}}))],
    )
    tree = build_run_tree(profile).tree
    assert by_path(tree, "wall_ns") == {"decode/unattributed": 100}
    assert by_path(tree, "calls") == {"decode/a": 4}


def test_decode_spans_of_other_requests_do_not_change_the_tree() -> None:
    """Repetition 1 is the median one: its steps alone are summed."""
    rows: list[Row] = []
    for repetition, wall in enumerate((10, 20, 30)):
        rows += request(
            {"decode": 2 * wall}, steps=[wall, wall], repetition=repetition, first=100 * (repetition + 1)
        )
    profile = stored(
        rows, [(window(1001, "decode", 5, 1), observed({(op("a"),): {"wall_ns": 5, "calls": 1}}))]
    )
    tree = build_run_tree(profile).tree
    assert by_path(tree, "wall_ns") == pytest.approx({"decode/a": 40})
    assert by_path(tree, "calls") == {"decode/a": 2}


def test_event_costs_are_read_from_the_probes_report() -> None:
    profile = stored(
        [*cost("op", 3, 4), *cost("python", 1, 2), ProbeReportRow("anatomy", "tracer", "reading", 9, "ns")]
    )
    costs = event_costs(profile)
    assert costs.inside_ns == {"op": 3, "python": 1} and costs.outside_ns == {"op": 4, "python": 2}


def test_a_deep_window() -> None:
    tree = ObservedTree()
    leaf = tree.descend(0, [python(f"f{level}") for level in range(2000)])
    tree.add(leaf, "wall_ns", 10)
    profile = stored([span("warmup", 50, 1)], [(window(1001, "warmup", 10), tree)])
    run = build_run_tree(profile).tree
    assert len(run) == 2002
    assert run.totals("wall_ns")[0] == pytest.approx(50)
    assert run.totals("wall_ns")[2] == pytest.approx(50)


# --- at random -------------------------------------------------------------------------------------------

FRAMES = (
    python("f"),
    op("a"),
    op("b"),
    module(""),
    module("layer.0"),
    ("other", "unattributed", None, None, None),
)


@st.composite
def observations(draw: st.DrawFn) -> ObservedTree:
    tree = ObservedTree()
    for parent, frame, wall, calls in draw(
        st.lists(
            st.tuples(st.integers(0, 20), st.sampled_from(FRAMES), st.integers(0, 10**7), st.integers(0, 30)),
            max_size=12,
        )
    ):
        node = tree.child(parent % len(tree), frame)
        tree.add(node, "wall_ns", wall)
        tree.add(node, "calls", calls)
    return tree


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    walls = st.integers(1, 10**9)
    rows: list[Row] = [*cost("op", 200, 100), *cost("python", 100, 50)]
    at = 0
    for number, name in enumerate(("startup", "import", "load", "warmup"), start=1):
        wall = draw(walls)
        rows.append(span(name, wall, number, start_ns=at, thread_cpu_ns=draw(st.none() | walls)))
        at += wall
    for repetition in range(draw(st.integers(0, 3))):
        steps = draw(st.lists(walls, max_size=12))
        phases = {name: draw(walls) for name in ("tokenize", "prepare", "prefill")}
        phases["decode"] = sum(steps) + draw(st.integers(0, 1000))
        phases["detokenize"] = draw(walls)
        rows += request(
            phases,
            steps=steps,
            repetition=repetition,
            first=100 * (repetition + 1),
            gap_ns=draw(st.integers(0, 10**6)),
        )
    for step in draw(st.sets(st.sampled_from([0, 1, 3, 5]))):
        rows.append(
            span(
                "step",
                draw(walls),
                50 + step,
                pass_name="anatomy",
                treatment="anchored",
                repetition=9,
                step=step,
            )
        )
        rows += [anchor(name, step, draw(st.integers(0, 10**8)), repetition=9) for name in ("", "layer.0")]
    windows: list[tuple[WindowRow, ObservedTree]] = []
    for name, of in (("tokenize", None), ("prefill", 0), ("decode", 1), ("decode", 8), ("load", None)):
        if draw(st.booleans()):
            tree = draw(observations())
            windows.append((window(1001 + len(windows), name, draw(walls), of), tree))
    for number, name in enumerate(("import", "load"), start=1):
        if draw(st.booleans()):
            tree = draw(observations())
            windows.append((_sampled(number, name, int(sum(tree.cells.get("wall_ns", {}).values()))), tree))
    return stored(rows, windows)


@settings(max_examples=40)
@given(profiles())
def test_the_total_is_the_measured_wall(profile: Profile) -> None:
    run = build_run_tree(profile)
    check_tree(run.tree)
    totals = run.tree.totals("wall_ns")
    assert totals[0] == pytest.approx(run_wall_ns(profile), abs=1, rel=1e-12)
    assert min(run.tree.selfs["wall_ns"]) > -1
    phases = {
        run.tree.frame(n).name: total
        for n, total in enumerate(totals)
        if run.tree.parents[n] == 0 and run.tree.frame(n).kind == "phase"
    }
    for found in (row for row in profile.spans if row.pass_name == "clean" and row.parent is None):
        if found.name in phases and found.repetition is None:
            assert phases[found.name] == pytest.approx(found.wall_ns, abs=1, rel=1e-12)
    rests = Counter(p for n, p in enumerate(run.tree.parents) if run.tree.frame(n).name == "unattributed")
    assert set(rests.values()) <= {1}, "what a window and a phase don't explain is one frame"
    for node, cpu in enumerate(run.tree.selfs.get("on_cpu_ns", [])):
        assert 0 <= cpu <= run.tree.selfs["wall_ns"][node] * (1 + 1e-12)


def test_a_prompt_in_chunks_is_all_of_its_windows() -> None:
    """Only the first chunk's window once spoke for the whole prompt: three steps, the first and the second
    traced, counted 10 operations instead of 10 + 2 x 40."""
    shape = {"kind": "shapes"}
    rows = [
        span("request", 60, 1, repetition=0),
        span("prefill", 60, 2, parent=1, repetition=0),
        *(span("step", 20, 3 + step, parent=2, repetition=0, step=step) for step in range(3)),
    ]
    trees = [
        (window(1001, "prefill", 20, 0), observed({(op("mm"),): {"wall_ns": 20, "calls": 1}})),
        (window(1002, "prefill", 20, 1), observed({(op("mm"),): {"wall_ns": 20, "calls": 1}})),
        (window(1003, "prefill", 20, 0, **shape), observed({(op("mm"),): {"flops": 10}})),
        (window(1004, "prefill", 20, 1, **shape), observed({(op("mm"),): {"flops": 40}})),
    ]
    tree = build_run_tree(stored(rows, trees)).tree
    assert by_path(tree, "flops") == {"prefill/mm": 90}
    assert by_path(tree, "calls") == {"prefill/mm": 3}
    assert by_path(tree, "wall_ns") == {"prefill/mm": 60}
