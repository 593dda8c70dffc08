"""Stalls on the page: the graph down to the reason, the section, the words, the comparison of two runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmflame.analysis.compare.comparison import compare
from llmflame.store.profile import read_profile
from llmflame.views.page import PageData, page_compare, page_data, render_page
from tests.handmade_gpu import GEMM, handmade_gpu
from tests.handmade_stalls import STALLS, handmade_stalls, stall_rows
from tests.views.browsing import IN_A_BROWSER, Open, settle, view
from tests.views.pages import watched_pages
from tests.views.sections_page import address, text
from tests.views.test_page_samples import summary

pytestmark = IN_A_BROWSER
SCHEMES = ["light", "dark"]
COLOURS = """selector => [...document.querySelectorAll(selector)].map(one =>
    getComputedStyle(one).backgroundColor)"""


@pytest.fixture
def open_stalls(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Opens the page of a run whose stalls were sampled."""
    with watched_pages(browser, tmp_path) as pages:

        def open_it(fragment: str = "", scheme: str = "light", kernel: str = GEMM, width: int = 1440) -> Any:
            rows = stall_rows({kernel if name == GEMM else name: own for name, own in STALLS.items()})
            path = handmade_stalls(tmp_path / f"{pages.next_name}.llmflame", rows, kernel=kernel)
            html = render_page(page_data(read_profile(path)))
            return pages.open(html, fragment, width, color_scheme=scheme)

        yield open_it


@pytest.mark.parametrize("scheme", SCHEMES)
def test_groups_and_kernels_of_a_phase(open_stalls: Open, scheme: str) -> None:
    page = open_stalls(scheme=scheme)
    assert "device memory 67.7 %" in text(page, "#stalls .stall-key")
    first = text(page, "#stalls .stall-kernel summary")
    assert GEMM in first and "memory-bound" in first
    pieces = page.evaluate(COLOURS, "#stalls .stall-bar.whole span")
    assert len(pieces) == len(set(pieces)) >= 4, "each group has a colour of its own"
    assert pieces == page.evaluate(COLOURS, "#stalls .stall-key .swatch")
    label = page.locator("#stalls .stall-bar.whole").get_attribute("aria-label")
    assert "device memory 67.7" in label.replace("\u202f", " ")


def test_a_kernels_reasons_are_told_when_asked(open_stalls: Open) -> None:
    page = open_stalls()
    assert page.locator("#stalls .stall-reasons").count() == 0
    page.focus("#stalls .stall-kernel summary")
    page.keyboard.press("Enter")
    settle(page)
    told = text(page, "#stalls .stall-body")
    assert "long_scoreboard 77.0 % device memory The warp waits for data" in told
    assert "What helps:" in told and "In 83.0 % of its samples" in told
    page.click("#stalls .stall-body button")
    settle(page)
    selected = view(page)["selected"]
    assert page.evaluate(f"() => llmflame.tree().frame({selected}).name") == "decode"
    assert page.input_value("#search") == GEMM


def test_another_phase_is_chosen_and_kept_in_the_address(open_stalls: Open) -> None:
    page = open_stalls()
    assert page.locator("#stalls [aria-pressed='true']").inner_text() == "decode"
    page.click("#stalls [data-phase='prefill']")
    assert "in prefill" in text(page, "#stalls .aside") and "stalls.phase=prefill" in address(page)
    again = open_stalls("#stalls.phase=prefill")
    assert again.locator("#stalls [aria-pressed='true']").inner_text() == "prefill"


def test_kernel_by_reason_is_a_table(open_stalls: Open) -> None:
    page = open_stalls()
    page.click("#stalls > details > summary")
    settle(page)
    heads = text(page, "#stalls thead")
    assert "long_scoreboard" in heads and "not issued" not in heads, "half of the columns would be of that"
    assert "tex_throttle" not in heads, "no kernel has it"
    page.click("#stalls thead button[title='barrier']")
    assert "barrier ↓" in text(page, "#stalls thead")
    assert text(page, "#stalls tbody tr").startswith("flash_fwd_kernel")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_graph_is_coloured_by_group(open_stalls: Open, scheme: str) -> None:
    page = open_stalls("#colour=stalls&metric=device_ns", scheme)
    assert view(page)["colour"] == "stalls"
    legend = text(page, "#legend")
    assert "device memory 67.7 %" in legend and "outside kernels" in legend
    swatch = page.evaluate(COLOURS, "#legend .swatch")[0]
    assert swatch == page.evaluate(COLOURS, "#stalls .stall-key .swatch")[0]


def test_the_colours_are_offered_only_where_there_are_stalls(browser: Any, tmp_path: Path) -> None:
    with watched_pages(browser, tmp_path) as pages:
        html = render_page(page_data(read_profile(handmade_gpu(tmp_path / "a.llmflame"))))
        page = pages.open(html, "#colour=stalls")
        assert page.locator("#stalls").count() == 0 and "Kernel" in text(page, "#legend")
        assert page.locator("#colour option[value='stalls']").is_disabled()


def test_a_reasons_frame_says_what_it_means(open_stalls: Open) -> None:
    page = open_stalls("#metric=device_ns")
    node = page.evaluate(
        "() => { const tree = llmflame.tree();"
        " for (let at = 0; at < tree.size; at++) if (tree.frame(at).kind === 'stall') return at; }"
    )
    path = page.evaluate(
        "at => { const tree = llmflame.tree(); const path = [];"
        " for (; at >= 0; at = tree.parent[at]) path.unshift(tree.frame(at).kind); return path; }",
        node,
    )
    assert path[-3:] == ["kernel", "stall_group", "stall"]
    page.fill("#search", "long_scoreboard")
    page.keyboard.press("Enter")
    settle(page)
    told = text(page, "#details")
    assert "Stall reason" in told and "The warp waits for data" in told and "What helps: Fewer bytes" in told


def test_a_hostile_kernel_is_text(open_stalls: Open) -> None:
    name = "<img src=x onerror=alert(1)>\u202e\x1b[31m"
    page = open_stalls(kernel=name)
    page.click("#stalls .stall-kernel summary")
    titles = page.locator("#stalls .stall-kernel .name").evaluate_all("all => all.map(one => one.title)")
    assert any("<img src=x" in title for title in titles)
    assert not any("\u202e" in title or "\x1b" in title for title in titles)
    assert page.locator("#stalls img").count() == 0


def test_it_fits_a_phone(open_stalls: Open) -> None:
    page = open_stalls(width=380)
    page.click("#stalls .stall-kernel summary")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 380


@pytest.mark.parametrize("scheme", SCHEMES)
def test_two_runs_side_by_side(browser: Any, tmp_path: Path, scheme: str) -> None:
    other = {
        **STALLS,
        GEMM: {"long_scoreboard": (2_000, 1_500), "wait": (6_000, 3_000), "selected": (2_000, 0)},
    }
    a = handmade_stalls(tmp_path / "a.llmflame")
    b = handmade_stalls(tmp_path / "b.llmflame", stall_rows(other))
    both = page_compare(compare(read_profile(a), read_profile(b)))
    with watched_pages(browser, tmp_path) as pages:
        html = render_page(PageData("B", summary(both.tree), both.tree, None, compared=both.facts))
        page = pages.open(html, "", 1440, color_scheme=scheme)
        table = page.locator('#compare [aria-label="Why kernels wait in both runs"]')
        rows = [" ".join(row.replace("\u202f", " ").split()) for row in table.locator("tr").all_inner_texts()]
        assert "decode device memory 1.42 ms 368 µs −1.05 ms 67.7 % 17.6 %" in rows
