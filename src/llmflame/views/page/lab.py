"""What the page of an experiment shows: its rows, and which two of their profiles."""

from __future__ import annotations

from pathlib import Path

from llmflame.analysis.experiment.document import document
from llmflame.analysis.experiment.experiment import Experiment, experiment_of, is_experiment
from llmflame.analysis.experiment.results import Result
from llmflame.store.profile import Profile, read_profile


def lab_data(profile: Profile) -> dict[str, object] | None:
    """The section's data: the document of `llmflame lab --json`; None of a profile."""
    return document(experiment_of(profile)) if is_experiment(profile) else None


def compared_profiles(profile: Profile) -> tuple[Profile | None, Profile | None]:
    """The stock model's profile and the best row's; None and the stock model's where nothing is faster."""
    experiment = experiment_of(profile)
    best = experiment.best()
    batch = best.row.batch if best is not None else min(experiment.batches, default=1)
    stock = next((r for r in experiment.results if r.row.base is None and r.row.batch == batch), None)
    before, after = _profile(experiment, stock), _profile(experiment, best)
    return (None, before) if after is None else (before, after)


def _profile(experiment: Experiment, result: Result | None) -> Profile | None:
    if result is None or not experiment.has_profile(result):
        return None
    return read_profile(Path(f"{experiment.profile.path}:{result.row.row}@{result.row.batch}"))
