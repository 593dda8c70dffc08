"""The roofline in a browser: points, ceilings, choices, the way into the graph."""

from __future__ import annotations

import pytest

from tests.views.browsing import IN_A_BROWSER, Open, settle, view
from tests.views.browsing import address as written
from tests.views.sections_page import address, open_sections, text

__all__ = ["open_sections"]
pytestmark = IN_A_BROWSER


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_points_lie_below_their_ceilings(open_sections: Open, scheme: str) -> None:
    page = open_sections(scheme=scheme)
    assert page.locator("#roofline .point").count() > 2
    assert page.locator("#roofline .ceiling.measured:not(.other)").count() == 2
    assert page.locator("#roofline .ceiling.published:not(.other)").count() == 2
    dashes = "element => getComputedStyle(element).strokeDasharray"
    assert page.locator("#roofline .ceiling.published").first.evaluate(dashes) != "none"
    assert page.locator("#roofline .ceiling.measured").first.evaluate(dashes) == "none"
    assert "NVIDIA H200, bfloat16" in text(page, "#roofline .aside")


def test_other_dtypes_come_when_asked(open_sections: Open) -> None:
    page = open_sections()
    assert page.locator("#roofline .ceiling.other").count() == 0
    page.click("#roofline .dtypes")
    assert page.locator("#roofline .ceiling.other").count() > 2
    assert "float8_e4m3fn" in text(page, "#roofline") and "roofline.dtypes=all" in address(page)


def test_a_point_leads_into_the_graph(open_sections: Open) -> None:
    page = open_sections("#roofline.phase=decode")
    point = page.locator("#roofline .point[aria-label='matmul, decode']")
    point.focus()
    page.keyboard.press("Enter")
    told = text(page, "#roofline .readout")
    assert told.startswith("matmul, decode:") and "of its ceiling" in told
    assert "roofline.at=decode~matmul" in address(page)
    assert page.evaluate("() => document.activeElement.getAttribute('aria-label')") == "matmul, decode"
    again = open_sections(written(page))
    assert text(again, "#roofline .readout") == told
    page.click("#roofline .readout button")
    settle(page)
    selected = view(page)["selected"]
    assert page.evaluate(f"() => llmflame.tree().frame({selected}).name") == "aten::mm"


def test_modules_and_phases_are_chosen(open_sections: Open) -> None:
    page = open_sections()
    page.click("#roofline [data-by='module']")
    labels = page.locator("#roofline .point").evaluate_all("all => all.map(one => one.ariaLabel)")
    assert "model.layers.*.mlp, decode" in labels
    page.click("#roofline [data-phase='prefill']")
    labels = page.locator("#roofline .point").evaluate_all("all => all.map(one => one.ariaLabel)")
    assert labels and all(label.endswith("prefill") for label in labels)
    assert "roofline.by=module" in address(page) and "roofline.phase=prefill" in address(page)


def test_the_same_points_are_a_table(open_sections: Open) -> None:
    page = open_sections()
    page.click("#roofline summary")
    settle(page)
    rows = page.locator("#roofline tbody tr").count()
    assert rows >= page.locator("#roofline .point").count()
    assert "attention" in text(page, "#roofline tbody")


def test_a_profile_without_shapes_has_no_roofline(open_sections: Open) -> None:
    page = open_sections(gpu=False)
    assert page.locator("#roofline").count() == 0
    assert "Roofline" not in page.locator("#nav button").all_inner_texts()
