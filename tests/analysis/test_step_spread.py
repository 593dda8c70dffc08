"""How steps are spread: nearest ranks, outliers by the steps around them, and what was different in them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from llmflame.analysis.step_spread import FEWEST, percentile, step_spread
from llmflame.store.profile import Profile, read_profile
from llmflame.store.rows import SpanRow
from tests.handmade import MIB, MS, handmade, span

COUNT = 60


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    return read_profile(handmade(tmp_path_factory.mktemp("steps") / "s.llmflame"))


def stepped(bare: Profile, walls: list[float], repetition: int = 0, first: int = 1000) -> Profile:
    """A run with decode steps of these milliseconds."""
    decode = span(first, "decode", sum(walls), repetition=repetition)
    spans = [decode]
    for step, wall in enumerate(walls, 1):
        one = span(first + step, "step", wall, parent=first, repetition=repetition, step=step)
        spans.append(replace(one, minor_faults=3, rss_bytes=(100 + step) * MIB))
    return replace(bare, spans=tuple(spans))


def changed(profile: Profile, step: int, **changes: int) -> Profile:
    def change(one: SpanRow) -> SpanRow:
        return replace(one, **changes) if one.step == step else one  # type: ignore[arg-type]

    return replace(profile, spans=tuple(change(one) for one in profile.spans))


def walls(count: int = COUNT) -> list[float]:
    return [10.0 + 0.1 * (step % 3) for step in range(count)]


def test_percentiles_are_nearest_ranks() -> None:
    ordered = list(range(1, 101))
    assert [percentile(ordered, share) for share in (0.5, 0.9, 0.99, 1.0)] == [50, 90, 99, 100]
    assert percentile([7], 0.99) == 7 and percentile([1, 2], 0.5) == 1


def test_the_histogram_holds_every_step(bare: Profile) -> None:
    times = [*walls(), 500.0]
    found = step_spread(stepped(bare, times))
    assert found is not None and sum(found.counts) == found.count == len(times)
    assert len(found.edges_ns) == len(found.counts) + 1
    assert list(found.edges_ns) == sorted(found.edges_ns) and found.edges_ns[0] == 10 * MS
    assert (found.p50_ns, found.p90_ns, found.p99_ns) == (
        round(10.1 * MS),
        round(10.2 * MS),
        round(500 * MS) if len(times) < 100 else round(10.2 * MS),
    )


def test_a_quiet_run_has_no_outliers(bare: Profile) -> None:
    found = step_spread(stepped(bare, walls()))
    assert found is not None and found.outliers == () and found.limit_ns is not None
    same = step_spread(stepped(bare, [10.0] * COUNT))
    assert same is not None and same.outliers == () and same.limit_ns == pytest.approx(0.2 * MS)


def test_a_growing_cache_makes_no_outliers(bare: Profile) -> None:
    """Each step takes 1 % more than the one before: the last takes almost twice as long as the first."""
    found = step_spread(stepped(bare, [10.0 * 1.01**step for step in range(COUNT)]))
    assert found is not None
    assert [one.step for one in found.outliers] == []


def test_an_outlier_tells_what_was_different(bare: Profile) -> None:
    times = walls()
    times[29] = 25.0
    profile = changed(
        stepped(bare, times), 30, thread_cpu_ns=8 * MS, run_queue_ns=16 * MS, minor_faults=103, read_bytes=5
    )
    profile = changed(profile, 30, rss_bytes=(130 + 64) * MIB)
    found = step_spread(profile)
    assert found is not None
    (one,) = found.outliers
    assert (one.step, one.repetition, one.wall_ns) == (30, 0, 25 * MS)
    assert one.usual_ns == pytest.approx(10.1 * MS)
    assert one.parts_ns["run queue"] == pytest.approx(15 * MS, abs=0.05 * MS)
    assert max(one.parts_ns, key=lambda name: one.parts_ns[name]) == "run queue"
    assert sum(one.parts_ns.values()) == pytest.approx(one.wall_ns - one.usual_ns, abs=0.1 * MS)
    assert one.counts == {"minor_faults": 100, "read_bytes": 5, "rss_bytes": 64 * MIB}


def test_a_slow_repetition_is_no_outlier(bare: Profile) -> None:
    quick, slow = stepped(bare, walls()), stepped(bare, [2 * wall for wall in walls()], 1, 5000)
    found = step_spread(replace(bare, spans=(*quick.spans, *slow.spans)))
    assert found is not None and found.count == 2 * COUNT and found.outliers == ()


def test_of_too_few_steps_nothing_is_said(bare: Profile) -> None:
    found = step_spread(stepped(bare, [10.0] * (FEWEST - 2) + [99.0]))
    assert found is not None and found.limit_ns is None and found.outliers == ()
    assert step_spread(replace(bare, spans=())) is None
    assert step_spread(stepped(bare, [10.0])) is not None


def test_what_the_system_did_not_tell_is_left_out(bare: Profile) -> None:
    times = walls()
    times[10] = 40.0
    profile = stepped(bare, times)
    unknown = [
        replace(one, thread_cpu_ns=None, run_queue_ns=None, minor_faults=None, rss_bytes=None)
        for one in profile.spans
    ]
    found = step_spread(replace(profile, spans=tuple(unknown)))
    assert found is not None
    (one,) = found.outliers
    assert set(one.parts_ns) <= {"run queue", "disk"} and "rss_bytes" not in one.counts
