"""Records a model by name: resolve it, run the passes in child processes, leave one readable file."""

from __future__ import annotations

import sys
from pathlib import Path

from llmflame.atomic import check_writable
from llmflame.errors import ProgramFailedError, UsageError
from llmflame.probes.ceilings.kept import with_kept
from llmflame.probes.heap_follower import check_memray
from llmflame.probes.machine import read_machine
from llmflame.progress import SILENT, Progress
from llmflame.recording.ending import recording_into
from llmflame.recording.pieces import in_processes
from llmflame.recording.supervisor import PassRunner
from llmflame.recording.workload import Workload
from llmflame.store.writer import Scalar
from llmflame.subjects import cache
from llmflame.subjects.checkpoint import Checkpoint

PASSES = ("clean", "anatomy")
DEEP_PASS = "allocations"
STALLS_PASS = "stalls"


def record(
    checkpoint: Checkpoint,
    workload: Workload,
    output: Path,
    *,
    force: bool = False,
    host_allocations: bool = False,
    stalls: str | None = None,
    progress: Progress = SILENT,
) -> str | None:
    """Profile a checkpoint into `output`; with `host_allocations` each of them is followed in a pass more.

    With `stalls`, `continuous` or `exact`, the device's program counters are sampled in another. Where that
    fails the rest of the profile stands: returns why, in one line.

    Raises UsageError with nothing left behind; ProgramFailedError or KeyboardInterrupt with a readable file.
    """
    check_writable(output, force=force)
    if host_allocations:
        check_memray()
    workload.check(checkpoint.context_tokens)
    facts = with_kept(cache.folder(), read_machine(cache.folder(), with_torch=False))
    with recording_into(output, mode="processes") as writer:
        writer.facts(facts)
        writer.subject(_subject(checkpoint, workload))
        progress.begin(in_processes(workload, host_allocations=host_allocations, stalls=stalls))
        runner = PassRunner(writer, checkpoint, workload, progress, stalls=stalls)
        for name in (*PASSES, *([DEEP_PASS] if host_allocations else [])):
            runner.run(name)
        return _beside(runner) if stalls is not None else None


def _beside(runner: PassRunner) -> str | None:
    """The stalls pass: what others have measured doesn't hang on a driver's permission."""
    try:
        runner.run(STALLS_PASS)
    except (ProgramFailedError, UsageError) as error:
        return str(error)
    return None


def _subject(checkpoint: Checkpoint, workload: Workload) -> dict[str, Scalar]:
    return {
        "spec": checkpoint.spec,
        "model": checkpoint.name,
        "source": checkpoint.source,
        "architecture": checkpoint.architecture,
        "parameters": checkpoint.parameters,
        "weight_bytes": checkpoint.weight_bytes,
        "checkpoint_dtype": checkpoint.dtype,
        "context_tokens": checkpoint.context_tokens,
        "random_weights": checkpoint.random_weights,
        "dtype": workload.dtype,
        "device": workload.device,
        "prompt": workload.prompt if workload.prompt_tokens is None else None,
        "prompt_tokens": workload.prompt_tokens,
        "new_tokens": workload.new_tokens,
        "batch_size": workload.batch_size,
        "repetitions": workload.repetitions,
        "sampled": workload.sample,
        "python": sys.version.split()[0],
    }
