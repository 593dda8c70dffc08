"""An experiment as its file holds it, read and judged: what `show`, the page and Markdown draw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llmflame.analysis.ceiling import Ceilings, ceilings
from llmflame.analysis.experiment.results import Result, Seen, results
from llmflame.errors import UsageError
from llmflame.store.profile import Profile

LAB = "lab"


@dataclass(frozen=True, slots=True)
class Experiment:
    """All rows, judged."""

    profile: Profile
    """The file: when, where, with what; no spans, no tree."""
    results: tuple[Result, ...]
    ceilings: Ceilings

    @property
    def subject(self) -> Mapping[str, Any]:
        """Model, workload and what was asked for."""
        return self.profile.subject

    @property
    def batches(self) -> list[int]:
        """The batch sizes, from the smallest."""
        return sorted({result.row.batch for result in self.results})

    def label(self, result: Result) -> str:
        """A row's name, with its batch size where there are several."""
        row = result.row
        return row.row if len(self.batches) < 2 else f"{row.row}@{row.batch}"

    def best(self) -> Result | None:
        """The row with the largest speed-up that is one; None where nothing is faster."""
        faster = [one for one in self.results if one.verdict == "faster" and one.speedup is not None]
        return max(faster, key=lambda one: one.speedup.ratio if one.speedup else 0.0, default=None)

    def has_profile(self, result: Result) -> bool:
        """Whether the row's profile lies in the file."""
        return any((one.row, one.batch) == result.key for one in self.profile.row_profiles)


def is_experiment(profile: Profile) -> bool:
    """Whether a file is one of `llmflame lab`."""
    return profile.run.mode == LAB


def experiment_of(profile: Profile) -> Experiment:
    """Judge what the file holds. Raises UsageError where it holds no experiment."""
    if not is_experiment(profile):
        raise UsageError(f"{profile.path} is a profile, not the file of an experiment (llmflame lab)")
    subject = profile.subject
    limits = ceilings(profile)
    seen = Seen(
        profile.lab_rows,
        profile.trials,
        profile.lab_requests,
        profile.agreements,
        str(subject.get("dtype") or "float32"),
        int(subject.get("new_tokens") or 0),
        limits.best,
    )
    return Experiment(profile, tuple(results(seen)), limits)
