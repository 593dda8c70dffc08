"""Launches that Nsight Compute measured, added up by kernel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from llmflame.errors import UsageError
from llmflame.importing.ncu_csv import read_launches
from llmflame.importing.ncu_launch import Launch
from llmflame.importing.observation import Observation
from llmflame.store import metrics
from llmflame.store.model import Fact

SOURCE = "Nsight Compute CSV"
NO_TIMES = "no gpu__time_duration in it: kernels have samples, but no times"
NO_STALLS = (
    "no stall reasons in it; ncu is asked for them with "
    "--metrics group:smsp__pcsamp_warp_stall_reasons,gpu__time_duration.sum"
)


def ncu_observation(path: Path) -> Observation:
    """Read a file of either form. Raises UsageError where it tells neither times nor stalls."""
    launches = read_launches(path)
    if not launches:
        raise UsageError(f"{path}: a table of Nsight Compute without a launch: did ncu profile any kernel?")
    found = Observation(_called(launches) or path.stem, SOURCE, facts=_facts(launches))
    for launch in launches:
        _add(found, launch)
    timed = metrics.DEVICE.name in found.tree.cells
    if not timed and not found.stalls:
        raise UsageError(f"{path}: its launches have neither gpu__time_duration nor stall reasons")
    found.wall_ns = round(sum(found.tree.cells.get(metrics.WALL.name, {}).values()))
    found.notes += [
        note for note, missing in ((NO_TIMES, not timed), (NO_STALLS, not found.stalls)) if missing
    ]
    return found


def _add(found: Observation, launch: Launch) -> None:
    node = found.tree.child(0, ("kernel", launch.kernel, None, None, None))
    found.tree.add(node, metrics.CALLS.name, 1)
    if launch.device_ns:
        took = round(launch.device_ns)
        # One after the other, as ncu runs them: nothing else passes.
        found.tree.add(node, metrics.WALL.name, took)
        found.tree.add(node, metrics.DEVICE.name, took)
        if launch.small:
            found.tree.add(node, metrics.LOW_OCCUPANCY.name, took)
    reasons = found.stalls.setdefault(launch.kernel, {}) if launch.samples else {}
    for reason, (samples, lost) in launch.samples.items():
        before, lost_before = reasons.get(reason, (0, 0))
        reasons[reason] = before + samples, lost_before + lost
        found.tree.add(node, metrics.SAMPLES.name, samples)


def _called(launches: Sequence[Launch]) -> str | None:
    """The one program that was measured."""
    programs = {launch.process for launch in launches}
    return next(iter(programs)) if len(programs) == 1 else None


def _facts(launches: Sequence[Launch]) -> list[Fact]:
    facts = []
    devices = sorted({launch.device for launch in launches if launch.device})
    for number, device in enumerate(devices):
        facts.append(Fact(f"gpu {number}", "name", device, None, SOURCE))
    capabilities = sorted({launch.capability for launch in launches if launch.capability})
    if len(capabilities) == 1:
        facts.append(Fact("gpu 0", "compute capability", capabilities[0], None, SOURCE))
    return facts
