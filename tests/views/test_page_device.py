"""What the page says of a GPU, of the limit and of what to change, in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmflame.analysis.plumbing import without_plumbing
from llmflame.analysis.run_tree import build_run_tree
from llmflame.analysis.summary import summarise
from llmflame.analysis.tree import Tree
from llmflame.store.profile import read_profile
from tests.handmade_gpu import handmade_gpu
from tests.views.browsing import IN_A_BROWSER, Open, child, press, settle, view, widths
from tests.views.device_sample import ADD, LLAMA, SHORT_ADD, device_facts, device_tree, finding
from tests.views.test_page import HOSTILE
from tests.views.test_page_samples import llama

pytestmark = IN_A_BROWSER


def text(page: Any, place: str) -> str:
    told: str = page.inner_text(place).replace("\u202f", " ")
    return told


def options(page: Any) -> dict[str, list[str]]:
    """The metrics on offer, by the label of their group."""
    found: dict[str, list[str]] = page.evaluate(
        "() => Object.fromEntries([...document.querySelectorAll('#metric optgroup')].map("
        "group => [group.label, [...group.children].map(option => option.label)]))"
    )
    return found


def select(page: Any, tree: Tree, name: str) -> None:
    """Selects the first frame of a name by way of the search."""
    page.fill("#search", name)
    page.keyboard.press("Enter")
    settle(page)
    assert tree.frame(view(page)["selected"]).name == name


def test_widths_on_offer(open_page: Open) -> None:
    page = open_page(device_tree(), **device_facts())
    assert options(page) == {
        "Time": ["Wall time", "Host time", "GPU time", "GPU idle", "Operators' floor"],
        "Bytes": ["Bytes copied"],
        "Work": ["FLOPs"],
        "Counts": ["Calls", "Samples"],
    }
    page.select_option("#metric", label="FLOPs")
    settle(page)
    assert "9.00 GFLOP" in text(page, "#details .big") and "FLOPs, of it self" in text(page, "#details .big")


def test_calls_are_counted_up_the_tree(open_page: Open) -> None:
    tree = device_tree()
    page = open_page(tree, "#metric=calls")
    calls, drawn = tree.totals("calls"), widths(page)
    decode = child(tree, "decode")
    assert drawn[decode] / drawn[0] == pytest.approx(calls[decode] / calls[0], abs=1e-6)


def test_waits_and_copies_have_a_name_and_a_colour(open_page: Open) -> None:
    page = open_page(device_tree())
    told = text(page, "#legend")
    assert "Waiting for GPU" in told and "Copy" in told
    colours = page.evaluate(
        "() => [...document.querySelectorAll('#legend .swatch')].map(item => item.style.background)"
    )
    assert len(set(colours)) == len(colours)


def test_a_kernel_shows_its_full_name_in_the_details(open_page: Open) -> None:
    tree = device_tree()
    page = open_page(tree, "#query=CUDAFunctor_add%3Cc10%3A%3ABFloat16%3E")
    press(page, "n")
    assert tree.frame(view(page)["selected"]).name == ADD
    assert text(page, "#details h2") == SHORT_ADD
    assert text(page, "#details .full") == ADD
    assert SHORT_ADD in text(page, "#table") and "at::native" not in text(page, "#table")


def test_details_compare_with_the_floor(open_page: Open) -> None:
    tree = device_tree()
    page = open_page(tree)
    assert "floor" not in text(page, "#details .shares"), "of a whole run there is no such thing"
    select(page, tree, "aten::mm")
    told = text(page, "#details")
    assert "wall / operators' floor\n12.0×" in told and "GPU time / operators' floor\n4.00×" in told
    assert "3.00 GFLOP" in told and "Bytes read" in told and "3.81 MiB" in told


def test_the_limit(open_page: Open) -> None:
    page = open_page(device_tree(), **device_facts())
    rows = text(page, "#limit tbody")
    for words in ("decode", "8 steps", "10.0 ms", "1.00 ms", "10.0×", "10.0 %", "1.2 %"):
        assert words in rows
    for words in ("floor 1.00 ms 10.0 %", "launch gaps 6.25 ms 62.5 %", "waits 500 µs", "small grids 750 µs"):
        assert words in rows.replace("\n", " ").replace("  ", " ")
    assert "kernels above" not in rows, "none are"
    assert "The GPU is idle for 67.5 % of prefill and decode: launch-bound Python 50.0 ms, " in text(
        page, "#limit"
    )
    assert "measured" in text(page, "#limit")


def test_a_limit_without_a_ceiling(open_page: Open) -> None:
    facts = device_facts()
    facts["roofline"][0].update(floor_s=None, mfu=None, mfu_published=None, mbu=None, mbu_published=None)
    told = text(open_page(device_tree(), **facts), "#limit")
    assert "No ceiling of this machine is known" in told and "NaN" not in told
    facts["roofline"][0]["known_share"] = None
    assert open_page(device_tree(), **facts).locator("#limit").is_hidden()


def test_findings(open_page: Open) -> None:
    page = open_page(device_tree(), **device_facts())
    told = text(page, "#changes")
    for words in (
        "The GPU waits for Python 1",
        "at most 54.0 ms, 67.5 % of a request",
        "the GPU is idle for 54 ms of 80 ms",
        "Launch a step as one",
        "variant compile-reduce-overhead",
    ):
        assert words in told
    facts = {**device_facts(), "findings": [finding(number) for number in range(1, 6)]}
    page = open_page(device_tree(), **facts)
    assert page.locator(".findings > li:visible").count() == 3
    page.focus("#changes summary")
    page.keyboard.press("Enter")
    assert page.locator(".findings > li:visible").count() == 5


@pytest.mark.parametrize("merge", ["", "#merge=1"])
def test_a_finding_leads_into_the_graph(open_page: Open, merge: str) -> None:
    page = open_page(device_tree(), merge, **device_facts())
    page.focus(".findings .link >> nth=0")
    page.keyboard.press("Enter")
    settle(page)
    told = view(page)
    frames = page.evaluate(
        "([zoom, at]) => [zoom, at].map(node => llmflame.tree().frame(node).name)",
        [told["zoom"], told["selected"]],
    )
    assert frames == ["decode", "aten::mm"] and told["query"] == "aten::mm"
    assert page.evaluate("() => document.querySelector('#graph').getBoundingClientRect().top") < 450
    assert page.evaluate("() => document.activeElement.className") == "flame-scroller"
    page.click(f".findings .link:has-text('{LLAMA}')")
    settle(page)
    assert view(page)["query"] == "forward"


def test_every_frame_of_a_finding_is_in_the_graph(open_page: Open, tmp_path: Path) -> None:
    profile = read_profile(handmade_gpu(tmp_path / "a.llmflame"))
    run = build_run_tree(profile)
    page = open_page(without_plumbing(run.tree), **summarise(profile, run))
    links = page.locator(".findings .link").all()
    assert len(links) > 1
    for link in links:
        link.click()
        settle(page)
        assert "no match" not in text(page, "#found") and view(page)["selected"] != view(page)["zoom"]


def test_a_finding_of_a_frame_that_has_none_of_the_width(open_page: Open) -> None:
    tree = device_tree()
    page = open_page(tree, "#metric=copied_bytes", **device_facts())
    page.click(".findings .link >> nth=0")
    settle(page)
    assert view(page)["metric"] == "wall_ns" and tree.frame(view(page)["selected"]).name == "aten::mm"


def test_a_finding_of_a_frame_that_is_gone(open_page: Open) -> None:
    facts = {**device_facts(), "findings": [finding(frames=["decode › gone (file.py:3)", "nowhere"])]}
    tree = device_tree()
    page = open_page(tree, **facts)
    for number, (phase, query) in enumerate(((child(tree, "decode"), "gone"), (0, "nowhere"))):
        page.click(f".findings .link >> nth={number}")
        settle(page)
        assert (view(page)["zoom"], view(page)["query"]) == (phase, query)
        assert "no match" in text(page, "#found")


def test_a_failed_check_is_a_warning(open_page: Open) -> None:
    facts = device_facts()
    assert open_page(device_tree(), **facts).locator("#checks").is_hidden()
    facts["checks"].append({"name": "clocks <b>", "passed": False, "words": "3 works began early"})
    page = open_page(device_tree(), **facts)
    assert text(page, "#checks") == "Check failed, clocks <b>: 3 works began early."


def test_a_run_on_a_cpu_says_nothing_of_a_gpu(open_page: Open) -> None:
    page = open_page(llama())
    assert page.locator("#limit, #changes, #checks, .verdict").locator("visible=true").count() == 0
    facts = {**device_facts(), "device": None, "findings": []}
    facts["roofline"][0]["parts_s"].update(synchronisation=0.0, copies=0.0, **{"low occupancy": 0.0})
    page = open_page(llama(), device=None, checks=[], roofline=facts["roofline"], findings=[])
    assert "Python and dispatch" in text(page, "#limit") and page.locator("#changes").is_hidden()
    whole = text(page, "main").replace("GPUunknown", "")
    assert "GPU" not in whole and "Device time" not in whole
    assert all("GPU" not in label for group in options(page).values() for label in group)


def test_hostile_findings_do_nothing(open_page: Open) -> None:
    facts = device_facts()
    facts["findings"] = [
        finding(title=name, scope=name, change=name, variant=name, evidence=[name], frames=[name])
        for name in HOSTILE
    ]
    facts["checks"] = [{"name": name, "passed": False, "words": name} for name in HOSTILE]
    facts["device"]["idle_by_cause_s"] = dict.fromkeys(HOSTILE, 0.01)
    facts["roofline"][0].update(phase=HOSTILE[0], parts_s=dict.fromkeys(HOSTILE, 0.01))
    page = open_page(device_tree(f"void {HOSTILE[2]}<{HOSTILE[0]}>(int)"), width=390, **facts)
    page.click("#changes summary")
    for link in page.locator(".findings .link").all():
        link.click()
        settle(page)
    press(page, "Escape")
    assert page.evaluate("() => window.__pwned") is None
    assert page.locator("img").count() == 0
    assert HOSTILE[0] in text(page, "#changes") and "\u241b[31mred" in text(page, "#checks")
    assert "\u202e" not in text(page, "main")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390


def test_findings_of_anything_draw(open_page: Open) -> None:
    odd = [None, 3, "x", {}, {"frames": "no list", "evidence": {}, "gain_s": "1"}, finding(gain_share=None)]
    page = open_page(
        device_tree(), findings=odd, checks=[None, {"passed": False}], device=[], roofline=[{}, 1]
    )
    body = text(page, "body")
    assert "by how much is unknown" in body and "NaN" not in body and "undefined" not in body


@pytest.mark.parametrize("width", [390, 768, 1440])
@pytest.mark.parametrize("device", [None, {"idle_s": 0.05, "idle_share": 0.7, "idle_by_cause_s": {}}])
def test_nothing_sticks_out(open_page: Open, width: int, device: object) -> None:
    facts = {**device_facts(), "device": device}
    facts["roofline"][0]["parts_s"].update({"launch gaps": 0.02, "other": 0.03})
    page = open_page(device_tree(), "#metric=gpu_idle_ns", width=width, **facts)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    outside = (
        "() => [...document.querySelectorAll('.toolbar *, .verdict :not(.part *)')].filter("
        "item => item.getBoundingClientRect().right > innerWidth + 0.5).length"
    )
    assert page.evaluate(outside) == 0
    assert page.locator("#metric").bounding_box()["width"] > 100


def test_paper_is_light_and_has_everything_open(open_page: Open) -> None:
    facts = {**device_facts(), "findings": [finding(number) for number in range(1, 6)]}
    page = open_page(device_tree(), **facts)
    page.click("#theme")
    theme = "() => document.documentElement.dataset.theme"
    assert page.evaluate(theme) == "dark"
    page.evaluate("() => window.dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate(theme) == "light"
    assert page.locator(".findings > li:visible").count() == 5
    page.evaluate("() => window.dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(theme) == "dark"
