"""The environment of a child process that runs llmflame's own modules."""

from __future__ import annotations

import os
from pathlib import Path


def own_import_path() -> dict[str, str]:
    """This process' environment, with the folder that llmflame lies in on the module search path.

    With `python -P` the current folder is not on it: a checkpoint may hold a `json.py`.
    """
    package_root = str(Path(__file__).resolve().parents[2])
    search_path = os.pathsep.join(filter(None, (package_root, os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": search_path}
