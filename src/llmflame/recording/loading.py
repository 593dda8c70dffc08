"""Brings a checkpoint into memory the way people do, with each part of it marked."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from llmflame.errors import UsageError

if TYPE_CHECKING:
    from llmflame.subjects.checkpoint import Checkpoint

Part = Callable[[str], contextlib.AbstractContextManager[None]]
"""Marks a named part of the phase that runs."""


def import_libraries(part: Part) -> None:
    """Import what the story's script imports. The import itself is what is timed."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["HF_HUB_OFFLINE"] = "1"  # the checkpoint is a local folder by now: nothing leaves the machine
    with part("torch"):
        import torch  # noqa: F401
    with part("transformers"):
        from transformers import (  # noqa: F401
            AutoConfig,
            AutoModelForCausalLM,
            AutoTokenizer,
            pipeline,
        )


def resolve_device(name: str) -> str:
    """torch's name of a device; `auto` is CUDA where torch can use it. Raises UsageError for none there."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"no such device: {name}") from error
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if count == 0:
            raise UsageError(
                f"device {name}: torch {torch.__version__} can use no CUDA device here ({why_no_cuda()})"
            )
        if device.index is not None and device.index >= count:
            raise UsageError(
                f"device {name}: this machine has {count} CUDA device(s), cuda:0 to cuda:{count - 1}"
            )
    elif device.type != "cpu":
        raise UsageError(f"device {name}: llmflame runs models on cpu and cuda")
    return name


def why_no_cuda() -> str | None:
    """torch's own words: a build without CUDA, no driver, one that is too old; None where CUDA works."""
    import torch

    if torch.cuda.is_available():
        return None
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except Exception as error:
        return _first_line(error)
    return "no device is visible"


def load_pipeline(checkpoint: Checkpoint, dtype: str, device: str, part: Part) -> Any:
    """Load configuration, tokeniser and weights, move them to the device and make the pipeline.

    Raises UsageError for a folder that transformers can't make a text generator of.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, pipeline

    folder, trust = str(checkpoint.folder), checkpoint.trust_remote_code
    with part("config"):
        try:
            config = AutoConfig.from_pretrained(folder, trust_remote_code=trust, local_files_only=True)
        except (ValueError, KeyError, OSError) as error:
            raise UsageError(f"{checkpoint.spec}: {_refusal(error)}") from error
    with part("tokenizer"):
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust, local_files_only=True)
        except (ValueError, KeyError, OSError) as error:
            raise UsageError(f"{checkpoint.spec}: no usable tokeniser: {_first_line(error)}") from error
    with part("weights"):
        try:
            model = AutoModelForCausalLM.from_pretrained(
                folder,
                config=config,
                dtype=_torch_dtype(dtype),
                trust_remote_code=trust,
                local_files_only=True,
                use_safetensors=None if checkpoint.allow_pickle else True,
            )
        except ValueError as error:
            raise UsageError(f"{checkpoint.spec}: {_refusal(error)}") from error
    if device != "cpu":
        with part("to device"):
            model.to(device)
    with part("pipeline"):
        return pipeline("text-generation", model=model, tokenizer=tokenizer, device=device)


def _torch_dtype(name: str) -> Any:
    import torch

    if name == "auto":
        return "auto"
    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise UsageError(f"no such dtype: {name} (auto, float32, bfloat16 or float16)")
    return dtype


def _refusal(error: Exception) -> str:
    if "trust_remote_code" in str(error):
        return "this model runs code of its own; read that code, then allow it with --trust-remote-code"
    return _first_line(error)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
