"""`draft-model=MODEL`: tokens guessed by a smaller model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from llmflame.lab.variants.setup import HubSetup, ScratchSetup
from llmflame.lab.variants.variant import Circumstances, Variant

if TYPE_CHECKING:
    from llmflame.lab.variants.setup import Drafter
    from llmflame.scratch.model import LanguageModel

GUESSES = 4


def draft_model(spec: str) -> Variant:
    """The variant with that draft: whatever `llmflame profile` takes, of the same vocabulary."""

    def scratch(setup: ScratchSetup) -> None:
        def drafter(model: LanguageModel, _folder: Path) -> Drafter:
            from llmflame.lab.drafting import ModelDrafter
            from llmflame.scratch.checkpoint import load

            columns = setup.prompt_tokens + setup.new_tokens
            draft = load(_folder_of(spec), setup.dtype, setup.device)
            return ModelDrafter(draft, model, columns, GUESSES)

        setup.speculate = drafter

    def hub(setup: HubSetup) -> None:
        def assistant() -> None:
            from llmflame.lab.hub_runner import load

            plain = HubSetup(setup.device, setup.dtype, 1, None, setup.prompt_tokens, setup.new_tokens)
            setup.generate_options["assistant_model"] = load(_folder_of(spec), plain)

        setup.before_load.append(assistant)

    return Variant(
        name=f"draft-model={spec}",
        changes=f"{spec} guesses {GUESSES} tokens, which the model checks in one step; what it would have "
        "chosen itself is kept.",
        helps="A step of a few tokens reads weights as often as a step of one. It pays where the draft is "
        "much smaller and often right.",
        phases=("decode",),
        equality="equivalent",
        slot="speculation",
        apply={"scratch": scratch, "transformers": hub},
        refusal=_refusal,
    )


def _folder_of(spec: str) -> Path:
    from llmflame.subjects.progress import silent
    from llmflame.subjects.resolve import resolve

    return resolve(spec, progress=silent).folder


def _refusal(circumstances: Circumstances) -> str | None:
    if circumstances.batch != 1:
        return "rows of a batch would accept different numbers of tokens: one sequence alone"
    return None
