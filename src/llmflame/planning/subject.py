"""The model to plan for: its config and what the headers of its weight files say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmflame.errors import UsageError
from llmflame.subjects import dummy, hub, model_config, resolve, weights
from llmflame.subjects.progress import Progress

_DUMMY = "dummy:"
_GGUF = ".gguf"


@dataclass(frozen=True, slots=True)
class PlannedModel:
    """A model of which nothing is loaded."""

    name: str
    config: Any
    """transformers' config object."""
    architecture: str | None
    dtype: str | None
    """The checkpoint's, in torch's spelling."""
    weight_bytes: int | None
    """Of the tensors in the weight files; None where there is no file to ask."""
    parameters: int | None
    folder: Path | None = None
    """Of the checkpoint, where there is one here."""
    quantised: bool = False
    notes: tuple[str, ...] = ()


def find(spec: str, progress: Progress) -> PlannedModel:
    """Find the config of MODEL. Raises UsageError with one line where there is none.

    Weights are not fetched and dummies are not written; a GGUF file and the demo are converted into the cache
    where they aren't there yet, because their config comes with their weights.
    """
    if spec.startswith(_DUMMY):
        return _dummy(spec.removeprefix(_DUMMY))
    path = Path(spec).expanduser()
    if spec == "demo" or spec.lower().endswith(_GGUF):
        checkpoint = resolve.resolve(spec, progress=progress)
        return _folder(checkpoint.folder, checkpoint.name)
    if spec and path.is_dir():
        return _folder(path.resolve(), path.resolve().name)
    if hub.is_id(spec):
        return _hub(spec)
    checkpoint = resolve.resolve(spec, progress=progress)
    return _folder(checkpoint.folder, checkpoint.name)


def _dummy(name: str) -> PlannedModel:
    from transformers import AutoConfig

    shape = dummy.shape(name)
    settings = dict(shape.config)
    config = AutoConfig.for_model(settings.pop("model_type"), **settings)
    dtype = str(settings["torch_dtype"])
    return PlannedModel(
        name=f"{name} (random weights)",
        config=config,
        architecture=str(settings["architectures"][0]),
        dtype=dtype,
        weight_bytes=None,
        parameters=shape.parameters,
    )


def _folder(folder: Path, name: str) -> PlannedModel:
    facts = model_config.read(folder)
    if facts.needs_code:
        raise UsageError(f"{folder} brings its own model code, which a plan doesn't run")
    found: weights.Weights | None = None
    notes: tuple[str, ...] = ()
    if any(folder.glob("*.safetensors")):
        found = weights.find(folder, facts, allow_pickle=False)
    else:
        notes = ("no safetensors files: the weights are as large as the config says",)
    return PlannedModel(
        name=name,
        config=_config(folder),
        architecture=facts.architecture,
        dtype=(found.dtype if found and not facts.quantised else None) or facts.dtype,
        weight_bytes=found.bytes if found else None,
        parameters=found.parameters if found else None,
        folder=folder,
        quantised=facts.quantised,
        notes=notes,
    )


def _hub(model_id: str) -> PlannedModel:
    """From a snapshot in the Hugging Face cache, else only config.json is fetched."""
    import huggingface_hub

    try:
        local = huggingface_hub.snapshot_download(model_id, local_files_only=True)
        if (Path(local) / "config.json").is_file():
            return _folder(Path(local), model_id.partition("/")[2])
    except (OSError, ValueError):
        pass
    try:
        fetched = huggingface_hub.hf_hub_download(model_id, "config.json", etag_timeout=5)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"there is no folder {model_id} here, no copy in the Hugging Face cache, and its config.json "
            f"can't be fetched from the hub ({type(error).__name__})"
        ) from error
    return _folder(Path(fetched).parent, model_id.partition("/")[2])


def _config(folder: Path) -> Any:
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UsageError(f"{folder / 'config.json'} can't be used by transformers: {first[:300]}") from error
