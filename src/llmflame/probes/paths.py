"""File names as people read them: without the folder that Python found them in."""

from __future__ import annotations

import os
import sys
from functools import lru_cache


@lru_cache(maxsize=4096)
def short_path(filename: str) -> str:
    """`.../site-packages/transformers/x.py` as `transformers/x.py`; a path outside `sys.path` as it is."""
    best = ""
    for entry in sys.path:
        folder = entry.rstrip("/\\") + os.sep
        if entry and filename.startswith(folder) and len(folder) > len(best):
            best = folder
    return filename[len(best) :]
