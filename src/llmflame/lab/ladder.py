"""A ladder: on top of what was kept, try each of what is left, keep what pays most, and begin again.

Every candidate's output is compared first; the fastest few of those that agree, by the one request of that
comparison, are timed in full rounds beside the stock model and the rung that they stand on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

from llmflame.analysis.experiment.results import Key, Result
from llmflame.analysis.experiment.speedup import CONFIDENCE
from llmflame.errors import ProgramFailedError, UsageError
from llmflame.lab.conductor import Conductor
from llmflame.lab.rows import Catalogue, Combination, planned, row_name
from llmflame.lab.trial import Engine
from llmflame.lab.variants.variant import Variant
from llmflame.store.lab_rows import LabRow

FINALISTS = 3
"""Of a rung that are timed in full."""


def units(pool: Sequence[Variant], kept: Sequence[str] = ()) -> list[tuple[str, ...]]:
    """What one rung may add to what was kept: a variant, with one of each kind that it still lacks."""
    there = {slot for variant in pool if variant.name in kept for slot in _gives(variant)}
    found: list[tuple[str, ...]] = []
    for variant in pool:
        if variant.name not in kept:
            lacking = [wanted for wanted in variant.needs if wanted not in there]
            fillers = [[one.name for one in pool if wanted in _gives(one)] for wanted in lacking]
            found += [(*dict.fromkeys(chosen), variant.name) for chosen in product(*fillers)]
    return list(dict.fromkeys(found))


def _gives(variant: Variant) -> set[str]:
    return {variant.name, variant.slot, *variant.fills}


def climb(conductor: Conductor, catalogue: Catalogue, stock: LabRow) -> None:
    """Build the ladder's rows; `stock` was checked. Stops at the first rung on which nothing pays."""
    engine = conductor.order.engine
    pool = [name for _, names in conductor.order.rows for name in names]
    variants = [catalogue.find(name) for name in dict.fromkeys(pool)]
    current = stock
    kept: tuple[str, ...] = ()
    if engine != "transformers":
        current = _plain(conductor, catalogue, stock, engine)
    dead: set[tuple[str, ...]] = set()
    while candidates := _candidates(conductor, catalogue, current, kept, variants, dead):
        conductor.begin([f"{row.row}, check" for row in candidates])
        alive = []
        for row in candidates:
            conductor.add(row)
            if conductor.check(row):
                alive.append(row)
            else:
                dead.add(_added(row, kept))
        best = _race(conductor, stock, current, alive)
        if best is None:
            return
        current = replace(best, kept=True)
        conductor.add(current)
        kept = tuple(current.variants.split("+"))


def _plain(conductor: Conductor, catalogue: Catalogue, stock: LabRow, engine: Engine) -> LabRow:
    """The other engine as it comes: where its ladder begins."""
    row = planned((engine, ()), catalogue, batch=stock.batch, number=1, base=stock.row, rung=0)
    row = replace(row, kept=True)
    conductor.add(row)
    conductor.begin([f"{row.row}, check"])
    if not conductor.check(row):
        (result,) = (one for one in conductor.results() if one.key == (row.row, row.batch))
        raise ProgramFailedError(f"the ladder can't begin with {row.row}: {result.reason}")
    return row


def _candidates(
    conductor: Conductor,
    catalogue: Catalogue,
    current: LabRow,
    kept: tuple[str, ...],
    variants: Sequence[Variant],
    dead: set[tuple[str, ...]],
) -> list[LabRow]:
    """One row for each unit that fits on top of what was kept."""
    known = {row.row for row in conductor.rows}
    found: list[LabRow] = []
    for unit in units(variants, kept):
        combination: Combination = (conductor.order.engine, (*kept, *unit))
        if unit in dead or row_name(combination) in known:
            continue
        number = len(conductor.rows) + len(found)
        rung = (current.rung or 0) + 1
        try:
            row = planned(
                combination, catalogue, batch=current.batch, number=number, base=current.row, rung=rung
            )
        except UsageError:  # they exclude each other
            continue
        found.append(row)
    return found


def _race(conductor: Conductor, stock: LabRow, current: LabRow, alive: Sequence[LabRow]) -> LabRow | None:
    """The row that pays most on top of the current one; None where none does."""
    finalists = sorted(alive, key=lambda row: _screened_ns(conductor, (row.row, row.batch)))[:FINALISTS]
    if not finalists:
        return None
    others = [stock] if current.row == stock.row else [stock, current]
    rows = [*others, *finalists]
    conductor.begin([f"{row.row}, rung" for _ in range(conductor.order.rounds) for row in rows])
    for _ in range(conductor.order.rounds):
        conductor.round(rows)
    # Several are asked at once whether they pay: each must be as much surer.
    confidence = 1 - (1 - CONFIDENCE) / len(finalists)
    wanted = {(row.row, row.batch): row for row in finalists}
    paying = [
        (_gain(result), wanted[result.key])
        for result in conductor.results(confidence)
        if result.key in wanted and _pays(result)
    ]
    return max(paying, key=lambda pair: pair[0])[1] if paying else None


def _pays(result: Result) -> bool:
    gain = result.step or result.speedup
    return gain is not None and gain.verdict == "faster"


def _gain(result: Result) -> float:
    gain = result.step or result.speedup
    return gain.ratio if gain is not None else 0.0


def _screened_ns(conductor: Conductor, key: Key) -> float:
    """The request of the comparison of outputs."""
    walls = [one.wall_ns for one in conductor.requests if (one.row, one.batch) == key and one.round == 0]
    return float(min(walls, default=0))


def _added(row: LabRow, kept: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(row.variants.split("+"))[len(kept) :]
