"""Opens the page of a hand-made profile with all of its sections."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from llmflame.cli.report import write_report
from llmflame.store.profile import Profile, read_profile
from tests.handmade import handmade
from tests.handmade_gpu import handmade_gpu
from tests.views.browsing import Open, settle
from tests.views.browsing import address as written


@pytest.fixture
def open_sections(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Opens a run on a GPU, or with `gpu=False` on a CPU; afterwards nothing may have gone wrong in it."""
    contexts: list[Any] = []
    complaints: list[str] = []
    requests: list[str] = []

    def open_it(
        fragment: str = "",
        *,
        gpu: bool = True,
        width: int = 1440,
        scheme: str = "light",
        change: Callable[[Profile], Profile] = lambda profile: profile,
        **how: Any,
    ) -> Any:
        profile = (handmade_gpu if gpu else handmade)(tmp_path / f"{len(contexts)}.llmflame", **how)
        file = tmp_path / f"{len(contexts)}.html"
        write_report(change(read_profile(profile)), file)
        context = browser.new_context(
            viewport={"width": width, "height": 900}, reduced_motion="reduce", color_scheme=scheme
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(file.as_uri() + fragment)
        page.wait_for_selector("html[data-whole]")
        settle(page)
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert complaints == []
    assert len(requests) == len(contexts) and all(url.startswith("file://") for url in requests)


def text(page: Any, selector: str) -> str:
    found: str = page.locator(selector).first.inner_text()
    return " ".join(found.replace("\u202f", " ").split())


def address(page: Any) -> str:
    """What is seen, as people read it in the address, once it is written there."""
    return unquote(written(page))
