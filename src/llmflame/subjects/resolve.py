"""From MODEL on the command line to a checkpoint folder that transformers can load."""

from __future__ import annotations

from pathlib import Path

from llmflame.errors import UsageError
from llmflame.subjects import demo, dummy, folder, gguf, hub
from llmflame.subjects.checkpoint import Checkpoint
from llmflame.subjects.progress import Progress

_DUMMY = "dummy:"
_GGUF = ".gguf"
_KINDS = (
    "MODEL is one of: demo | ORG/NAME on the Hugging Face hub | a checkpoint folder | a file.gguf | "
    f"dummy:NAME with {', '.join(dummy.SHAPES)}"
)


def resolve(
    spec: str, *, progress: Progress, trust_remote_code: bool = False, allow_pickle: bool = False
) -> Checkpoint:
    """Find or make the checkpoint that `spec` names. Doesn't import torch; heavy work is a child process's.

    Raises UsageError with one line where `spec` names nothing, or nothing that can be loaded.
    """
    if spec == "demo":
        path, source = demo.folder(progress)
        return folder.describe(path, spec=spec, name=demo.NAME, source=source)
    if spec.startswith(_DUMMY):
        return _dummy(spec, progress)
    path = Path(spec).expanduser()
    if spec and (_exists(path) or spec.lower().endswith(_GGUF)):
        return _local(spec, path, progress, trust_remote_code, allow_pickle)
    if hub.is_id(spec):
        options = {"trust_remote_code": trust_remote_code, "allow_pickle": allow_pickle}
        snapshot = hub.folder(spec, progress=progress, **options)
        source = f"Hugging Face hub, {spec} at {snapshot.name[:12]}"
        return folder.describe(snapshot, spec=spec, name=spec.partition("/")[2], source=source, **options)
    raise UsageError(f"there is no model `{spec[:200]}`. {_KINDS}")


def _dummy(spec: str, progress: Progress) -> Checkpoint:
    name = spec.removeprefix(_DUMMY)
    shape = dummy.shape(name)
    return folder.describe(
        dummy.folder(name, shape.config, progress),
        spec=spec,
        name=f"{name} (random weights)",
        source=f"random weights in the shape of {shape.published_as}",
        random_weights=True,
    )


def _local(
    spec: str, path: Path, progress: Progress, trust_remote_code: bool, allow_pickle: bool
) -> Checkpoint:
    absolute = path.resolve()
    if path.is_dir():
        return folder.describe(
            absolute,
            spec=spec,
            # A link's own name says more than its target's.
            name=absolute.name if path.name in ("", "..") else path.name,
            source=f"folder {absolute}",
            trust_remote_code=trust_remote_code,
            allow_pickle=allow_pickle,
        )
    if path.suffix.lower() != _GGUF:
        raise UsageError(f"{path} is neither a checkpoint folder nor a GGUF file. {_KINDS}")
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    source = f"GGUF file {absolute}, dequantised to bfloat16"
    return folder.describe(gguf.folder(path, progress), spec=spec, name=path.stem, source=source)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        # Too long for a path, or with a zero byte.
        return False
