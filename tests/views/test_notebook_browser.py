"""The output of a notebook's cell in a browser: in pages with the policies that notebooks have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from llmflame.views.notebook_frame import notebook_html
from llmflame.views.page import page_data
from tests.views.browsing import IN_A_BROWSER, settle, view
from tests.views.memory_sample import memory_profile
from tests.views.test_page_browser import INK

pytestmark = IN_A_BROWSER

JUPYTERLAB = "frame-ancestors 'self'; report-uri /api/security/csp-report"
EDITOR = (
    "default-src 'none'; script-src https: 'unsafe-inline' 'unsafe-eval'; style-src https: 'unsafe-inline'; "
    "img-src https: data:; connect-src https:; child-src https: data:"
)
NO_INLINE = "default-src 'self'; script-src 'self'; style-src 'self'"
NOTEBOOK = "https://notebook.test/"
OUTPUTS = "https://outputs.test/"
"""Where a hosted notebook shows outputs: in a frame of another origin."""
OUTER = (
    f'<iframe src="{OUTPUTS}" width="1200" height="900" '
    'sandbox="allow-scripts allow-same-origin allow-downloads allow-popups"></iframe>'
)
Show = Callable[..., Any]


@pytest.fixture
def show(browser: Any) -> Iterator[Show]:
    """Opens an output as a cell of a notebook; afterwards nothing may have gone wrong, nor been asked for."""
    contexts: list[Any] = []
    complaints: list[str] = []
    requests: list[str] = []

    def show_it(output: str, policy: str, *, scheme: str = "light", hosted: bool = False) -> Any:
        def answer(route: Any) -> None:
            body = OUTER if hosted and route.request.url == NOTEBOOK else f"<p>In [1]:</p>{output}"
            route.fulfill(
                body=f"<!doctype html><meta charset=utf-8><title>A notebook</title>{body}",
                headers={"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": policy},
            )

        context = browser.new_context(
            viewport={"width": 1280, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
        )
        contexts.append(context)
        context.route("**/*", answer)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(NOTEBOOK)
        page.complaints = complaints
        return page

    yield show_it
    for context in contexts:
        context.close()
    assert complaints == []
    assert set(requests) <= {NOTEBOOK, OUTPUTS, "about:srcdoc"}


def frame_of(page: Any) -> Any:
    """The frame that the profile's page is in, when that has drawn itself."""
    element = page.wait_for_selector("iframe")
    while element.evaluate("element => element.tagName") == "IFRAME":
        found = element.content_frame()
        element = found.wait_for_selector("iframe, html[data-ready]", state="attached")
    settle(found)
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("policy", [JUPYTERLAB, EDITOR], ids=["jupyterlab", "editor"])
def test_the_graph_draws_in_the_cell(show: Show, policy: str, scheme: str) -> None:
    page = show(notebook_html(memory_profile()), policy, scheme=scheme)
    frame = frame_of(page)
    assert frame.evaluate(INK) > 5
    assert frame.evaluate("() => document.documentElement.dataset.theme") == scheme
    box = page.locator("iframe").bounding_box()
    assert box["height"] >= 720 and box["width"] > 1200


def test_it_draws_in_a_hosted_notebooks_own_frame(show: Show) -> None:
    page = show(notebook_html(memory_profile()), "", hosted=True)
    assert len(page.frames) == 3
    assert frame_of(page).evaluate(INK) > 5


def test_the_frame_is_used_as_the_page_is(show: Show) -> None:
    """Neither an address to keep nor storage is there, and nothing of the page minds."""
    frame = frame_of(show(notebook_html(memory_profile()), JUPYTERLAB))
    frame.focus(".flame-scroller")
    frame.press(".flame-scroller", "ArrowDown")
    frame.press(".flame-scroller", "Enter")
    settle(frame)
    zoomed = view(frame)["zoom"]
    assert zoomed != 0
    frame.press(".flame-scroller", "Escape")
    frame.fill("#search", "a")
    settle(frame)
    assert view(frame)["zoom"] == 0 and frame.inner_text("#found")
    frame.click("#theme")
    assert frame.evaluate("() => document.documentElement.dataset.theme") == "dark"
    assert frame.evaluate(INK) > 5


def test_the_frame_reaches_nothing_outside(show: Show) -> None:
    frame = frame_of(show(notebook_html(memory_profile()), JUPYTERLAB))
    reached = """() => {
        try { return parent.document.title; } catch (error) { return error.name; }
    }"""
    assert frame.evaluate(reached) == "SecurityError"
    assert frame.evaluate("() => origin") == "null"


def test_a_policy_without_scripts_leaves_the_line(show: Show) -> None:
    page = show(notebook_html(memory_profile()), NO_INLINE)
    title = page_data(memory_profile()).title
    assert title in page.inner_text("div.llmflame > p")
    page.wait_for_timeout(200)
    assert page.complaints and all("Content Security Policy" in text for text in page.complaints)
    page.complaints.clear()
