"""The committed bundle is what its sources build."""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

WEB = Path(__file__).parents[2] / "web"
BUILT = ["page.js", "page.css"]

needs_node = pytest.mark.skipif(
    shutil.which("node") is None or not (WEB / "node_modules" / "esbuild").is_dir(),
    reason="needs node and web/node_modules (npm ci in web/)",
)


def run(*command: str) -> None:
    done = subprocess.run(command, cwd=WEB, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_node
def test_bundle_is_up_to_date(tmp_path: Path) -> None:
    run("node", "build.mjs", str(tmp_path))
    committed = files("llmflame.views.page") / "assets"
    for name in BUILT:
        assert (tmp_path / name).read_bytes() == (committed / name).read_bytes(), (
            f"{name}: npm run build in web/"
        )


@needs_node
def test_sources_type_check() -> None:
    if not (WEB / "node_modules" / "typescript").is_dir():
        pytest.skip("typescript is not installed")
    run("node", "node_modules/typescript/bin/tsc", "--noEmit")


@needs_node
def test_pure_modules() -> None:
    run("node", "test.mjs")


def test_bundle_names_no_place() -> None:
    for name in BUILT:
        text = (files("llmflame.views.page") / "assets" / name).read_text(encoding="utf-8")
        assert text.isascii()
        assert (
            "http" not in text
            and "sourceMapping" not in text
            and str(WEB.parent) not in text
            and "</script" not in text
        )


def test_lock_names_no_registry() -> None:
    lock = (WEB / "package-lock.json").read_text(encoding="utf-8")
    assert '"resolved"' not in lock
    wanted = json.loads((WEB / "package.json").read_text(encoding="utf-8"))["devDependencies"]
    assert all(version[0].isdigit() for version in wanted.values()), "versions are pinned exactly"
