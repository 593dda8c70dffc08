"""Decode steps in a browser: the charts, the cursor, outliers and where they lead."""

from __future__ import annotations

from dataclasses import replace

import pytest

from llmflame.store.profile import Profile
from tests.handmade import MIB, MS, span
from tests.views.browsing import IN_A_BROWSER, Open, settle, view
from tests.views.sections_page import address, open_sections, text

__all__ = ["open_sections"]
pytestmark = IN_A_BROWSER


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_steps_are_drawn_and_marked(open_sections: Open, scheme: str) -> None:
    page = open_sections(gpu=False, scheme=scheme)
    assert "8 decode steps in 2 repetitions" in text(page, "#steps .aside")
    assert page.locator("#steps svg path.median").count() == 1
    assert page.locator("#steps svg path.band").count() == 1
    assert page.locator("#steps svg path.traced").count() == 1
    assert page.locator("#steps svg path.anchored").count() == 2
    assert page.locator("#steps svg .bin").count() > 0
    assert page.locator("#steps svg path.memory").count() == 1
    assert "resident on the host" in text(page, "#steps .keys")


def test_keys_move_the_cursor(open_sections: Open) -> None:
    page = open_sections(gpu=False)
    page.focus(".step-plot")
    page.keyboard.press("ArrowRight")
    assert text(page, "#steps .readout").startswith("Step 1: median 12.0 ms")
    assert page.get_attribute(".step-plot", "aria-valuenow") == "1"
    page.keyboard.press("End")
    assert text(page, "#steps .readout").startswith(
        "Step 4: median 15.0 ms, shortest 14.0 ms, longest 16.0 ms"
    )
    assert "steps.at=4" in address(page)
    assert page.locator("#steps .cursor-line").count() == 2
    again = open_sections("#steps.at=4", gpu=False)
    assert text(again, "#steps .readout") == text(page, "#steps .readout")
    page.keyboard.press("Escape")
    assert page.locator("#steps .readout").is_hidden() and "steps.at" not in address(page)


def step_one_traced(profile: Profile) -> Profile:
    traced = span(900, "step", 2, repetition=0, step=1, pass_name="anatomy", treatment="traced")
    return replace(profile, spans=(*profile.spans, traced))


def test_a_step_leads_to_its_timeline_and_the_graph(open_sections: Open) -> None:
    page = open_sections("#steps.at=1", change=step_one_traced)
    page.click("#steps .readout button:has-text('Its timeline')")
    settle(page)
    assert page.locator("#timeline-window").input_value() == "decode.1"
    assert page.evaluate("() => document.activeElement.id") == "timeline-title"
    page.click("#steps .readout button:has-text('Decode in the graph')")
    settle(page)
    zoom = view(page)["zoom"]
    assert page.evaluate(f"() => llmflame.tree().frame({zoom}).name") == "decode"


def test_the_table_holds_every_step(open_sections: Open) -> None:
    page = open_sections(gpu=False)
    page.click("#steps summary:has-text('All steps')")
    settle(page)
    assert page.locator("#steps tbody tr").count() == 4
    assert "12.0 ms" in text(page, "#steps tbody")


def with_outlier(profile: Profile) -> Profile:
    """40 steps, of which the 20th waited for a CPU and took memory."""
    decode = next(span for span in profile.spans if span.name == "decode" and span.repetition == 0)
    usual = next(span for span in profile.spans if span.parent == decode.id and span.step == 1)
    spans = [span for span in profile.spans if span.name != "step" or span.pass_name != "clean"]
    at = decode.start_ns
    for step in range(1, 41):
        slow = step == 20
        wall = 30 * MS if slow else 10 * MS + step % 3 * 1000
        held = (100 + step + (64 if step >= 20 else 0)) * MIB
        spans.append(
            replace(
                usual, id=5000 + step, step=step, start_ns=at, wall_ns=wall, thread_cpu_ns=9 * MS,
                run_queue_ns=20 * MS if slow else 0, rss_bytes=held,
            )
        )  # fmt: skip
        at += wall
    return replace(profile, spans=tuple(spans))


def test_an_outlier_tells_why_and_leads_there(open_sections: Open) -> None:
    page = open_sections(gpu=False, change=with_outlier)
    assert text(page, "#steps h3") == "1 outlier"
    told = text(page, "#steps .outliers li")
    assert "Step 20" in told and "20.0 ms waiting for a CPU" in told
    assert "64.0 MiB of resident memory taken" in told
    assert page.locator("#steps svg path.outlier").count() == 1
    page.click("#steps .outliers button:has-text('When')")
    settle(page)
    assert page.locator("#timeline-window").input_value() == "request.1"
    assert text(page, "#timeline .readout").startswith("step 20: long 30.0 ms")
    page.click("#steps .outliers button:has-text('Step 20')")
    settle(page)
    assert text(page, "#steps .readout").startswith("Step 20:")
