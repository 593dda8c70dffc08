"""Opens pages in a browser and holds that nothing went wrong in them, nor left them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.views.browsing import settle


class Pages:
    """One browser's pages, each in a context of its own."""

    def __init__(self, browser: Any, folder: Path) -> None:
        self._browser, self._folder = browser, folder
        self._contexts: list[Any] = []
        self._complaints: list[str] = []
        self._requests: set[str] = set()
        self._files: set[str] = set()

    @property
    def next_name(self) -> str:
        """Of the page that is opened next, without a suffix."""
        return str(len(self._contexts))

    def open(self, html: str, fragment: str = "", width: int = 1440, **options: Any) -> Any:
        """Write a page into a file, open it, and wait until all of it is drawn."""
        file = self._folder / f"{self.next_name}.html"
        file.write_text(html, encoding="utf-8")
        self._files.add(file.as_uri())
        viewport = {"width": width, "height": 900}
        context = self._browser.new_context(viewport=viewport, reduced_motion="reduce", **options)
        self._contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: self._complaints.append(message.text))
        page.on("pageerror", lambda error: self._complaints.append(str(error)))
        page.on("dialog", lambda dialog: self._complaints.append(dialog.message))
        page.on("request", lambda request: self._requests.add(request.url.partition("#")[0]))
        page.goto(file.as_uri() + fragment)
        page.wait_for_selector("html[data-whole]")
        settle(page)
        return page

    def close(self) -> None:
        """Close all. Nobody may have complained of anything, nor asked for more than the pages' own files."""
        for context in self._contexts:
            context.close()
        assert self._complaints == []
        assert self._requests == self._files


@contextmanager
def watched_pages(browser: Any, folder: Path) -> Iterator[Pages]:
    """Pages that are judged when the block has ended well."""
    pages = Pages(browser, folder)
    yield pages
    pages.close()
