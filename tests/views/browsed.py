"""Driving the browser without a terminal: keys in, the screen's text out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from rich.segment import Segment
from textual.pilot import Pilot

from llmflame.store.profile import Profile
from llmflame.views.interactive.app import Browser
from llmflame.views.interactive.source import Source

SMALL, LARGE = (80, 24), (140, 40)


@dataclass(slots=True)
class Person:
    """Presses keys and reads."""

    pilot: Pilot[None]

    async def press(self, *keys: str) -> str:
        """What the screen shows after some keys."""
        await self.pilot.press(*keys)
        await self.pilot.pause()
        return self.screen()

    async def write(self, text: str) -> str:
        """Search for a text."""
        return await self.press("slash", *text, "enter")

    def segments(self) -> list[list[Segment]]:
        """The screen's lines, with their styles."""
        app = self.pilot.app
        return [list(strip) for strip in app.screen._compositor.render_strips(app.size)]

    def screen(self) -> str:
        """The screen's text."""
        return "\n".join("".join(piece.text for piece in line).rstrip() for line in self.segments())

    def selected(self) -> str:
        """The text that is reversed below the views' names: the row at the cursor."""
        lines = self.segments()[2:]
        reversed_ = ["".join(p.text for p in line if p.style and p.style.reverse) for line in lines]
        return next(text.strip() for text in reversed_ if len(text.strip()) > 1)


def browse(
    profile: Profile, story: Callable[[Person], Awaitable[None]], size: tuple[int, int] = LARGE
) -> Browser:
    """Run a story in a browser of a profile."""
    app = Browser(Source(profile))

    async def run() -> None:
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await story(Person(pilot))

    asyncio.run(run())
    return app
