"""Do the sampled stalls agree with the rest of the recording? A mismatch is told, never hidden."""

from __future__ import annotations

from llmflame.analysis.device_checks import Check
from llmflame.analysis.kernel_name import short_kernel_name
from llmflame.analysis.run_tree import RunTree
from llmflame.analysis.stalls.counts import PASS, stall_windows
from llmflame.analysis.stalls.coverage import StallCoverage, stall_coverage
from llmflame.analysis.stalls.launches import Aligned, aligned_steps
from llmflame.store.profile import Profile
from llmflame.units import percent

LEAST_ATTRIBUTED = 0.99
"""Of the samples: in kernels that the anatomy pass saw too. Both ran the same request."""
LEAST_EXPLAINED = 0.95
"""Of the device's busy time: left are copies, and launches so short that no sample fell into them."""
MOST_COST = 0.03
"""Of a phase without sampling: above that, what was sampled is not quite the phase that was timed."""
SHOWN = 3


def stall_checks(profile: Profile, run: RunTree) -> list[Check]:
    """The checks of the pass that samples stalls; empty where there was none."""
    found = [] if stall_windows(profile) else _nothing(profile)
    for one in stall_coverage(profile, run.tree):
        found += [_attributed(one), _explained(one), _lost(one), _cost(one)]
    return found + [_aligned(one) for one in aligned_steps(profile)]


def _nothing(profile: Profile) -> list[Check]:
    """The pass ran and sampled nothing: its own reason is the best word."""
    passes = [one for one in profile.passes if one.name == PASS]
    return [Check("stalls", False, one.reason or "nothing was sampled") for one in passes]


def _attributed(one: StallCoverage) -> Check:
    share = one.attributed_share
    if share is None:
        return Check(f"stalls of {one.phase}", False, "no sample fell into a kernel")
    words = f"{one.samples:,} samples, {percent(share)} of them in kernels that the anatomy pass saw"
    if one.unknown_kernels and share < LEAST_ATTRIBUTED:
        words += f"; not in {', '.join(map(short_kernel_name, one.unknown_kernels[:SHOWN]))}"
    return Check(f"stalls of {one.phase}", share >= LEAST_ATTRIBUTED, words)


def _explained(one: StallCoverage) -> Check:
    name, share = f"stalls cover {one.phase}", one.explained_share
    if share is None:
        return Check(name, None, "the anatomy pass saw no work of the device in this phase")
    words = f"{percent(share)} of the device's busy time has stall reasons"
    return Check(name, share >= LEAST_EXPLAINED, words)


def _lost(one: StallCoverage) -> Check:
    words = f"{one.dropped:,} samples dropped, {one.hidden:,} in kernels that the vendor hides"
    if one.buffer_full:
        words += "; the hardware's buffer ran full: an unknown number is missing, and a longer period helps"
    return Check(f"stall samples of {one.phase}", not one.dropped and not one.buffer_full, words)


def _cost(one: StallCoverage) -> Check:
    name = f"cost of sampling {one.phase}"
    if one.cost is None:
        return Check(name, None, "no request without sampling was timed beside it")
    more = "longer" if one.cost >= 0 else "shorter"
    return Check(name, one.cost <= MOST_COST, f"{percent(abs(one.cost))} {more} than without sampling")


def _aligned(one: Aligned) -> Check:
    name = f"launches of {one.window.label}"
    if one.refused is not None:
        return Check(name, False, f"{one.refused}: stalls of single launches are left out")
    words = f"{one.launches:,} launches in the order in which they were traced, {one.sampled:,} with samples"
    return Check(name, True, words)
