"""How fast the page of a large profile is, beside speedscope with an export of the same profile.

    python benchmarks/page_speed.py [--nodes N] [--rounds N]

Both are opened from disk by the same headless Chromium, in turn, and asked for the same things with a real
mouse and keyboard. Two things are told of each action: how long the picture stood still, by the clock, and
the longest task of the page's main thread, in CPU time, which other work on the machine hardly lengthens.
Results go to `benchmarks/results/page-speed.md` and `.json`. Wants Chromium, playwright, and speedscope
(`npm ci` in tests/exports/consumers).
"""

from __future__ import annotations

import argparse
import base64
import dataclasses
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks import page_program
from benchmarks.figures import Figure
from benchmarks.overhead import RESULTS, describe
from benchmarks.spawn import ROOT
from llmflame.cli.report import write_report
from llmflame.exports.formats import FORMATS
from llmflame.exports.request import Request
from llmflame.store.profile import read_profile

SPEEDSCOPE = ROOT / "tests/exports/consumers/node_modules/speedscope/dist/release/index.html"
VIEWPORT = {"width": 1440, "height": 900}
OPEN_S, FRAME_MS = 1.5, 50.0
SETTLE_MS = 600
"""After an action: longer than a zoom glides."""
WORD = "frame_12"

SAMPLER = """() => {
    window.frames_seen = [];
    window.sampling = true;
    const done = new MessageChannel();
    let last = performance.now();
    const tick = () => {
        const now = performance.now();
        window.frames_seen.push(now - last);
        last = now;
        if (window.sampling) requestAnimationFrame(() => done.port2.postMessage(0));
    };
    done.port1.onmessage = tick;
    requestAnimationFrame(() => done.port2.postMessage(0));
}"""
"""Notes when each frame has left the main thread: a gap is what a person sees standing still."""
READY = {
    "llmflame": "() => document.documentElement.dataset.ready === 'true'",
    "speedscope": "() => document.body.innerText.includes('Left Heavy')",
}
AFTER_PAINT = (
    "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame("
    "() => done(performance.now()))))"
)

Action = Callable[[Any], None]
Raw = dict[str, Any]


def actions(name: str) -> dict[str, Action]:
    """What is asked of each page: the same wishes, in its own keys."""
    search, graph = ("/", ".flame-scroller") if name == "llmflame" else ("Control+f", "canvas")

    def zoom(page: Any) -> None:
        for _ in range(3):
            if name == "llmflame":
                page.keyboard.press("ArrowDown")
                page.keyboard.press("Enter")
            else:
                area = page.locator(graph).last.bounding_box()
                page.mouse.dblclick(area["x"] + area["width"] * 0.3, area["y"] + area["height"] * 0.5)
            page.wait_for_timeout(SETTLE_MS)
        page.keyboard.press("Escape" if name == "llmflame" else "0")

    def wheel(page: Any) -> None:
        area = page.locator(graph).last.bounding_box()
        page.mouse.move(area["x"] + area["width"] * 0.4, area["y"] + min(area["height"], 600) * 0.4)
        page.keyboard.down("Control")
        for _ in range(12):
            page.mouse.wheel(0, -120)
        page.keyboard.up("Control")
        page.keyboard.press("Escape" if name == "llmflame" else "0")

    def switch(page: Any) -> None:
        if name == "llmflame":
            for metric in ("allocated_bytes", "calls", "wall_ns"):
                page.select_option("#metric", metric)
                page.wait_for_timeout(SETTLE_MS / 3)
        else:
            for key in "213":
                page.keyboard.press(key)
                page.wait_for_timeout(SETTLE_MS / 3)

    def find(page: Any) -> None:
        page.keyboard.press(search)
        page.keyboard.type(WORD, delay=60)
        page.wait_for_timeout(SETTLE_MS)
        for _ in WORD:
            page.keyboard.press("Backspace")
        page.keyboard.press("Escape")

    return {"zoom": zoom, "wheel": wheel, "switch": switch, "search": find}


def measure(browser: Any, name: str, address: str) -> Raw:
    """One opening and each action: seconds to the first drawn frame, and the worst frame of each in ms."""
    page = browser.new_page(viewport=VIEWPORT)
    try:
        page.goto(address, wait_until="commit")
        page.wait_for_function(READY[name], polling="raf", timeout=120_000)
        found: Raw = {"open_ms": page.evaluate(AFTER_PAINT), "frames_ms": {}}
        page.wait_for_timeout(SETTLE_MS)
        if name == "llmflame":
            page.evaluate("() => document.querySelector('#graph').scrollIntoView()")
            page.focus(".flame-scroller")
        for action, act in {"nothing": lambda _: None, **actions(name)}.items():
            page.wait_for_timeout(SETTLE_MS / 2)
            browser.start_tracing(page=page, categories=["toplevel", "devtools.timeline"])
            page.evaluate(SAMPLER)
            act(page)
            page.wait_for_timeout(SETTLE_MS)
            frames = page.evaluate("() => { window.sampling = false; return window.frames_seen; }")
            found["frames_ms"][action] = {
                "worst": max(frames),
                "median": median(frames),
                "n": len(frames),
                "cpu": longest_task_ms(browser.stop_tracing()),
            }
        return found
    finally:
        page.close()


def longest_task_ms(trace: bytes) -> float:
    """CPU time of the main thread's longest task: a frame is one."""
    events = json.loads(trace)["traceEvents"]
    main = {
        (event["pid"], event["tid"])
        for event in events
        if event.get("name") == "thread_name" and event["args"].get("name") == "CrRendererMain"
    }
    tasks = (
        event.get("tdur", 0) / 1e3
        for event in events
        if event.get("ph") == "X" and (event["pid"], event["tid"]) in main
    )
    return max(tasks, default=0.0)


def prepare(folder: Path, nodes: int) -> tuple[dict[str, str], Raw]:
    """The addresses of both pages, and what they hold."""
    file = folder / "large.llmflame"
    page_program.write(file, nodes)
    profile = read_profile(file)
    begin = time.perf_counter()
    write_report(profile, folder / "large.html", all_frames=True)
    told: Raw = {"page_s": time.perf_counter() - begin, "page_bytes": (folder / "large.html").stat().st_size}
    begin = time.perf_counter()
    content = FORMATS["speedscope"].make(Request(profile, (), "wall", "functions", True))
    text = content if isinstance(content, bytes) else content.encode()
    told |= {"export_s": time.perf_counter() - begin, "export_bytes": len(text)}
    wrapper = folder / "large.js"
    encoded = base64.b64encode(text).decode("ascii")
    wrapper.write_text(f"speedscope.loadFileFromBase64('large.json', '{encoded}')", encoding="utf-8")
    addresses = {"llmflame": (folder / "large.html").as_uri()}
    if SPEEDSCOPE.exists():
        addresses["speedscope"] = f"{SPEEDSCOPE.as_uri()}#localProfilePath={wrapper}"
    return addresses, told


def run(options: argparse.Namespace) -> Raw:
    """All rounds, the two pages in turn."""
    from playwright.sync_api import sync_playwright

    raw: Raw = {"llmflame": [], "speedscope": [], "load_average": [os.getloadavg()[0]]}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        addresses, raw["files"] = prepare(Path(folder), options.nodes)
        browser = playwright.chromium.launch(executable_path=options.chromium, args=["--no-sandbox"])
        raw["browser"] = browser.version
        for number in range(options.rounds):
            for name, address in addresses.items():
                raw[name].append(measure(browser, name, address))
                worst = {key: round(one["worst"]) for key, one in raw[name][-1]["frames_ms"].items()}
                print(
                    f"{number + 1}/{options.rounds} {name}: {raw[name][-1]['open_ms']:.0f} ms, {worst}",
                    file=sys.stderr,
                )
        raw["nodes"] = _nodes(browser, addresses["llmflame"])
        browser.close()
    raw["load_average"].append(os.getloadavg()[0])
    return raw


def _nodes(browser: Any, address: str) -> int:
    page = browser.new_page()
    page.goto(address)
    page.wait_for_function(READY["llmflame"])
    size: int = page.evaluate("() => llmflame.tree().size")
    page.close()
    return size


def figures(raw: Raw) -> list[Figure]:
    """Medians over the rounds of the time to open, and of the worst frame of each action."""
    found = []
    for name in ("llmflame", "speedscope"):
        rounds = raw[name]
        if not rounds:
            continue
        own = name == "llmflame"
        opened = [one["open_ms"] / 1e3 for one in rounds]
        found.append(
            Figure(
                f"{name}: opened, first frame drawn",
                median(opened),
                "s",
                OPEN_S if own else None,
                note=_spread(opened, 2),
            )
        )
        for action in rounds[0]["frames_ms"]:
            limit = FRAME_MS if own and action != "nothing" else None
            cpu = [one["frames_ms"][action]["cpu"] for one in rounds]
            worst = [one["frames_ms"][action]["worst"] for one in rounds]
            for what, values in (("worst frame", worst), ("longest task, CPU time", cpu)):
                found.append(
                    Figure(f"{name}: {action}, {what}", median(values), "ms", limit, note=_spread(values, 0))
                )
    return found


def _spread(values: list[float], digits: int) -> str:
    return f"{min(values):.{digits}f} to {max(values):.{digits}f}"


def table(header: Raw, found: list[Figure]) -> str:
    """Markdown: what it ran on, and figures beside their bars."""
    lines = ["# How fast the page is", "", *(f"- {name}: {value}" for name, value in header.items())]
    lines += [
        "",
        "| figure | median of the rounds | least to most | target | verdict |",
        "|---|---:|---|---|---|",
    ]
    for one in found:
        assert one.value is not None
        target = "" if one.at_most is None else f"≤ {one.at_most:g} {one.unit}"
        value = f"{one.value:.{2 if one.unit == 's' else 0}f} {one.unit}"
        lines.append(f"| {one.name} | {value} | {one.note} | {target} | {one.verdict} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure, write the two files, print the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--nodes", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--chromium", default=os.environ.get("LLMFLAME_CHROMIUM") or shutil.which("chromium"))
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for the two files")
    options = parser.parse_args()
    raw = run(options)
    header = describe(["python", "benchmarks/page_speed.py", *sys.argv[1:]])
    header["browser"] = f"Chromium {raw['browser']}, headless, {VIEWPORT['width']} x {VIEWPORT['height']}"
    header["nodes in the page"] = f"{raw['nodes']:,}"
    header["bytes"] = (
        f"page {raw['files']['page_bytes']:,}, speedscope's export {raw['files']['export_bytes']:,}"
    )
    header["load average before and after"] = " and ".join(f"{load:.1f}" for load in raw["load_average"])
    found = figures(raw)
    listed = [{**dataclasses.asdict(one), "verdict": one.verdict} for one in found]
    document = {**header, "figures": listed, "raw": raw}
    options.output.mkdir(parents=True, exist_ok=True)
    text = table(header, found)
    (options.output / "page-speed.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (options.output / "page-speed.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
