"""A plan inside a process that records: rows for a profile, from a live model's config."""

from __future__ import annotations

from typing import Any

from llmflame.planning import architecture, process
from llmflame.planning.attention import FLASH_CAPABILITY, DeviceKind, Kernels
from llmflame.planning.estimator import Estimator
from llmflame.planning.phases import Surroundings, Weights, phases, texts
from llmflame.planning.process import Amount
from llmflame.planning.request import Footprint, Peak, Request
from llmflame.planning.shape import shape_of
from llmflame.store.rows import PredictionRow

NOTHING = Footprint(Peak(0, 0, 0, 0), Peak(0, 0, 0, 0), 0, 0.0, "unknown")
"""Of a model that can neither be run without data nor be computed."""


def predict(  # noqa: PLR0913  each is a fact of the run
    config: Any,
    *,
    batch: int,
    prompt_tokens: int,
    new_tokens: int,
    dtype: str,
    device_kind: DeviceKind,
    weight_bytes: int | None,
    static_cache: bool = False,
    checkpoint_dtype: str | None = None,
    reserved_bytes: int | None = None,
) -> list[PredictionRow]:
    """What each phase should hold, in bytes, for phases `load`, `prefill` and `decode`.

    `space` is `host` for a CPU and `device` for CUDA. `weight_bytes` are the weights in memory; None has them
    computed. `reserved_bytes` are what the device's allocator had taken before the first request: how a model
    was loaded is not in its config. With `checkpoint_dtype` equal to `dtype`, weights on a CPU are pages of
    the mapped files. The process itself is not predicted: it runs. Allocates no tensors with data, draws no
    random numbers, leaves no setting changed, and never raises: what can't be said is missing from the list.
    """
    try:
        request = Request(batch, prompt_tokens, new_tokens, static_cache)
        return _rows(config, request, dtype, device_kind, weight_bytes, checkpoint_dtype, reserved_bytes)
    except Exception:
        # A recording must not fail because a prediction did.
        return []


def _rows(
    config: Any,
    request: Request,
    dtype: str,
    kind: DeviceKind,
    weight_bytes: int | None,
    checkpoint_dtype: str | None,
    reserved_bytes: int | None,
) -> list[PredictionRow]:
    import torch

    capability = _capability() if kind == "cuda" else (0, 0)
    built = _build(config, dtype)
    shape = shape_of(config)
    kernels = Kernels(kind, torch.get_num_threads(), capability)
    footprint = _footprint(Estimator(built, shape, dtype, kernels, reserved_bytes), request)
    around = Surroundings()
    if kind == "cuda":
        around = Surroundings(context=process.context(), workspace=process.workspace(capability))
    weights = _weights(built, dtype, kind, weight_bytes, checkpoint_dtype)
    attention = built.attention if built else "sdpa"
    planned = phases(weights, footprint, texts(footprint, request, shape, attention), kind, around)
    return [
        PredictionRow(phase.name, phase.space, item.category, item.bytes, item.formula)
        for phase in (planned if footprint is not NOTHING else planned[:1])
        for item in phase.items
        if item.bytes
    ]


def _footprint(estimator: Estimator, request: Request) -> Footprint:
    try:
        return estimator.footprint(request)
    except ValueError:
        return NOTHING


def _build(config: Any, dtype: str) -> architecture.Architecture | None:
    try:
        return architecture.build(config, dtype, getattr(config, "_attn_implementation", None))
    except Exception:
        # The closed form needs no modules.
        return None


def _weights(
    built: architecture.Architecture | None,
    dtype: str,
    kind: DeviceKind,
    weight_bytes: int | None,
    checkpoint_dtype: str | None,
) -> Weights:
    computed = built.weight_bytes if built else 0
    total = weight_bytes if weight_bytes is not None else computed
    formula = "the live model's parameters and buffers" if weight_bytes is not None else ""
    if not formula and built is not None:
        formula = f"{built.parameters:,} parameters in {dtype}, and buffers"
    same = checkpoint_dtype is None or checkpoint_dtype == dtype
    stored = 0
    if checkpoint_dtype is not None and built is not None:
        stored = built.parameters * architecture.torch_dtype(checkpoint_dtype).itemsize
    mapped = kind == "cpu" and same and checkpoint_dtype is not None
    return Weights(Amount(total, formula), stored, mapped)


def _capability() -> tuple[int, int]:
    """Of the current device where the process uses CUDA already: asking must not be what starts it."""
    import torch

    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return torch.cuda.get_device_capability()
    return FLASH_CAPABILITY
