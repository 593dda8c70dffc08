"""Will it fit, and at what batch and what context does it stop fitting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from llmflame.errors import UsageError
from llmflame.planning import architecture, formula, process
from llmflame.planning.attention import Kernels
from llmflame.planning.bisection import Most, largest
from llmflame.planning.devices import Device
from llmflame.planning.estimator import Estimator
from llmflame.planning.phases import Phase, Surroundings, Weights, phases, texts
from llmflame.planning.process import Amount
from llmflame.planning.request import Footprint, Request
from llmflame.planning.shape import most_tokens, shape_of
from llmflame.planning.subject import PlannedModel

MOST_BATCH = 65_536
"""Larger batches are not tried."""
MOST_CONTEXT = 1_048_576
"""Of a model whose config names no longest sequence."""
DEFAULT_CONTEXT = 2_048


@dataclass(frozen=True, slots=True)
class Plan:
    """The answer, with all that it is made of. Amounts in bytes."""

    model: str
    architecture: str
    dtype: str
    checkpoint_dtype: str | None
    attention: str
    parameters: int
    module_bytes: Mapping[str, int]
    request: Request
    device: Device
    phases: tuple[Phase, ...]
    footprint: Footprint
    most_tokens: int | None
    """The longest sequence that the model's config allows."""
    most_batch: Most
    """At this context."""
    most_context: Most
    """Prompt tokens at this batch."""
    notes: tuple[str, ...]

    @property
    def peak(self) -> Phase:
        """The phase that needs most."""
        return max(self.phases, key=lambda phase: phase.total)

    @property
    def fits(self) -> bool:
        """Whether all that is needed is within the device's memory."""
        return max(phase.needed for phase in self.phases) <= self.device.total_bytes


@dataclass(frozen=True, slots=True)
class Asked:
    """What the person asked for; None is left to the model."""

    batch: int = 1
    context: int | None = None
    new_tokens: int = 64
    dtype: str = "auto"
    attention: str | None = None
    threads: int | None = None
    """On a CPU; None for as many as torch uses here."""


def make_plan(model: PlannedModel, asked: Asked, device: Device) -> Plan:
    """Plan a request for a model on a device. Allocates no weights, runs no code that comes with a model.

    Raises UsageError where the request or the model can't be planned.
    """
    dtype = asked.dtype if asked.dtype != "auto" else model.dtype or "float32"
    notes = list(model.notes)
    built = _built(model, dtype, asked.attention, notes)
    shape = shape_of(model.config)
    allowed = most_tokens(model.config)
    request = _request(asked, allowed)
    kernels = Kernels(device.kind, asked.threads or torch.get_num_threads(), device.capability)
    estimator = Estimator(built, shape, dtype, kernels)
    weights = _weights(model, built, shape, dtype, device)
    around = _surroundings(device, model.folder)
    attention = built.attention if built else asked.attention or "sdpa"

    def planned(one: Request) -> tuple[Phase, ...]:
        try:
            footprint = estimator.footprint(one)
        except ValueError as error:
            raise UsageError(f"{model.name} can't be planned: {error}") from error
        words = texts(footprint, one, shape, attention)
        return phases(weights, footprint, words, device.kind, around)

    answer = planned(request)
    batch, context = _limits(planned, request, device.total_bytes, allowed or MOST_CONTEXT)
    if estimator.failure is not None and built is not None:
        notes.append(f"in closed form, because the model can't be run without data ({estimator.failure})")
    return Plan(
        model=model.name,
        architecture=type(built.model).__name__ if built else model.architecture or "unknown",
        dtype=dtype,
        checkpoint_dtype=model.dtype,
        attention=attention,
        parameters=built.parameters if built else model.parameters or 0,
        module_bytes=built.module_bytes if built else {},
        request=request,
        device=device,
        phases=answer,
        footprint=estimator.footprint(request),
        most_tokens=allowed,
        most_batch=batch,
        most_context=context,
        notes=tuple(notes),
    )


def _limits(
    planned: Callable[[Request], tuple[Phase, ...]], request: Request, limit: int, allowed: int
) -> tuple[Most, Most]:
    """The largest batch at the request's context, and the largest context at its batch."""
    load = planned(request)[0].needed
    if load > limit:
        return Most(0, False, True), Most(0, False, True)

    def needs(one: Request) -> int:
        # Loading needs the same for every request, which would hide the line that the others follow.
        return max(phase.needed for phase in planned(one)[1:])

    batch = largest(lambda n: needs(replace(request, batch=n)), limit, start=request.batch, cap=MOST_BATCH)
    context = largest(
        lambda n: needs(replace(request, prompt_tokens=n)),
        limit,
        start=request.prompt_tokens,
        cap=allowed - request.new_tokens,
    )
    return batch, context


def _built(
    model: PlannedModel, dtype: str, attention: str | None, notes: list[str]
) -> architecture.Architecture | None:
    architecture.torch_dtype(dtype)
    if model.quantised:
        notes.append("packed weights: in closed form, with the weights as large as their files")
        return None
    try:
        built = architecture.build(model.config, dtype, attention)
    except UsageError:
        raise
    except Exception as error:
        if attention is not None:
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise UsageError(f"--attention {attention}: {first[:300]}") from error
        notes.append(f"in closed form, because the model can't be built ({type(error).__name__})")
        return None
    if model.parameters is not None and model.parameters != built.parameters:
        notes.append(
            f"the weight files hold {model.parameters:,} parameters, the architecture {built.parameters:,}"
        )
    return built


def _request(asked: Asked, allowed: int | None) -> Request:
    for name, value in (("--batch", asked.batch), ("--new-tokens", asked.new_tokens)):
        if value < 1:
            raise UsageError(f"{name} {value}: at least 1")
    room = (allowed or MOST_CONTEXT) - asked.new_tokens
    context = asked.context if asked.context is not None else max(min(DEFAULT_CONTEXT, room), 1)
    if context < 1:
        raise UsageError(f"--context {context}: at least 1")
    if context > room:
        raise UsageError(
            f"--context {context} and --new-tokens {asked.new_tokens}: "
            f"the model allows {allowed or MOST_CONTEXT:,} tokens in all"
        )
    return Request(asked.batch, context, asked.new_tokens)


def _weights(
    model: PlannedModel,
    built: architecture.Architecture | None,
    shape: Any,
    dtype: str,
    device: Device,
) -> Weights:
    size = architecture.torch_dtype(dtype).itemsize
    mapped = device.kind == "cpu" and dtype == model.dtype and not model.quantised
    if built is not None:
        stored = model.weight_bytes
        if stored is None:
            file_dtype = model.dtype or dtype
            stored = built.parameters * architecture.torch_dtype(file_dtype).itemsize
        elif mapped:
            # A stored copy of a tied parameter is never read.
            stored = min(stored, built.parameter_bytes)
        memory = Amount(built.weight_bytes, f"{built.parameters:,} parameters in {dtype}, and buffers")
        return Weights(memory, stored, mapped)
    if model.weight_bytes is not None and (model.quantised or dtype == model.dtype):
        return Weights(Amount(model.weight_bytes, "as large as the weight files"), model.weight_bytes, mapped)
    if shape is None:
        raise UsageError(f"{model.name} can't be planned: its config names no layers, heads and sizes")
    total = formula.weight_bytes(shape, size)
    return Weights(Amount(total, "from the config's sizes, without biases", True), total, mapped)


def _surroundings(device: Device, folder: Path | None) -> Surroundings:
    if device.kind == "cpu":
        return Surroundings(runtime=process.runtime(folder))
    return Surroundings(context=process.context(), workspace=process.workspace(device.capability))
