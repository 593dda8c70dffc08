"""Why kernels wait: one row a kernel and phase, one column a group and a reason, by device time."""

from __future__ import annotations

from llmflame.analysis.kernel_name import short_kernel_name
from llmflame.analysis.stalls.breakdown import KernelStalls, stall_breakdown
from llmflame.analysis.stalls.counts import function_windows
from llmflame.analysis.stalls.reasons import GROUPS, REASONS
from llmflame.analysis.tables import Column, Row, Table, check_phases, ratio
from llmflame.analysis.tree import Tree
from llmflame.store.profile import Profile

NO_STALLS = "no stalls were sampled: llmflame profile MODEL --stalls does, on an NVIDIA GPU"
FUNCTION_LEVEL = (
    "function level: all launches of a kernel in a phase together; shares are of its samples, as Nsight "
    "Compute counts them"
)
NOT_SHOWN = frozenset({"other"})
"""Groups that a terminal has no room for; a document has all columns."""


def column_of(name: str) -> str:
    """A group or reason as the name of a column."""
    return name.replace(" ", "_")


COLUMNS = (
    Column("name", "text", "Kernel"),
    Column("full_name", "text", "Full name", shown=False),
    Column("phase", "text", "Phase"),
    Column("device_ns", "ns", "Device time"),
    Column("share", "share", "Share", shown=False),
    Column("calls", "count", "Calls", shown=False),
    Column("bound", "text", "Bound by"),
    Column("dominant", "text", "Most"),
    Column("dominant_group", "text", "Most, by group", shown=False),
    Column("not_issued_share", "share", "Not issued"),
    *(Column(column_of(group), "share", group.capitalize(), group not in NOT_SHOWN) for group in GROUPS),
    Column("memory_share", "share", "Of memory's ceiling", shown=False),
    Column("arithmetic_share", "share", "Of arithmetic's ceiling", shown=False),
    Column("samples", "count", "Samples", shown=False),
    Column("not_issued", "count", "Not issued", shown=False),
    *(Column(reason, "share", reason, shown=False) for reason in REASONS),
    *(Column(f"{reason}_not_issued", "share", f"{reason}, not issued", shown=False) for reason in REASONS),
)
"""`not_issued_share` and each `..._not_issued` are of all samples of the kernel."""


def stalls_table(profile: Profile, tree: Tree, phases: tuple[str, ...] = ()) -> Table:
    """One row a sampled kernel over `phases` (all that were sampled if none are given), by device time.

    `tree` is the run's, without stalls. Reasons that this release doesn't know are in `other` alone.
    """
    check_phases(phases, list(dict.fromkeys(name for name in tree.phases() if name != "run")))
    windows = function_windows(profile)
    if not windows:
        return Table("stalls", COLUMNS, (), (NO_STALLS,))
    found = [one for one in stall_breakdown(profile, tree) if not phases or one.phase in phases]
    whole = sum(one.device_ns for one in found)
    return Table("stalls", COLUMNS, tuple(_row(one, whole) for one in found), (_level(profile),))


def _level(profile: Profile) -> str:
    alone = [window.label for window in function_windows(profile) if window.step is not None]
    if not alone:
        return FUNCTION_LEVEL
    return f"{FUNCTION_LEVEL}; of {', '.join(alone)} alone, each kernel run by itself"


def _row(one: KernelStalls, whole: float) -> Row:
    groups, samples = one.counts.by_group(), one.samples
    dominant, position = one.dominant, one.position
    reasons = [one.by_reason.get(reason, (0, 0)) for reason in REASONS]
    return (
        short_kernel_name(one.name),
        one.name,
        one.phase,
        round(one.device_ns),
        ratio(one.device_ns, whole),
        round(one.calls),
        one.bound,
        dominant.reason if dominant is not None else None,
        dominant.group if dominant is not None else None,
        one.lost_share,
        *(ratio(groups.get(group, (0, 0))[0], samples) for group in GROUPS),
        position.memory_share,
        position.arithmetic_share,
        samples,
        one.not_issued,
        *(ratio(taken, samples) for taken, _ in reasons),
        *(ratio(lost, samples) for _, lost in reasons),
    )
