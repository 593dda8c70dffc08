"""The memory screen of hand-made profiles, against golden files at width 100 without colour."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType

from llmflame.analysis.memory.held_table import held_table
from llmflame.analysis.memory.overview import memory_document
from llmflame.analysis.plumbing import without_plumbing
from llmflame.analysis.run_tree import build_run_tree
from llmflame.analysis.summary import summarise
from llmflame.analysis.tree_table import TreeLimits
from llmflame.store import categories as c
from llmflame.store.profile import Profile, read_profile
from llmflame.views.growth import growth_parts, memory_lines
from llmflame.views.holders import Holders
from llmflame.views.memory import memory_view
from llmflame.views.summary import summary_view
from llmflame.views.tree import tree_view
from tests.golden_files import check_golden
from tests.handmade import handmade
from tests.handmade_memory import handmade_memory

WIDTHS = [40, 60, 80, 100, 140, 250]
HOSTILE = "[red]x[/]\x1b[31m\n\u202e" + "数" * 300
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def drawn(body: RenderableType, width: int = 100) -> str:
    stream = StringIO()
    Console(file=stream, width=width, color_system=None, highlight=False, markup=False).print(body)
    return stream.getvalue()


def views_of(profile: Profile) -> dict[str, RenderableType]:
    run = build_run_tree(profile)
    return {
        "memory": memory_view(memory_document(profile)),
        "tree": tree_view(held_table(profile, TreeLimits(min_share=0.01, alike=2))),
        "summary": summary_view(summarise(profile, run), without_plumbing(run.tree)),
    }


@pytest.fixture(scope="module", params=["host", "device", "failed"])
def named(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Profile]:
    path = tmp_path_factory.mktemp("memory") / "a.llmflame"
    device, failed = request.param != "host", request.param == "failed"
    return request.param, read_profile(handmade_memory(path, device=device, failed=failed))


@pytest.mark.parametrize("view", ["memory", "tree", "summary"])
def test_view_is_as_agreed(named: tuple[str, Profile], view: str) -> None:
    name, profile = named
    if name == "failed" and view != "memory":
        pytest.skip("as of the device")
    check_golden(f"memory-{name}" if view == "memory" else f"memory-{name}-{view}",
                 drawn(views_of(profile)[view]))  # fmt: skip


@pytest.mark.parametrize("width", WIDTHS)
def test_no_line_is_wider_than_the_terminal(named: tuple[str, Profile], width: int) -> None:
    for name, view in views_of(named[1]).items():
        for line in drawn(view, width).splitlines():
            assert cell_len(line) <= width, (name, line)
            assert line == line.rstrip(), (name, line)


def test_a_narrow_terminal_keeps_peak_and_residual(named: tuple[str, Profile]) -> None:
    text = drawn(memory_view(memory_document(named[1])), 44)
    heads = [line.split() for line in text.splitlines() if line.startswith(" Phase") and "Peak" in line]
    assert heads and all(head[-2:] == ["Peak", "Residual"] for head in heads)


@pytest.mark.parametrize("width", [60, 100])
def test_hostile_names_are_shown_not_obeyed(tmp_path: Path, width: int) -> None:
    profile = read_profile(handmade_memory(tmp_path / "a.llmflame", owner=HOSTILE))
    document = memory_document(profile)
    failure = {
        "phase": HOSTILE, "step": 1, "readings": {},
        "held": {"host": [{"category": HOSTILE, "owner": HOSTILE, "bytes": 5}]},
        "said": {"requested_bytes": 5, "stack": HOSTILE, "fits": HOSTILE, "limit_name": HOSTILE},
    }  # fmt: skip
    left = [{"bytes_per_step": 5.0, "stack": [HOSTILE]}]
    wrong = {
        "growth": [{**document["growth"][0], "left": left}], "failure": failure, "notes": [HOSTILE],
        "pinned": [{"bytes": 5, "stack": [HOSTILE]}],
    }  # fmt: skip
    text = drawn(memory_view({**document, **wrong}), width)
    text += drawn(tree_view(held_table(profile, TreeLimits())), width)
    text.encode("utf-8")
    assert CONTROL.search(text) is None and "[red]x[/]" in text
    assert all(cell_len(line) <= width for line in text.splitlines())


def test_a_profile_without_a_census_says_so(tmp_path: Path) -> None:
    for until in ("nothing", "anatomy"):
        path = handmade(tmp_path / until, until=until)
        text = drawn(memory_view(memory_document(read_profile(path))))
        assert text == " Nobody counted who holds the memory in this recording.\n"


def test_the_bar_is_as_wide_as_its_parts_together() -> None:
    parts = [(c.WEIGHTS, 500.0), (c.KV_CACHE, 333.0), (c.RUNTIME, 166.0), (c.PINNED, 1.0), (c.OTHER, -7.0)]
    for width in (30, 61, 97):
        bar = drawn(Holders(parts, {}, 993.0), width).splitlines()[0]
        assert len(bar) == min(width - 1, 97) and set(bar[1:]) <= set("█▓▒░")


def test_what_nobody_explains_has_its_row_and_sign() -> None:
    over = drawn(Holders([(c.WEIGHTS, 1024.0), (c.OTHER, -24.0)], {}, 1000.0))
    assert re.fullmatch(r" +other  holders say more than was measured +-24 B +-2\.4 %", over.splitlines()[-1])
    exact = drawn(Holders([(c.WEIGHTS, 1000.0)], {}, 1000.0))
    assert exact.splitlines()[-1].split() == ["other", "0", "B", "0", "%"]
    then = drawn(Holders([(c.WEIGHTS, 1000.0)], {}, 1000.0, residual=False))
    assert "other" not in then


def test_colours_tell_parts_apart_where_there_are_some() -> None:
    stream = StringIO()
    Console(file=stream, width=60, force_terminal=True, color_system="256").print(
        Holders([(c.WEIGHTS, 60.0), (c.RUNTIME, 40.0)], {}, 100.0)
    )
    first = stream.getvalue().splitlines()[0]
    assert set(re.sub(r"\x1b\[[\d;]*m", "", first).strip()) == {"█"} and first.count("\x1b[38;5;") == 2


def growth_text(
    added: float, cached: float, floors: list[int] | None = None, *, explained: float = 1.0
) -> str:
    one = {
        "space": "host", "steps": 9, "bytes_per_step": added, "explained_variance": explained,
        "kv_cache_bytes_per_step": cached, "slack_bytes_per_step": None, "peak_bytes_per_step": None,
        "cache_rewritten_bytes": None,
        "unexplained_bytes_per_step": added - cached, "left_bytes_per_step": 0, "left": [],
    }  # fmt: skip
    document = {"growth": [one], "floors": {"host": floors or []}}
    return " ".join(" ".join(drawn(part, 200) for part in growth_parts(document)).split())


def test_growth_in_words() -> None:
    assert growth_text(46135, 46080) == (
        "Host: a decode step adds 45.1 KiB: the KV cache 45 KiB, 55 bytes unexplained over 9 steps"
    )
    assert growth_text(1024, 1024) == "Host: a decode step adds 1 KiB, all of it KV cache over 9 steps"
    assert growth_text(100, 0) == "Host: a decode step adds 100 B, none of it KV cache over 9 steps"
    assert growth_text(-100, 0) == "Host: a decode step gives back 100 B over 9 steps"
    assert growth_text(0, 0) == "Host: a decode step adds 0 B over 9 steps"
    assert "a line explains 42.0 % of the variance" in growth_text(100, 0, explained=0.42)


def test_floors_are_told_where_they_change() -> None:
    still = growth_text(0, 0)
    assert growth_text(0, 0, [1_000_000, 1_000_100]) == still
    assert growth_text(0, 0, [1 << 20, 1 << 20, 1 << 21]) == (
        f"{still} Host: 1 MiB in use after the first request, then ±0, +1 MiB"
    )
    many = growth_text(0, 0, [number << 20 for number in range(1, 12)])
    assert many.endswith("+1 MiB, … +10 MiB after all 11")


def test_a_peak_in_one_line() -> None:
    memory = {
        "peaks": [{"space": "host", "phase": "load", "peak_bytes": 1000,
                   "held_bytes": {c.WEIGHTS: 700, c.RUNTIME: 300, c.PINNED: 40, c.OTHER: -40}}],
        "growth": [{"space": "host", "bytes_per_step": 64.0, "kv_cache_bytes_per_step": 32.0}],
    }  # fmt: skip
    (line,) = memory_lines(memory)
    assert drawn(line, 200) == (
        " Memory at the peak 1000 B (load): weights 700 B, Python and libraries 300 B; "
        "a decode step adds 64 B, the KV cache 32 B of it\n"
    )
