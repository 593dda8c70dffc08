"""Fetching a hub model's files: from huggingface_hub's cache if they are all there, else over the network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llmflame.errors import UsageError
from llmflame.subjects import folder, model_config
from llmflame.subjects.fetch_error import FetchError
from llmflame.subjects.progress import Progress

_IGNORED = ("original/*", "onnx/*", "consolidated*", "*/*.safetensors", "runs/*")
"""Copies of the weights in other layouts, which transformers doesn't load."""
_PATIENCE_S = 5.0


def download(model_id: str, options: dict[str, Any], progress: Progress) -> str:
    """The snapshot folder of `model_id` with the files of `options["patterns"]`."""
    import huggingface_hub

    request = {
        "repo_id": model_id,
        "allow_patterns": list(options["patterns"]),
        "ignore_patterns": list(_IGNORED),
        "etag_timeout": _PATIENCE_S,
    }
    try:
        local = str(huggingface_hub.snapshot_download(**request, local_files_only=True))
    except (OSError, ValueError):
        local = ""
    if local and _is_whole(Path(local), options):
        return local
    progress(f"downloading {model_id} from the Hugging Face hub")
    try:
        return str(huggingface_hub.snapshot_download(**request))
    except (OSError, ValueError) as error:
        raise FetchError(_explain(model_id, error)) from error


def _is_whole(snapshot: Path, options: dict[str, Any]) -> bool:
    """A snapshot may hold only the few files that some other program asked for."""
    try:
        folder.describe(snapshot, spec="", name="", source="", allow_pickle=options["allow_pickle"])
    except UsageError:
        return False
    wants_code = options["trust_remote_code"] and model_config.read(snapshot).needs_code
    return not wants_code or any(snapshot.glob("*.py"))


def _explain(model_id: str, error: Exception) -> str:
    from huggingface_hub import errors

    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, errors.GatedRepoError) or status == 403:
        return (
            f"{model_id} is gated: accept its terms at https://huggingface.co/{model_id} "
            "and put your access token in the environment variable HF_TOKEN"
        )
    if isinstance(error, errors.RepositoryNotFoundError) or status in (401, 404):
        return (
            f"there is no folder {model_id} here and no public model of this name on the Hugging Face hub "
            "(for a private one, put your access token in the environment variable HF_TOKEN)"
        )
    if isinstance(error, errors.HFValidationError):
        return f"{model_id} can't be a Hugging Face hub id"
    if isinstance(error, errors.LocalEntryNotFoundError | errors.OfflineModeIsEnabled | ConnectionError):
        return (
            f"there is no folder {model_id} here, no copy in the Hugging Face cache, "
            "and the hub can't be reached; offline, `demo` and `dummy:llama-3.2-1b` work"
        )
    reason = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
    return f"{model_id} could not be fetched from the Hugging Face hub: {reason}"
