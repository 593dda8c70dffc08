"""Two hand-made profiles of one model: the second decodes slower, and calls another function."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from tests.handmade import handmade

SLOWER = 1.5
"""What the decode of B takes times that of A."""
SPREAD = 1.001
"""What the second repetition takes times the first."""


def pair(folder: Path, *, factor: float = SLOWER, name: str = "renamed", **after: Any) -> tuple[Path, Path]:
    """Write `a.llmflame` and `b.llmflame`; `after` goes to B's `handmade`, its function is called `name`."""
    one, other = handmade(folder / "a.llmflame"), handmade(folder / "b.llmflame", name=name, **after)
    for path, times in ((one, 1.0), (other, factor)):
        with sqlite3.connect(path) as db:
            _calm(db, times)
    set_subject(other, "dtype", "bfloat16")
    return one, other


def set_subject(path: Path, name: str, value: str | int) -> None:
    """Change a property of what ran."""
    with sqlite3.connect(path) as db:
        db.execute("UPDATE subject SET value = ? WHERE name = ?", (value, name))


def set_fact(path: Path, name: str, value: str | int) -> None:
    """Change a fact about the machine."""
    with sqlite3.connect(path) as db:
        db.execute("UPDATE machine SET value = ? WHERE name = ?", (value, name))


def _calm(db: sqlite3.Connection, times: float) -> None:
    """Decode steps times `times`; the second repetition as the first, but for `SPREAD`."""
    steps = "pass_name = 'clean' AND name = 'step' AND step > 0"
    db.execute(f"UPDATE span SET wall_ns = round(wall_ns * ?) WHERE {steps}", (times,))
    walls = {
        (name, step): wall
        for name, step, wall in db.execute(
            "SELECT name, step, wall_ns FROM span WHERE pass_name = 'clean' AND repetition = 0"
        )
    }
    if not walls:
        return
    decode = sum(wall for (name, step), wall in walls.items() if name == "step" and step)
    walls["request", None] += decode - walls["decode", None]
    walls["decode", None] = decode
    for (name, step), wall in walls.items():
        for repetition, spread in ((0, 1.0), (1, SPREAD)):
            db.execute(
                "UPDATE span SET wall_ns = ? WHERE pass_name = 'clean' AND name = ? AND step IS ? "
                "AND repetition = ?",
                (round(wall * spread), name, step, repetition),
            )
