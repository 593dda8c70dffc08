"""The rows of an experiment: their names, what they promise, and what they work on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from llmflame.errors import UsageError
from llmflame.lab.trial import Engine
from llmflame.lab.variants.variant import Equality, Variant
from llmflame.store.lab_rows import LabRow

STOCK = "stock"
"""transformers as it comes."""
SCRATCH = "scratch"
_WEAKEST: tuple[Equality, ...] = ("bitwise", "equivalent", "approximate")
BATCH = "batch"
"""The slot of variants that change how many sequences run at once."""
Combination = tuple[Engine, tuple[str, ...]]
"""An engine and the names of its variants."""


class Catalogue(Protocol):
    """Where variants are found by name: `llmflame.lab.variants.registry`, or a test's own."""

    def find(self, name: str) -> Variant:
        """The variant of that name. Raises UsageError with those that there are."""

    def chosen(self, names: Iterable[str]) -> tuple[Variant, ...]:
        """The variants of these names. Raises UsageError where they can't be combined."""


def row_name(combination: Combination) -> str:
    """`stock`, `static-cache+sdpa`, `scratch`, `scratch:static-cache`."""
    engine, names = combination
    joined = "+".join(names)
    if engine == "transformers":
        return joined or STOCK
    return f"{SCRATCH}:{joined}" if joined else SCRATCH


def read_rows(text: str, engine: Engine) -> tuple[Combination, ...]:
    """`a,b,a+c` in order, without doubles; `scratch:` or `transformers:` before one says its engine.

    `stock` and `scratch` are the engines as they come. Raises UsageError for an empty name.
    """
    rows: list[Combination] = []
    for part in text.split(","):
        chosen, separator, rest = part.strip().partition(":")
        own: Engine = engine
        if separator and "=" not in chosen:  # draft-model=dummy:NAME names no engine
            if chosen not in ("scratch", "transformers"):
                raise UsageError(f"--variants {part}: an engine is scratch or transformers")
            own, part = chosen, rest  # type: ignore[assignment]
        part = part.strip()
        if part in (STOCK, SCRATCH, ""):
            if not part and not separator:
                raise UsageError(f"--variants {text}: a name is empty")
            bare: Engine = "transformers" if part == STOCK else "scratch" if part == SCRATCH else own
            rows.append((bare, ()))
            continue
        names = tuple(name.strip() for name in part.split("+"))
        if not all(names):
            raise UsageError(f"--variants {part}: a name is empty")
        rows.append((own, names))
    return tuple(dict.fromkeys(row for row in rows if row != ("transformers", ())))


def planned(
    combination: Combination,
    catalogue: Catalogue,
    *,
    batch: int,
    number: int,
    base: str | None = STOCK,
    rung: int | None = None,
) -> LabRow:
    """The row of a combination. Raises UsageError for unknown names, or ones that exclude each other.

    Another engine sums in another order: what is bitwise in its own is equivalent to the stock model. Rows
    of a ladder are all judged by whole requests: what pays is what makes those shorter.
    """
    engine, names = combination
    variants = catalogue.chosen(names)
    for variant in variants:
        if variant.slot == BATCH:
            size = variant.name.rpartition("-")[2]
            raise UsageError(f"{variant.name}: rows are compared at the same batch size, say --batch {size}")
    promises: list[Equality] = [variant.equality for variant in variants]
    promises.append("bitwise" if engine == "transformers" else "equivalent")
    return LabRow(
        row_name(combination),
        batch,
        number,
        engine,
        "+".join(names),
        max(promises, key=_WEAKEST.index),
        _phase(variants) if rung is None else "all",
        base,
        rung,
        False,
    )


def _phase(variants: Sequence[Variant]) -> str:
    phases = {phase for variant in variants for phase in variant.phases}
    return phases.pop() if len(phases) == 1 else "all"
