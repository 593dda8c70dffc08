"""Hub ids: the local copy first, then the network, and each failure is one line that says what to do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import errors

from llmflame.errors import UsageError
from llmflame.subjects import hub, hub_download
from llmflame.subjects.progress import silent

OPTIONS = {"patterns": ["*.json"], "allow_pickle": False, "trust_remote_code": False}


class FakeHub:
    """Stands in for `snapshot_download`: a local answer, and an answer or error of the network."""

    def __init__(self, local: Path | None, remote: Path | Exception) -> None:
        self.local, self.remote = local, remote
        self.calls: list[dict[str, Any]] = []

    def __call__(self, **request: Any) -> str:
        self.calls.append(request)
        answer: Path | Exception | None = self.local if request.get("local_files_only") else self.remote
        if answer is None:
            raise errors.LocalEntryNotFoundError("not here")
        if isinstance(answer, Exception):
            raise answer
        return str(answer)


def download(monkeypatch: pytest.MonkeyPatch, local: Path | None, remote: Path | Exception) -> FakeHub:
    fake = FakeHub(local, remote)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", fake)
    return fake


def http_error(kind: type[Exception], status: int) -> Exception:
    error = kind.__new__(kind)
    error.args = (f"{status} for https://huggingface.co",)
    error.response = type("Response", (), {"status_code": status})()  # type: ignore[attr-defined]
    return error


def test_the_local_copy_needs_no_network(tiny_llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = download(monkeypatch, tiny_llama, ConnectionError())
    assert hub_download.download("org/name", OPTIONS, silent) == str(tiny_llama)
    assert len(fake.calls) == 1


def test_half_a_local_copy_is_completed(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = Path(shutil.copytree(tiny_llama, tmp_path / "half"))
    (half / "model.safetensors").unlink()
    fake = download(monkeypatch, half, tiny_llama)
    assert hub_download.download("org/name", OPTIONS, silent) == str(tiny_llama)
    assert len(fake.calls) == 2
    assert fake.calls[1]["etag_timeout"] <= 5


@pytest.mark.parametrize(
    ("module", "downloads"), [("modeling.Own", 1), ("other/repository--modeling.Own", 0)]
)
def test_a_local_copy_without_its_code_is_completed(
    module: str, downloads: int, tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = Path(shutil.copytree(tiny_llama, tmp_path / "half"))
    config = json.loads((half / "config.json").read_text())
    (half / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoModel": module}}))
    fake = download(monkeypatch, half, tiny_llama)
    hub_download.download("org/name", OPTIONS, silent)
    assert len(fake.calls) == 1
    hub_download.download("org/name", {**OPTIONS, "trust_remote_code": True}, silent)
    assert len(fake.calls) == 2 + downloads


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (errors.LocalEntryNotFoundError("offline"), "the hub can't be reached"),
        (http_error(errors.GatedRepoError, 403), "is gated: accept its terms"),
        (http_error(errors.RepositoryNotFoundError, 404), "no public model of this name"),
        (http_error(errors.HfHubHTTPError, 401), "HF_TOKEN"),
        (http_error(errors.HfHubHTTPError, 503), "could not be fetched from the Hugging Face hub: 503"),
        (errors.HFValidationError("bad"), "can't be a Hugging Face hub id"),
        (OSError("line one\nline two"), "line one"),
    ],
)
def test_failures_are_one_line(error: Exception, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    download(monkeypatch, None, error)
    with pytest.raises(UsageError) as caught:
        hub_download.download("org/name", OPTIONS, silent)
    message = str(caught.value)
    assert line in message and "org/name" in message and "\n" not in message


def test_no_code_and_no_pickles_unless_allowed() -> None:
    assert not {"*.py", "pytorch_model*.bin"} & set(hub.patterns(trust_remote_code=False, allow_pickle=False))
    assert {"*.py", "pytorch_model*.bin"} <= set(hub.patterns(trust_remote_code=True, allow_pickle=True))


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ("meta-llama/Llama-3.2-1B", True),
        ("gpt2", False),
        ("./a/b", False),
        ("a/b/c", False),
        ("/a", False),
        ("a/..", False),
        ("a b/c", False),
    ],
)
def test_what_looks_like_a_hub_id(spec: str, wanted: bool) -> None:
    assert hub.is_id(spec) is wanted
