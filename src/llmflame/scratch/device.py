"""Where a model runs."""

from __future__ import annotations

import torch

from llmflame.scratch.errors import SettingError

KINDS = ("cpu", "cuda", "mps")


def named_device(name: str) -> str:
    """`name` if it is a device that torch has here; auto is a GPU if there is one. Raises SettingError."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name.partition(":")[0] not in KINDS:
        raise SettingError(f"device {name[:40]} isn't supported; {', '.join(KINDS)} are")
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise SettingError(f"device {name[:40]} isn't there: {str(error).splitlines()[0][:200]}") from error
    return name
