"""Collapsed stacks, one a line: `a;b;c 1234`. What flamegraph.pl, inferno and speedscope read."""

from __future__ import annotations

from collections.abc import Mapping

from llmflame.analysis.memory.composition import Composition
from llmflame.analysis.phases import GENERATION
from llmflame.analysis.tree import Tree
from llmflame.errors import UsageError
from llmflame.exports.names import placed_name
from llmflame.exports.request import Request
from llmflame.exports.stacks import Stacks, WholeNumbers, with_own
from llmflame.store import metrics

TIMES: Mapping[str, str] = {
    "wall": metrics.WALL.name,
    "host": metrics.HOST.name,
    "device": metrics.DEVICE.name,
    "idle": metrics.IDLE.name,
    "samples": metrics.SAMPLES.name,
}
BYTES = "bytes"
METRICS = (*TIMES, BYTES)


def folded(request: Request) -> str:
    """Nanoseconds, or bytes at one phase's peak. Raises UsageError where the profile has none of them."""
    tree, metric = _held(request) if request.metric == BYTES else _timed(request)
    own = tree.selfs[metric]
    stacks = Stacks(
        tree,
        lambda frame: stack_name(placed_name(tree.frames[frame])),
        lambda above, name: f"{above};{name}",
    )
    whole = WholeNumbers()
    values: dict[str, int] = {}
    for node in with_own(tree, [own]):
        stack = stacks.of(node)
        values[stack] = values.get(stack, 0) + whole.next(own[node])
    return "".join(f"{stack} {value}\n" for stack, value in values.items() if value)


def stack_name(name: str) -> str:
    """A name without what the format gives a meaning: semicolons part frames, blanks the value."""
    return "_".join(name.replace(";", ":").split()) or "_"


def _timed(request: Request) -> tuple[Tree, str]:
    metric = TIMES[request.metric]
    if request.metric == "host" and metric not in request.tree.selfs:
        metric = metrics.WALL.name  # without a device all time is the host's
    if metric not in request.tree.selfs:
        raise UsageError(f"--metric {request.metric}: this profile has none of it: no GPU worked in this run")
    return request.tree, metric


def _held(request: Request) -> tuple[Tree, str]:
    if not request.peaks:
        raise UsageError(
            "--metric bytes: nobody counted who holds the memory in this profile, or not in that phase"
        )
    return request.held(_chosen(request))


def _chosen(request: Request) -> Composition:
    """As `show --view tree --metric bytes`: of a request's highest peak, on the device where it has one."""
    wanted = request.phases or GENERATION
    if len(request.phases) > 1:
        raise UsageError("--metric bytes exports the peak of one phase: name one --phase")
    here = [one for one in request.peaks if one.phase in wanted] or request.peaks
    on_device = [one for one in here if one.space == "device"] or here
    return max(reversed(on_device), key=lambda one: one.peak_bytes)
