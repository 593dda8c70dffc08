"""Pictures of a page's parts, as the documents show them.

    python benchmarks/pictures.py run.llmflame docs/images [--compare before.llmflame]

Needs Chromium, as the tests of the page do.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from tests.views.browsing import CHROMIUM

WIDTH, HEIGHT = 1280, 860
STILL_MS = 600
"""Until a glide of the graph has ended."""
TALL = 1_000
"""A longer part is shown as far as this, in pixels."""
DEEP = 700
"""Pixels in which a graph's last frames are seen, too."""
PLACE = """([part, most]) => {
  document.getElementById("nav").style.position = "static";
  const { x, y, width, height } = document.querySelector(part).getBoundingClientRect();
  return { x: x + scrollX - 12, y: y + scrollY, width: width + 24, height: Math.min(height, most) };
}"""
PARTS: dict[str, tuple[str, str]] = {
    "graph": ("#graph", "metric=wall_ns&merge=1"),
    "roofline-colours": ("#graph", "metric=wall_ns&merge=1&colour=roofline"),
    "memory": ("#memory", ""),
    "timeline": ("#timeline", ""),
    "steps": ("#steps", ""),
    "roofline": ("#roofline", ""),
    "stalls": ("#stalls", ""),
    "stall-graph": ("#graph", "metric=device_ns&merge=1&colour=stalls"),
    "tables": ("#tables", ""),
    "compare": ("#compare", ""),
}
"""By picture: the part of the page, and what is seen in it."""
OF_DECODE = ("graph", "roofline-colours", "stall-graph")
NEEDS = {"stall-graph": "#stalls"}
"""Pictures of a part that every page has, which are taken only where it has another one too."""


def take(page: Any, file: Path, folder: Path, names: list[str]) -> None:
    """The overview and each part that the page has, as PNG files."""
    for name in names:
        selector, fragment = PARTS.get(name, ("", ""))
        page.goto(f"{file.as_uri()}#{fragment}")
        page.reload()
        page.wait_for_selector("html[data-whole]")
        if name in OF_DECODE:
            page.locator("#phases").get_by_text("decode").first.click()
        if name in NEEDS:
            page.locator(".flame-scroller").evaluate("(one, tall) => (one.style.height = `${tall}px`)", DEEP)
        page.wait_for_timeout(STILL_MS)
        target = folder / f"page-{name}.png"
        if not selector:
            page.screenshot(path=target)
        elif page.locator(selector).is_visible() and page.locator(NEEDS.get(name, selector)).count():
            page.locator("#nav").evaluate("nav => nav.style.position = 'static'")
            page.locator(selector).scroll_into_view_if_needed()
            page.wait_for_timeout(STILL_MS)
            page.screenshot(path=target, full_page=True, clip=page.evaluate(PLACE, [selector, TALL]))
        else:
            print(f"{name}: this page has none")
            continue
        print(f"{target}: {target.stat().st_size:,} bytes")


def main() -> int:
    """Make the page, open it, take the pictures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("profile", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--compare", type=Path, help="take the picture of a comparison with this one")
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    llmflame = [sys.executable, "-m", "llmflame"]
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        file = Path(temporary) / "page.html"
        command = ["report", str(options.profile), "-o", str(file)]
        names = ["overview", *(name for name in PARTS if name != "compare")]
        if options.compare:
            command = ["diff", str(options.compare), str(options.profile), "--report", str(file)]
            names = ["compare"]
        subprocess.run([*llmflame, *command], check=True, stdout=subprocess.DEVNULL)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        take(page, file, options.folder, names)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
