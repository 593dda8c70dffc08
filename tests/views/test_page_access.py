"""Faults that axe-core finds, for those who hear a page or see it badly: every kind of page, both themes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llmflame.cli.report import write_report
from llmflame.store.profile import read_profile
from llmflame.views.page import PageData, render_page
from tests.handmade import handmade
from tests.handmade_gpu import handmade_gpu
from tests.handmade_memory import handmade_memory
from tests.handmade_stalls import handmade_stalls
from tests.views.browsing import IN_A_BROWSER, settle
from tests.views.device_sample import device_facts, device_tree
from tests.views.test_page_bundle import WEB
from tests.views.test_page_samples import llama, summary

AXE = WEB / "node_modules" / "axe-core" / "axe.min.js"
pytestmark = [
    *IN_A_BROWSER,
    pytest.mark.skipif(not AXE.exists(), reason="needs axe-core (npm ci in web/)"),
]
GRAVE = """async () => {
    const found = await axe.run(document, { resultTypes: ['violations'] });
    return found.violations
        .filter(({ impact }) => impact === 'serious' || impact === 'critical')
        .map(({ id, nodes }) => `${id}: ${nodes.map(node => `${node.target} ${node.failureSummary}`)}`);
}"""
LENSES = "#merge=1&hide=Linear.forward&focus=mlp&query=mm&colour=roofline"


def cpu_page(file: Path) -> None:
    tree = llama()
    file.write_text(render_page(PageData("A run", summary(tree), tree)), encoding="utf-8")


def gpu_page(file: Path) -> None:
    tree = device_tree()
    facts = {**summary(tree), **device_facts(), "sentence": "11.3 ms a token."}
    file.write_text(render_page(PageData("A run", facts, tree)), encoding="utf-8")


def recorded(make: Callable[[Path], Path]) -> Callable[[Path], None]:
    def write(file: Path) -> None:
        write_report(read_profile(make(file.with_suffix(".llmflame"))), file)

    return write


def partial(path: Path) -> Path:
    return handmade(path, status="partial", reason="interrupted")


PAGES = {
    "cpu": cpu_page,
    "gpu": gpu_page,
    "recorded": recorded(handmade),
    "recorded on a gpu": recorded(handmade_gpu),
    "recorded with memory": recorded(handmade_memory),
    "recorded with stalls": recorded(handmade_stalls),
    "partial": recorded(partial),
}


@pytest.fixture
def open_for_axe(browser: Any, tmp_path: Path) -> Iterator[Callable[[str, str, str], Any]]:
    """Opens a page into which a test's own script may be put."""
    contexts: list[Any] = []

    def open_it(name: str, scheme: str, fragment: str) -> Any:
        file = tmp_path / "page.html"
        PAGES[name](file)
        context = browser.new_context(
            viewport={"width": 1280, "height": 900},
            reduced_motion="reduce",
            color_scheme=scheme,
            bypass_csp=True,
        )
        contexts.append(context)
        page = context.new_page()
        page.goto(file.as_uri() + fragment)
        page.wait_for_selector("html[data-whole]")
        page.add_script_tag(path=AXE)
        settle(page)
        return page

    yield open_it
    for context in contexts:
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_grave(open_for_axe: Callable[[str, str, str], Any], name: str, scheme: str) -> None:
    page = open_for_axe(name, scheme, "")
    page.evaluate("() => document.querySelectorAll('details').forEach(item => (item.open = true))")
    assert page.evaluate(GRAVE) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_grave_through_lenses(open_for_axe: Callable[[str, str, str], Any], scheme: str) -> None:
    page = open_for_axe("cpu", scheme, LENSES)
    assert page.locator("#lenses .chip").count() == 2
    assert page.evaluate(GRAVE) == []
    page.keyboard.press("?")
    assert page.evaluate(GRAVE) == []


def test_axe_would_find_something(open_for_axe: Callable[[str, str, str], Any]) -> None:
    page = open_for_axe("cpu", "light", "")
    page.evaluate(
        "() => { const metric = document.querySelector('#metric');"
        " metric.closest('label').replaceWith(metric); metric.removeAttribute('title'); }"
    )
    assert any(words.startswith("select-name") for words in page.evaluate(GRAVE))
