"""The page as text: what it holds, that nothing breaks out of it, and that equal input gives equal output."""

from __future__ import annotations

import base64
import gzip
import json
import math
import re
from typing import Any

import pytest

from llmflame.analysis.tree import Tree
from llmflame.store.model import Frame, Metric
from llmflame.views.page import PageData, render_page
from llmflame.views.page.document import MAX_TEXT, plain, readable, whole
from tests.views.device_sample import ADD, SHORT_ADD, device_facts, device_tree, finding
from tests.views.test_page_samples import llama, random_tree, summary

HOSTILE = [
    "</script><script>window.__pwned = 1</script>",
    "<!-- <script>",
    '<img src=x onerror="window.__pwned = 1">',
    "${title} $data %s {0}",
    "line\u2028separator\u2029end",
    "\x1b[31mred\x1b[0m\x07\x00",
    "\u202eesrever",
    "lone \udc80 surrogate",
    "x" * 1_000_000,
    "",
]


def embedded(page: str) -> Any:
    """The data inside a page."""
    found = re.search(r'<script type="application/octet-stream" id="data">([A-Za-z0-9+/=]*)</script>', page)
    assert found is not None
    return json.loads(gzip.decompress(base64.b64decode(found[1])))


def decoded(raw: Any) -> Tree:
    """The tree inside the data, read as the layout's description says."""
    text = [*raw["strings"], None]
    frames = raw["frames"]
    tree = Tree(
        frames=[
            Frame(text[kind], text[full] or text[name], text[file], None if line < 0 else line, text[module])
            for kind, name, full, file, line, module in zip(
                *(frames[key] for key in ("kind", "name", "full", "file", "line", "module")), strict=True
            )
        ],
        parents=[-1, *(node - up for node, up in enumerate(raw["nodes"]["up"], 1))],
        node_frames=raw["nodes"]["frame"],
    )
    for metric in raw["metrics"]:
        tree.metrics.append(Metric(metric["name"], metric["unit"], metric["fold"], metric["label"]))
        column = tree.selfs[metric["name"]] = [0.0] * len(tree)
        node = 0
        for step, value in zip(metric["step"], metric["value"], strict=True):
            node += step
            column[node] = value
    runs = raw["origins"]["runs"]
    for name, count in zip(runs[::2], runs[1::2], strict=True):
        tree.origins += [raw["origins"]["names"][name]] * count
    return tree


def page_of(tree: Tree, title: str = "A run") -> str:
    return render_page(PageData(title, summary(tree), tree))


def hostile_tree() -> Tree:
    tree = Tree(metrics=[Metric("wall_ns", "ns", "sum", "Wall </script> time")], selfs={"wall_ns": []})
    for index, name in enumerate(["run", *HOSTILE]):
        tree.frames.append(Frame("python" if index else "run", name, name, index, name))
        tree.parents.append(0 if index else -1)
        tree.node_frames.append(index)
        tree.selfs["wall_ns"].append(1e6 * index)
        tree.origins.append("traced")
    return tree


@pytest.mark.parametrize("tree", [llama(), random_tree(3_000), device_tree()], ids=["llama", "random", "gpu"])
def test_page_holds_the_tree(tree: Tree) -> None:
    back = decoded(embedded(page_of(tree)))
    assert back.parents == tree.parents
    assert back.origins == tree.origins
    assert back.metrics == tree.metrics
    assert [back.frame(node) for node in range(len(back))] == [tree.frame(node) for node in range(len(tree))]


@pytest.mark.parametrize("tree", [llama(), random_tree(3_000)], ids=["llama", "random"])
def test_every_total_is_conserved(tree: Tree) -> None:
    back = decoded(embedded(page_of(tree)))
    for metric in tree.metrics:
        for told, true in zip(back.totals(metric.name), tree.totals(metric.name), strict=True):
            assert abs(told - true) <= 1.01


def test_rounding_keeps_sums_and_zeros() -> None:
    values = [0.4, 0.0, 0.4, 0.4, 0.0, 2.5, -0.7, 1e12 + 0.3]
    rounded = whole(values)
    assert rounded[1] == rounded[4] == 0
    for end in range(len(values)):
        assert abs(sum(rounded[:end]) - sum(values[:end])) <= 0.5001


def test_what_is_not_finite_counts_as_nothing() -> None:
    tree = random_tree(4)
    tree.selfs["wall_ns"][1:3] = [math.nan, math.inf]
    assert decoded(embedded(page_of(tree))).selfs["wall_ns"][1:3] == [0.0, 0.0]


def test_metrics_that_do_not_add_up_are_not_rounded() -> None:
    tree = random_tree(3)
    tree.metrics.append(Metric("late_ns", "ns", "max", "Lateness"))
    tree.selfs["late_ns"] = [0.25, 0.5, 0.0]
    assert decoded(embedded(page_of(tree))).selfs["late_ns"] == [0.25, 0.5, 0.0]


def test_summary_goes_along_as_it_is() -> None:
    tree = llama()
    raw = embedded(page_of(tree))
    assert raw["summary"] == summary(tree)
    assert raw["title"] == "A run"


def test_summary_with_values_json_cannot_hold() -> None:
    odd: dict[str, object] = {"a": math.nan, "b": (1, 2), "c": {3}, "4": None, "d": "\udc80", "e": True}
    assert plain(odd) == {"a": None, "b": [1, 2], "c": "{3}", "4": None, "d": r"\udc80", "e": True}


def test_equal_input_gives_equal_output() -> None:
    assert page_of(llama()) == page_of(llama())


def test_page_loads_nothing() -> None:
    page = page_of(llama())
    assert (
        re.search(r"https?:|//[a-z]+\.|@import|url\(|<link|<iframe|<base", page.split('id="data"')[0]) is None
    )
    script = page.rsplit("<script>", 1)[1]
    assert (
        re.search(r"https?:|\bfetch\(|XMLHttpRequest|WebSocket|\bimport\(|innerHTML|\beval\(", script) is None
    )


def test_policy_allows_this_script_and_no_other() -> None:
    page = page_of(llama())
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy[1]


def test_hostile_names_stay_inside_the_data() -> None:
    page = page_of(hostile_tree(), HOSTILE[0] + HOSTILE[5])
    assert page.count("<script") == 2 and page.count("</script>") == 2
    assert "<!--" not in page and "\u2028" not in page and "\x1b" not in page
    assert "<title>&lt;/script&gt;&lt;script&gt;window.__pwned = 1&lt;/script&gt;\ufffd[31mred" in page
    page.encode("utf-8")


def test_hostile_names_come_back_readable() -> None:
    back = decoded(embedded(page_of(hostile_tree())))
    names = [back.frame(node).name for node in range(1, len(back))]
    assert names == [readable(name) for name in HOSTILE]
    assert names[-3] == r"lone \udc80 surrogate"
    assert names[-2] == "x" * MAX_TEXT + "… (1,000,000 characters)"


def test_kernels_have_a_name_to_read_and_their_own() -> None:
    raw = embedded(page_of(device_tree()))
    text, frames = [*raw["strings"], None], raw["frames"]
    names = [(text[name], text[full]) for name, full in zip(frames["name"], frames["full"], strict=True)]
    assert (SHORT_ADD, ADD) in names
    assert ("nvjet_sm90_tst_64x8", None) in names and ("aten::mm", None) in names


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_kernels_stay_inside_the_data(name: str) -> None:
    facts = {**device_facts(), "findings": [finding(title=name, frames=[name], evidence=[name])]}
    page = render_page(PageData("A run", facts, device_tree(f"void {name}<int>({name})")))
    assert page.count("<script") == 2 and page.count("</script>") == 2
    back = decoded(embedded(page))
    assert readable(f"void {name}<int>({name})") in {frame.name for frame in back.frames}


def test_a_kernel_without_a_name_keeps_none() -> None:
    frames = decoded(embedded(page_of(device_tree("")))).frames
    assert "" in {frame.name for frame in frames if frame.kind == "kernel"}


def test_a_tree_without_nodes_renders() -> None:
    assert embedded(render_page(PageData("Empty", {}, Tree())))["nodes"] == {"up": [], "frame": []}


def test_size_of_a_usual_page() -> None:
    """The code is the same in every page; what a profile adds must stay small beside it."""
    code = len(render_page(PageData("Empty", {}, Tree())))
    assert code < 220_000
    assert len(page_of(llama())) - code < 100_000
    assert len(page_of(random_tree(20_000))) < 500_000
