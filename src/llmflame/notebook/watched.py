"""Which model a cell runs: the one that it names, or the only one that the notebook has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from llmflame.errors import UsageError

NONE_THERE = (
    "this notebook has no model or pipeline yet: load it in a cell above. Where a load takes its time, "
    'llmflame.profile("MODEL") tells'
)
MOST_NAMED = 8
"""Of several models, in a message."""


def watched_model(names: Mapping[str, Any], used: Iterable[str]) -> Any:
    """The pipeline or model among a notebook's variables that code with the names `used` runs.

    What is a part of another one doesn't count. Raises UsageError where there is none, or no telling which.
    """
    known = {name: value for name, value in names.items() if not name.startswith("_") and _runs(value)}
    wanted = set(used)
    candidates = _whole({name: value for name, value in known.items() if name in wanted}) or _whole(known)
    if not candidates:
        raise UsageError(NONE_THERE)
    if len(candidates) > 1:
        several = ", ".join(list(candidates)[:MOST_NAMED])
        raise UsageError(f"there is more than one model ({several}): say which with --model NAME")
    return next(iter(candidates.values()))


def _runs(value: Any) -> bool:
    """Asks the class alone: an attribute of a stranger's object may be code that runs."""
    return _is_pipeline(value) or hasattr(type(value), "register_forward_pre_hook")


def _is_pipeline(value: Any) -> bool:
    return hasattr(type(value), "_forward") and hasattr(value, "model")


def _whole(candidates: Mapping[str, Any]) -> dict[str, Any]:
    """Each object once, and none that is a part of another."""
    parts: set[int] = set()
    for value in candidates.values():
        root = value.model if _is_pipeline(value) else value
        modules = getattr(root, "modules", None)
        inner = {id(module) for module in modules()} if modules is not None else set()
        parts |= inner if _is_pipeline(value) else inner - {id(root)}
    found: dict[int, tuple[str, Any]] = {}
    for name, value in candidates.items():
        if id(value) not in parts:
            found.setdefault(id(value), (name, value))
    return dict(found.values())
