"""One trial in this process: load, apply, warm up, measure, and only then everything that disturbs."""

from __future__ import annotations

import contextlib
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from llmflame.lab.circumstances import circumstances
from llmflame.lab.measuring import Timed, timed_request
from llmflame.lab.meters import meter
from llmflame.lab.prompt import prompt_ids
from llmflame.lab.step_work import step_work
from llmflame.lab.trial import TrialResult, TrialSpec
from llmflame.lab.variants.setup import HubSetup, ScratchSetup
from llmflame.lab.variants.variant import Variant
from llmflame.probes.compiler import compiler_counts
from llmflame.probes.peak import HighWaterMark
from llmflame.subjects.checkpoint import Checkpoint

if TYPE_CHECKING:
    from llmflame.lab.hub_runner import HubRunner
    from llmflame.lab.scratch_runner import ScratchRunner

TOKENS, LOGITS = "tokens.npy", "logits.npy"
_PACKAGES = ("torch", "transformers", "triton", "numpy", "llmflame")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that is ready to run."""

    runner: ScratchRunner | HubRunner
    model: Any
    load_ns: int


def run_trial(spec: TrialSpec, variants: Sequence[Variant], checkpoint: Checkpoint) -> TrialResult:
    """The whole of it. What a variant refuses is `skipped`; what breaks is raised."""
    for variant in variants:
        if spec.engine not in variant.apply:
            return TrialResult("skipped", f"{variant.name} applies to {' and '.join(variant.apply)} alone")
    setup = setup_of(spec, variants)
    where = circumstances(spec, setup, checkpoint.architecture)
    for variant in variants:
        if (reason := variant.refusal(where)) is not None:
            return TrialResult("skipped", f"{variant.name}: {reason}")
    if spec.device == "cuda" and not torch.cuda.is_available():
        return TrialResult("skipped", "torch can use no CUDA device here")
    torch.manual_seed(spec.seed)
    _prepare(setup)
    loaded = load(spec, setup, checkpoint.folder)
    prompt = prompt_ids(checkpoint.folder, setup.batch, setup.prompt_tokens).to(spec.device)
    result = _measure(spec, setup, loaded, prompt)
    if spec.forced is not None:
        _write_logits(spec, setup, loaded)
        result = replace(result, logits=str(Path(spec.folder) / LOGITS))
    if spec.profile is not None:
        from llmflame.lab.profiled import record

        result = replace(result, profile_note=record(spec, setup, loaded.runner, prompt))
    return replace(result, versions=versions())


def setup_of(spec: TrialSpec, variants: Sequence[Variant]) -> ScratchSetup | HubSetup:
    """What the variants make of a plain run. Nothing is done yet."""
    kind = ScratchSetup if spec.engine == "scratch" else HubSetup
    setup = kind(
        device=spec.device,
        dtype=spec.dtype,
        batch=spec.batch,
        threads=spec.threads,
        prompt_tokens=spec.prompt_tokens,
        new_tokens=spec.new_tokens,
    )
    for variant in variants:
        variant.apply[spec.engine](setup)
    return setup


def _prepare(setup: ScratchSetup | HubSetup) -> None:
    """Settings of the whole process."""
    if setup.threads is not None:
        torch.set_num_threads(setup.threads)
    for prepare in setup.before_load:
        prepare()


def load(spec: TrialSpec, setup: ScratchSetup | HubSetup, folder: Path) -> Loaded:
    """Read the weights, change them as the variants say, and make the runner."""
    if isinstance(setup, HubSetup):
        from llmflame.lab import hub_runner

        begin = time.perf_counter_ns()
        model = hub_runner.load(folder, setup)
        setup.apply_changes(model)
        return Loaded(hub_runner.HubRunner(setup, model), model, _since(begin, spec.device))
    from llmflame.lab.scratch_runner import ScratchRunner
    from llmflame.scratch import checkpoint

    begin = time.perf_counter_ns()
    model = (setup.load or checkpoint.load)(folder, setup.dtype, setup.device)
    setup.apply_changes(model)
    drafter = setup.speculate(model, folder) if setup.speculate else None
    load_ns = _since(begin, spec.device)
    capacity = spec.prompt_tokens + spec.new_tokens
    if spec.forced is not None:
        capacity = max(capacity, np.load(spec.forced, mmap_mode="r").shape[1])
    return Loaded(ScratchRunner(setup, model, capacity, drafter), model, load_ns)


def _since(begin_ns: int, device: str) -> int:
    _settle(device)
    return time.perf_counter_ns() - begin_ns


def _settle(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _measure(
    spec: TrialSpec, setup: ScratchSetup | HubSetup, loaded: Loaded, prompt: torch.Tensor
) -> TrialResult:
    """Warm-ups, then the requests that count, with nothing else going on in between."""

    def one() -> Timed:
        return timed_request(loaded.runner, prompt, spec.new_tokens, lambda: _settle(spec.device))

    warmups = [found.end_ns - found.begin_ns for found in (one() for _ in range(spec.warmups))]
    gauge, peak = meter(spec.device), HighWaterMark()
    graphs = compiler_counts()
    if spec.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    peak.reset()
    before, energy = gauge.read("before"), gauge.joules()
    measured = [one() for _ in range(spec.repetitions)]
    spent = gauge.joules()
    after, graphs_after = gauge.read("after"), compiler_counts()
    rows = [found.rows for found in measured]
    np.save(Path(spec.folder) / TOKENS, np.array(rows[0], dtype=np.int64))
    work = step_work(
        loaded.model,
        batch=setup.batch,
        prompt_tokens=spec.prompt_tokens,
        new_tokens=spec.new_tokens,
        kv_element=setup.kv_element or torch.empty(0, dtype=getattr(torch, setup.dtype)).element_size(),
    )
    new_graphs = (graphs_after.graphs if graphs_after else 0) - (graphs.graphs if graphs else 0)
    return TrialResult(
        outcome="done",
        load_ns=loaded.load_ns,
        warmup_ns=warmups,
        requests=[found.as_request() for found in measured],
        recompilations=new_graphs if setup.compiles else None,
        tokens=str(Path(spec.folder) / TOKENS),
        repeatable=all(row == rows[0] for row in rows),
        weight_bytes=work.weight_bytes,
        step_bytes=work.step_bytes,
        step_flop=work.flop or None,
        peak_host_bytes=peak.read_bytes(),
        peak_device_bytes=torch.cuda.max_memory_reserved() if spec.device == "cuda" else None,
        energy_joule=None if energy is None or spent is None else spent - energy,
        energy_source=gauge.source,
        readings=[before, after],
    )


def _write_logits(spec: TrialSpec, setup: ScratchSetup | HubSetup, loaded: Loaded) -> None:
    """The logits of the tokens that are forced, part by part: all of them at once may be gigabytes."""
    assert spec.forced is not None
    ids = torch.from_numpy(np.load(spec.forced)).to(spec.device)
    if ids.dim() != 2 or ids.shape[0] != setup.batch or ids.shape[1] <= spec.prompt_tokens:
        wanted = f"[{setup.batch}, more than {spec.prompt_tokens}]"
        raise ValueError(f"forced tokens are {list(ids.shape)} instead of {wanted}")
    count = ids.shape[1] - spec.prompt_tokens
    target, at = None, 0
    for part in loaded.runner.forced(ids, spec.prompt_tokens):
        if target is None:
            shape = (ids.shape[0], count, part.shape[2])
            path = Path(spec.folder) / LOGITS
            target = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
        target[:, at : at + part.shape[1]] = part.numpy()
        at += part.shape[1]
    assert target is not None and at == count
    target.flush()


def versions() -> dict[str, str]:
    """Of what a speed depends on."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    if torch.version.cuda is not None:
        found["CUDA"] = torch.version.cuda
    return found
