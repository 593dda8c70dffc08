"""The browser, key by key, on hand-made profiles."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("textual")

from llmflame.store.profile import Profile, read_profile
from tests.handmade import handmade
from tests.handmade_gpu import handmade_gpu
from tests.handmade_memory import handmade_memory
from tests.handmade_stalls import handmade_stalls
from tests.views.browsed import LARGE, SMALL, Person, browse
from tests.views.test_terminal import HOSTILE


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    return read_profile(handmade(tmp_path_factory.mktemp("browsed") / "a.llmflame"))


@pytest.fixture(scope="module")
def on_gpu(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    return read_profile(handmade_gpu(tmp_path_factory.mktemp("browsed") / "g.llmflame"))


def rows_of(screen: str) -> list[str]:
    """The tree's rows, without the details beside them."""
    rows = [line.partition("│")[0].rstrip() for line in screen.splitlines()]
    return [row for row in rows if re.match(r" +[\d.]+ (ns|µs|ms|s|B|KiB|MiB) ", row)]


@pytest.mark.parametrize("size", [SMALL, LARGE, (60, 16), (250, 60)])
def test_the_tree_opens_and_closes(profile: Profile, size: tuple[int, int]) -> None:
    async def story(person: Person) -> None:
        first = person.screen()
        assert "Tiny-2L" in first and "Wall time · all phases" in first
        assert "▾ Tiny-2L" in person.selected() and len(rows_of(first)) >= 4
        await person.press("down")
        assert "▸ startup" in person.selected()
        opened = await person.press("right")
        assert "▾ startup" in opened and "python starts" in opened
        await person.press("right")
        assert "python starts" in person.selected()
        await person.press("left")
        assert "▾ startup" in person.selected()
        closed = await person.press("left")
        assert "▸ startup" in closed and "python starts" not in closed
        await person.press("left")
        assert "Tiny-2L" in person.selected()
        await person.press("end")
        assert "unattributed" in person.selected()
        await person.press("home")
        assert "Tiny-2L" in person.selected()
        assert "▸ Tiny-2L" in await person.press("enter")
        assert "▾ Tiny-2L" in await person.press("space")

    browse(profile, story, size)


def test_the_heaviest_path_ends_at_a_leaf_that_is_on_the_screen(profile: Profile) -> None:
    async def story(person: Person) -> None:
        await person.press("p", *["down"] * 8, "enter")
        await person.press("e")
        assert "aten::mm" in person.selected()
        screen = await person.press("c")
        assert "aten::mm" not in screen and "decode" in person.selected()

    browse(profile, story, SMALL)


def test_details_tell_everything_of_a_frame(profile: Profile) -> None:
    async def story(person: Person) -> None:
        await person.press("p", *["down"] * 8, "enter")
        screen = await person.write("TinyLayer")
        assert "module · model.layers.0" in screen
        assert re.search(r"Bytes allocated \(host\) +\d", screen)
        assert "traced, then scaled to the undisturbed time" in screen
        assert re.search(r"4 calls, [\d.]+ ms each", screen)
        screen = await person.press("d")
        assert "Bytes allocated" not in screen
        await person.press("d")
        screen = await person.write("from_pretrained")
        assert "no frame here" in screen

    browse(profile, story)


def test_a_metric_is_chosen(on_gpu: Profile) -> None:
    async def story(person: Person) -> None:
        screen = await person.press("m")
        names = ["Wall time", "Host time", "GPU time", "GPU idle", "Operators' floor", "FLOPs", "Calls"]
        assert [name for name in names if name in screen] == names
        assert "Small grids" not in screen
        screen = await person.press("down", "down", "enter")
        assert "GPU time · all phases" in screen
        phases = [row.split()[-1] for row in rows_of(screen)]
        assert "prefill" in phases and "load" not in phases, "where no GPU worked nothing is shown"
        await person.press("m", "escape")
        assert "GPU time · all phases" in person.screen()

    browse(on_gpu, story)


def test_a_peaks_bytes_are_a_metric_too(tmp_path: Path) -> None:
    profile = read_profile(handmade_memory(tmp_path / "m.llmflame"))

    async def story(person: Person) -> None:
        screen = await person.press("m")
        assert "Bytes held in decode (host)" in screen
        screen = await person.press("end", "enter")
        assert "Bytes held in" in screen and "weights" in screen

    browse(profile, story)


def test_a_phase_is_chosen_for_tree_and_tables(profile: Profile) -> None:
    async def story(person: Person) -> None:
        screen = await person.press("2")
        assert "torch/__init__.py" in screen
        await person.press("p", *["down"] * 8, "enter")
        assert "torch/__init__.py" not in person.screen() and "decode" in person.screen()
        screen = await person.press("1")
        assert "Wall time · decode" in screen and "▾ decode" in screen and "Tiny-2L  " not in screen[1:]

    browse(profile, story)


def test_a_search_goes_round(profile: Profile) -> None:
    async def story(person: Person) -> None:
        screen = await person.write("tinylayer")
        found = re.search(r"“tinylayer”: (\d+) frames, [\d.]+ ms, [\d.]+ %", screen)
        assert found is not None
        count = int(found[1])
        seen = [person.selected()]
        for _ in range(count):
            await person.press("n")
            seen.append(person.selected())
        assert all("TinyLayer" in row for row in seen)
        assert seen[0] == seen[-1]
        await person.press("N")
        assert person.selected() == seen[-2]
        screen = await person.press("escape")
        assert "tinylayer" not in screen
        before = person.selected()
        await person.press("n")
        assert person.selected() == before
        assert "no frame here" in await person.write("nowhere to be found")

    browse(profile, story)


def test_a_search_in_a_table_goes_to_a_row(profile: Profile) -> None:
    async def story(person: Person) -> None:
        await person.press("2")
        screen = await person.write("modeling_tiny")
        assert "“modeling_tiny”: 2 rows" in screen
        first = person.selected()
        await person.press("n")
        assert "modeling_tiny" in person.selected() and person.selected() != first
        await person.press("N")
        assert person.selected() == first

    browse(profile, story)


def test_the_order_is_by_weight_or_by_call(profile: Profile) -> None:
    async def story(person: Person) -> None:
        await person.press("down", "down", "right")
        heavy = rows_of(person.screen())
        screen = await person.press("s")
        assert "call order" in screen
        assert rows_of(screen) != heavy and sorted(rows_of(screen)) == sorted(heavy)
        assert "heaviest first" in await person.press("s")

    browse(profile, story)


def test_layers_stand_together_or_apart(profile: Profile) -> None:
    async def story(person: Person) -> None:
        await person.press("p", *["down"] * 8, "enter")
        assert "2 frames" in await person.write("model.layers")
        screen = await person.press("l")
        assert "layers together" in screen and "1 frame," in screen
        assert "model.layers.*" in person.screen()
        await person.press("l")
        assert "model.layers.*" not in person.screen()

    browse(profile, story)


def test_frames_that_only_pass_a_call_on_can_be_shown(profile: Profile) -> None:
    async def story(person: Person) -> None:
        assert "no frame here" in await person.write("_call_impl")
        screen = await person.press("a")
        assert "all frames" in screen and re.search(r"“_call_impl”: \d+ frames", screen)

    browse(profile, story)


def test_every_table_is_sorted_by_the_marked_column(on_gpu: Profile) -> None:
    async def story(person: Person) -> None:
        names = ["tree", "functions", "operators", "kernels", "modules", "steps", "findings", "memory"]
        assert [name for name in names if name in person.screen().splitlines()[1]] == names
        for number in range(2, 7):
            screen = await person.press(str(number))
            assert f"{number} {names[number - 1]}" in screen
            screen = await person.press("s")
            assert len(re.findall("[▲▼]", screen)) == 1
            first = re.findall("[▲▼]", screen)
            assert re.findall("[▲▼]", await person.press("s")) != first
        await person.press("5", "right", "s")
        assert "TinyForCausalLM" not in person.selected().split()[0]

    browse(on_gpu, story)


def test_sorting_turns_the_rows_round(profile: Profile) -> None:
    async def story(person: Person) -> None:
        await person.press("2", "right")
        rows = [line for line in (await person.press("s")).splitlines() if re.search(r"\(|\{", line)]
        turned = [line for line in (await person.press("s")).splitlines() if re.search(r"\(|\{", line)]
        assert rows and turned and rows[0] != turned[0]

    browse(profile, story)


def test_findings_and_memory_are_read(on_gpu: Profile) -> None:
    async def story(person: Person) -> None:
        screen = await person.press("7")
        assert "at most" in screen and "→" in screen
        assert "Nobody counted" in await person.press("8") or "peak" in person.screen()
        await person.press("slash")
        assert "a part of a name" not in person.screen(), "there is nothing to search here"

    browse(on_gpu, story)


def test_tab_turns_the_views_round(profile: Profile) -> None:
    async def story(person: Person) -> None:
        seen = []
        for _ in range(7):
            await person.press("tab")
            line = person.segments()[1]
            seen.append("".join(p.text for p in line if p.style and p.style.reverse).split()[1])
        assert seen == ["functions", "operators", "modules", "steps", "findings", "memory", "tree"]
        await person.press("shift+tab")
        assert "memory" in "".join(p.text for p in person.segments()[1] if p.style and p.style.reverse)

    browse(profile, story)


@pytest.mark.parametrize(("width", "names"), [(120, "2 functions"), (80, "2 funcs"), (50, "1 tree  2  3  4")])
def test_every_view_has_its_number_in_a_narrow_terminal(on_gpu: Profile, width: int, names: str) -> None:
    async def story(person: Person) -> None:
        line = person.screen().splitlines()[1]
        assert names in line and "8" in line
        assert "8 memory" in (await person.press("8")).splitlines()[1]

    browse(on_gpu, story, (width, 24))


def test_the_mouse_works_too(profile: Profile) -> None:
    async def story(person: Person) -> None:
        await person.pilot.click("#tree", offset=(60, 2))
        await person.pilot.pause()
        assert "▾ startup" in person.selected()
        await person.pilot.click("Tabs", offset=(12, 0))
        await person.pilot.pause()
        await person.pilot.click("#functions", offset=(20, 0))
        await person.pilot.pause()
        assert len(re.findall("[▲▼]", person.screen())) == 1

    browse(profile, story)


def test_help_names_every_key_and_q_quits(profile: Profile) -> None:
    async def story(person: Person) -> None:
        screen = await person.press("question_mark")
        for words in ("choose the metric", "choose the phase", "search", "layers together", "quit"):
            assert words in screen
        assert "choose the metric" not in await person.press("escape")
        await person.press("q")

    assert browse(profile, story, SMALL).return_code == 0


@pytest.mark.parametrize(
    ("until", "status"), [("load", "partial"), ("clean", "failed"), ("nothing", "failed")]
)
def test_an_unfinished_profile_says_so_at_the_top(tmp_path: Path, until: str, status: str) -> None:
    path = handmade(tmp_path / "a.llmflame", until=until, status=status, reason="[red]stopped[/]\x1b[31m")  # type: ignore[arg-type]

    async def story(person: Person) -> None:
        top = "\n".join(person.screen().splitlines()[:5])
        assert status.upper() in top and "[red]stopped[/]\\x1b[31m" in top
        for key in "234567m":
            await person.press(key)
            assert status.upper() in person.screen()

    browse(read_profile(path), story, SMALL)


@pytest.mark.parametrize("name", HOSTILE, ids=[str(number) for number in range(len(HOSTILE))])
@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_hostile_names_are_shown_not_obeyed(tmp_path: Path, name: str, size: tuple[int, int]) -> None:
    profile = read_profile(handmade(tmp_path / "a.llmflame", name=name, model=name))

    async def story(person: Person) -> None:
        await person.press("p", *["down"] * 8, "enter")
        for keys in ("e", "2", "3", "4", "5", "6", "7", "1", "m"):
            screen = await person.press(keys)
            screen.encode("utf-8")
            assert re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", screen) is None
            assert all(sum(piece.cell_length for piece in line) == size[0] for line in person.segments())
        red = [p for line in person.segments() for p in line if p.style and p.style.link]
        assert red == []

    browse(profile, story, size)


def test_markup_in_a_name_is_text(tmp_path: Path) -> None:
    name = "[bold red]x[/]"
    profile = read_profile(handmade(tmp_path / "a.llmflame", name=name, model=name))

    async def story(person: Person) -> None:
        assert person.screen().splitlines()[0].startswith(name)
        screen = await person.write(name)
        assert f"“{name}”" in screen and name in person.selected()
        assert name in await person.press("2")

    browse(profile, story)


def test_no_color_leaves_no_colour(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def story(person: Person) -> None:
        for key in ("e", "2", "question_mark"):
            await person.press(key)
            styles = [p.style for line in person.segments() for p in line if p.style]
            assert styles
        filters = person.pilot.app.get_line_filters()
        assert [type(one).__name__ for one in filters] == ["NoColor"]

    browse(profile, story)


def test_stalls_stand_below_kernels_with_their_words(tmp_path: Path) -> None:
    stalled = read_profile(handmade_stalls(tmp_path / "s.llmflame"))

    async def story(person: Person) -> None:
        found = await person.write("long_scoreboard")
        assert "long_scoreboard" in person.selected()
        assert "stall reason" in found and "The warp waits for data" in found and "→ Fewer bytes" in found
        for key in "23456789":
            shown = await person.press(key)
            if "Bound by" in shown:
                break
        assert "Bound by" in shown and "memory" in shown

    browse(stalled, story, (140, 60))
