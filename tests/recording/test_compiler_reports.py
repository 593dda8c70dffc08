"""torch.compile in a recording: what it did while requests were timed, and nothing where nobody uses it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from llmflame.probes.compiler import CompilerCounts
from llmflame.recording import passes
from llmflame.recording.session import Session
from llmflame.store.rows import ProbeReportRow
from tests.recording.test_session import Kept


@pytest.fixture
def session() -> Iterator[Session]:
    made = Session("clean", Kept(), 0)
    yield made
    made.close()


def reported(
    session: Session, monkeypatch: pytest.MonkeyPatch, counts: CompilerCounts | None, before: int
) -> list[tuple[str, float | None]]:
    monkeypatch.setattr(passes, "compiler_counts", lambda: counts)
    passes.report_compiler(session, before)
    assert isinstance(session.sink, Kept)
    rows = [row for batch in session.sink.batches for row in batch]
    assert all(isinstance(row, ProbeReportRow) and row.probe == "compiler" for row in rows)
    return [(row.name, row.value) for row in rows if isinstance(row, ProbeReportRow)]


def test_a_process_that_compiles_nothing_reports_nothing(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reported(session, monkeypatch, None, 0) == []
    assert passes.compiled_graphs() == 0


def test_only_graphs_of_the_timed_requests_count(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = CompilerCounts(7, {"print": 2})
    assert reported(session, monkeypatch, counts, 5) == [
        ("graphs compiled in timed requests", 2),
        ("graph break: print", 2),
    ]
    assert passes.compiled_graphs() == 7


def test_counters_that_the_program_cleared_meanwhile(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are fewer graphs than before: how many are new isn't known, but none is not less than none."""
    assert reported(session, monkeypatch, CompilerCounts(1), 5) == [("graphs compiled in timed requests", 1)]
