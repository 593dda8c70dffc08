"""What a kernel is bound by, of its samples and its place under the roofline.

Let issued = 1 - not_issued / samples: in how many of the samples the scheduler issued an instruction of some
warp. A kernel is, in this order,

- `issue` bound where issued >= 0.8: the scheduler has nothing left to give, whatever the ceilings say;
- `memory` bound where most of the lost samples wait for device memory and its operators' bytes need at least
  0.6 of the memory's bandwidth;
- `arithmetic` bound where its operators' products need at least 0.6 of the rate of matrix products: tensor
  cores work for long on one instruction, so the scheduler is idle though the device is not;
- `latency` bound where neither ceiling is near: nothing is issued, and nothing is busy.

Where no sample says whether something was issued (other tools' files need not), the reasons of all samples
speak for the lost ones, and a kernel whose warps wait is bound by nothing that could be told.

Otherwise (a ceiling or its work is not known, or a ceiling is near and the samples don't wait for it) nothing
is said. The fewer samples, the less a share is worth: 100 of them leave a standard error of at most 0.05.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from llmflame.analysis.stalls.counts import StallCounts
from llmflame.analysis.stalls.position import Position
from llmflame.analysis.stalls.reasons import Group, group_of

Bound = Literal["memory", "arithmetic", "issue", "latency"]
BUSY = 0.8
"""Of the samples: hiding every stall of a scheduler that issues in so many gains at most a quarter."""
NEAR = 0.6
"""Of a ceiling: what reaches less of both is usually held up by latency, say the rules of Nsight Compute's
speed-of-light section; above it, at most two thirds are left to gain."""
MIN_SAMPLES = 100
"""Below, a share's standard error (at most 0.5 / sqrt(samples)) is above 5 points."""


@dataclass(frozen=True, slots=True)
class Dominant:
    """What a kernel's time goes into most."""

    group: Group
    reason: str
    share: float
    """Of the samples: the reason's lost ones, or for `issuing` those in which something was issued."""


def issued_share(counts: StallCounts) -> float:
    """The share of samples in which the scheduler issued an instruction of some warp."""
    return 1 - counts.not_issued / counts.samples if counts.samples else 0.0


def knows_lost(counts: StallCounts) -> bool:
    """Was it counted in which samples the scheduler issued nothing? Where most warps wait, there are some."""
    return bool(counts.not_issued) or _issuing_share(counts) >= BUSY


def _issuing_share(counts: StallCounts) -> float:
    samples, _ = counts.by_group().get("issuing", (0, 0))
    return samples / counts.samples if counts.samples else 0.0


def dominant_of(counts: StallCounts) -> Dominant | None:
    """The group that most lost samples wait for, with its largest reason; `issuing` where few are lost.

    Lost ones alone, because a warp may wait at no cost while the scheduler issues others.
    """
    if not counts.samples:
        return None
    known = knows_lost(counts)
    taken = {reason: pair[1 if known else 0] for reason, pair in counts.by_reason.items()}
    lost = {reason: own for reason, own in taken.items() if own and (known or group_of(reason) != "issuing")}
    issued = issued_share(counts) if known else _issuing_share(counts)
    if issued >= BUSY or not lost:
        reasons = [reason for reason in counts.by_reason if group_of(reason) == "issuing"]
        most = max(reasons, key=lambda reason: counts.by_reason[reason][0], default="selected")
        return Dominant("issuing", most, issued)
    groups: dict[Group, int] = {}
    for reason, own in lost.items():
        groups[group_of(reason)] = groups.get(group_of(reason), 0) + own
    group = max(groups, key=lambda one: groups[one])
    reason = max((one for one in lost if group_of(one) == group), key=lambda one: lost[one])
    return Dominant(group, reason, lost[reason] / counts.samples)


def bound_of(counts: StallCounts, position: Position) -> Bound | None:
    """What a kernel is bound by; None where it can't be told."""
    dominant = dominant_of(counts)
    if dominant is None or not knows_lost(counts):
        return None
    if issued_share(counts) >= BUSY:
        return "issue"
    memory, arithmetic = position.memory_share, position.arithmetic_share
    if memory is not None and memory >= NEAR and dominant.group == "device memory":
        return "memory"
    if arithmetic is not None and arithmetic >= NEAR:
        return "arithmetic"
    if memory is None or arithmetic is None or memory >= NEAR:
        return None
    return "latency"
