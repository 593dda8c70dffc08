"""Tables in a browser: sorted, filtered, copied, and only as many rows as can be seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmflame.store.profile import read_profile
from llmflame.views.page import PageData, page_sections, render_page
from tests.handmade import handmade
from tests.views.browsing import IN_A_BROWSER, Open, settle, view
from tests.views.browsing import address as written
from tests.views.sections_page import address, open_sections, text
from tests.views.test_page_samples import llama, random_tree, summary

__all__ = ["open_sections"]
pytestmark = IN_A_BROWSER


def column(page: Any, place: int) -> list[str]:
    found: list[str] = page.locator(f"#tables tbody tr:not(.spacer) td:nth-child({place})").all_inner_texts()
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_columns_sort_both_ways(open_sections: Open, scheme: str) -> None:
    page = open_sections(scheme=scheme)
    page.click("#tables [data-table='kernels']")
    head = page.locator("#tables th:has-text('Calls')")
    assert head.get_attribute("aria-sort") == "none"
    page.click("#tables th:has-text('Calls') button")
    assert head.get_attribute("aria-sort") == "descending"
    place = page.locator("#tables th").evaluate_all(
        "all => all.findIndex(one => one.ariaSort === 'descending')"
    )
    falling = [float(value.replace(",", "")) for value in column(page, place + 1)]
    assert falling == sorted(falling, reverse=True) and len(falling) > 2
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    rising = [float(value.replace(",", "")) for value in column(page, place + 1)]
    assert rising == sorted(rising)
    assert "tables.sort=calls~up" in address(page) and "tables.table=kernels" in address(page)
    again = open_sections(written(page), scheme=scheme)
    assert column(again, 1) == column(page, 1)


def test_a_filter_leaves_what_has_it(open_sections: Open) -> None:
    page = open_sections()
    page.click("#tables [data-table='ops']")
    whole = len(column(page, 1))
    page.fill("#tables input", "MM")
    settle(page)
    assert column(page, 1) == ["aten::mm"] and whole > 1
    assert text(page, "#tables output") == f"1 of {whole} rows" and "tables.filter=MM" in address(page)
    page.fill("#tables input", "no such thing")
    assert "No row has that" in text(page, "#tables tbody")


def test_a_name_is_found_in_the_graph(open_sections: Open) -> None:
    page = open_sections()
    page.click("#tables [data-table='ops']")
    page.click("#tables tbody button:has-text('aten::mm')")
    settle(page)
    assert view(page)["query"] == "aten::mm"
    assert "frames" in text(page, "#found")


def test_copied_text_is_the_table(browser: Any, open_sections: Open, tmp_path: Path) -> None:
    page = open_sections()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("#tables [data-table='ops']")
    page.click("#tables .copy")
    page.wait_for_function("() => document.querySelector('#tables output').textContent.includes('copied')")
    copied = page.evaluate("() => navigator.clipboard.readText()")
    lines = copied.strip().split("\n")
    assert lines[0].split("\t")[:2] == ["name", "kind"] and len(lines) == len(column(page, 1)) + 1
    assert all(len(line.split("\t")) == len(lines[0].split("\t")) for line in lines)


def test_without_a_clipboard_the_text_lies_selected(open_sections: Open) -> None:
    page = open_sections()
    page.evaluate(
        """() => {
            Object.defineProperty(navigator, 'clipboard', { value: undefined });
            document.execCommand = () => false;
        }"""
    )
    page.click("#tables .copy")
    page.wait_for_selector("#tables textarea")
    tag, chosen, length = page.evaluate(
        """() => {
            const field = document.activeElement;
            return [field.tagName, field.selectionEnd - field.selectionStart, field.value.length];
        }"""
    )
    assert tag == "TEXTAREA" and chosen == length > 100
    assert "press Ctrl+C" in text(page, "#tables output")
    page.click("#tables button:has-text('Close')")
    assert page.locator("#tables textarea").count() == 0


def test_long_tables_keep_few_rows_in_the_document(browser: Any, tmp_path: Path) -> None:
    tree = random_tree(4_000)
    profile = read_profile(handmade(tmp_path / "a.llmflame"))
    page_file = tmp_path / "long.html"
    sections = page_sections(profile, tree, tree)
    page_file.write_text(
        render_page(PageData("long", summary(llama()), tree, None, sections=sections)), "utf-8"
    )
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto(page_file.as_uri() + "#tables.table=functions")
    page.wait_for_selector("html[data-whole]")
    settle(page)
    rows = int(page.get_attribute("#tables table", "aria-rowcount")) - 1
    assert rows > 100
    assert len(column(page, 1)) < 60
    first = column(page, 1)[0]
    page.evaluate("() => { document.querySelector('#tables .rows').scrollTop = 1e9 }")
    settle(page)
    settle(page)
    assert len(column(page, 1)) < 60 and first not in column(page, 1)
    last = page.locator("#tables tbody tr:not(.spacer)").last.get_attribute("aria-rowindex")
    assert int(last) == rows + 1
    context.close()


def test_on_a_phone_the_name_stays_in_sight(open_sections: Open) -> None:
    page = open_sections(width=375)
    box = page.locator("#tables tbody tr:not(.spacer) td").first.bounding_box()
    assert box["x"] >= 0 and box["x"] + 100 < 375
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 375
