"""Opens the page of a hand-made profile with all of its sections."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from llmflame.store.profile import Profile, read_profile
from llmflame.views.page import page_data, render_page
from tests.handmade import handmade
from tests.handmade_gpu import handmade_gpu
from tests.views.browsing import Open
from tests.views.browsing import address as written
from tests.views.pages import watched_pages


@pytest.fixture
def open_sections(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Opens a run on a GPU, or with `gpu=False` on a CPU."""
    with watched_pages(browser, tmp_path) as pages:

        def open_it(
            fragment: str = "",
            gpu: bool = True,
            width: int = 1440,
            scheme: str = "light",
            change: Callable[[Profile], Profile] = lambda profile: profile,
            **how: Any,
        ) -> Any:
            profile = (handmade_gpu if gpu else handmade)(tmp_path / f"{pages.next_name}.llmflame", **how)
            html = render_page(page_data(change(read_profile(profile))))
            return pages.open(html, fragment, width, color_scheme=scheme)

        yield open_it


def text(page: Any, selector: str) -> str:
    found: str = page.locator(selector).first.inner_text()
    return " ".join(found.replace("\u202f", " ").split())


def address(page: Any) -> str:
    """What is seen, as people read it in the address, once it is written there."""
    return unquote(written(page))
