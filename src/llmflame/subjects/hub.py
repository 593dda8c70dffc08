"""MODEL as a Hugging Face hub id: its files in huggingface_hub's own cache, fetched if they aren't there."""

from __future__ import annotations

import json
import re
from pathlib import Path

from llmflame.subjects import child
from llmflame.subjects.progress import Progress

_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_FILES = ("*.json", "*.jinja", "*.txt", "*.model", "*.safetensors", "*.tiktoken")
_PICKLED = ("pytorch_model*.bin",)
_CODE = ("*.py",)


def is_id(spec: str) -> bool:
    """Whether MODEL is written as `org/name`."""
    return _ID.fullmatch(spec) is not None and ".." not in spec


def patterns(*, trust_remote_code: bool, allow_pickle: bool) -> tuple[str, ...]:
    """The files to fetch: code and pickles only where they were allowed."""
    return _FILES + (_CODE if trust_remote_code else ()) + (_PICKLED if allow_pickle else ())


def folder(
    model_id: str, *, progress: Progress, trust_remote_code: bool = False, allow_pickle: bool = False
) -> Path:
    """The local snapshot of a hub model; the network is asked only if no whole one is there.

    Raises UsageError with one line: offline, unknown, or gated (access is by HF_TOKEN in the environment).
    """
    allowed = {"trust_remote_code": trust_remote_code, "allow_pickle": allow_pickle}
    options = json.dumps({"patterns": patterns(**allowed), **allowed})
    return Path(
        child.run(["hub", model_id, options], what=f"fetching {model_id}", progress=progress, offline=False)
    )
