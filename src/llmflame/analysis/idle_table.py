"""Who kept the GPU waiting: by cause, and the host's frames of each."""

from __future__ import annotations

from collections import defaultdict

from llmflame.analysis.coverage import phases_of
from llmflame.analysis.idle import CAUSES, cause_of
from llmflame.analysis.tables import Column, Row, Table, check_phases, ratio
from llmflame.analysis.top import owners_of
from llmflame.analysis.top_table import layers_together
from llmflame.analysis.tree import Tree
from llmflame.store import metrics
from llmflame.units import human_time_ns, percent

PHASES = ("tokenize", "prepare", "prefill", "decode", "detokenize")
COLUMNS = (
    Column("cause", "text", "Cause"),
    Column("phase", "text", "Phase"),
    Column("frame", "text", "Frame"),
    Column("module", "text", "Module", shown=False),
    Column("place", "text", "Place", shown=False),
    Column("idle_ns", "ns", "GPU idle"),
    Column("share", "share", "Of idle"),
)
NO_GPU = "No GPU worked in what was traced."


def idle_table(tree: Tree, phases: tuple[str, ...] = ()) -> Table:
    """One row a cause and frame, the longest first; the phases of a request if none are given.

    The numbered layers of a model are one: `model.layers.*.self_attn`.
    """
    where, owners = phases_of(tree), owners_of(tree)
    check_phases(phases, list(dict.fromkeys(name for name in where if name != "run")))
    if metrics.IDLE.name not in tree.selfs:
        return Table("idle", COLUMNS, (), (NO_GPU,))
    wanted = phases or PHASES
    sums: dict[tuple[str, str, str, str | None, str | None], float] = defaultdict(float)
    wall = 0.0
    for node, (own, own_wall) in enumerate(
        zip(tree.selfs[metrics.IDLE.name], tree.selfs[metrics.WALL.name], strict=True)
    ):
        if where[node] not in wanted:
            continue
        wall += own_wall
        if own:
            frame = tree.frame(node)
            place = f"{frame.file}:{frame.line}" if frame.file else None
            owner = owners[node]
            module = None if owner is None else layers_together(owner)
            sums[cause_of(frame, where[node]), where[node], frame.name, module, place] += own
    whole = sum(sums.values())
    by_cause = {cause: sum(own for key, own in sums.items() if key[0] == cause) for cause in CAUSES}
    ranked = sorted(sums.items(), key=lambda item: -item[1])
    rows: tuple[Row, ...] = tuple((*key, round(own), ratio(own, whole)) for key, own in ranked)
    causes = ", ".join(f"{cause} {human_time_ns(own)}" for cause, own in by_cause.items() if own)
    share = percent(whole / wall) if wall else "nothing"
    named = " + ".join(phases) or "a request"
    return Table(
        "idle",
        COLUMNS,
        rows,
        (f"The GPU is idle for {human_time_ns(whole)}, {share} of {named}: {causes}.",),
    )
