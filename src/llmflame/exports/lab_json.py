"""An experiment as the JSON document that `llmflame lab --json` prints."""

from __future__ import annotations

import json

from llmflame.analysis.experiment.document import document
from llmflame.analysis.experiment.experiment import experiment_of
from llmflame.store.profile import Profile


def lab_json(profile: Profile) -> str:
    """Raises UsageError where the file holds no experiment."""
    return json.dumps(document(experiment_of(profile)), indent=2, allow_nan=False) + "\n"
