"""What stands above every view: what was run, and how it ended unless it ended well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from llmflame.units import human_bytes
from llmflame.views.cells import large
from llmflame.views.grid import Paragraph
from llmflame.views.safe import safe_text

DOT = " · "
VERSIONS = ("python", "torch", "transformers")
ALARM = "bold white on red3"
STATUS_TEXT = {
    "partial": "This profile is partial: what follows is what was recorded until it ended.",
    "failed": "The profiled program failed: what follows is what was recorded until then.",
}


def heading(subject: Mapping[str, Any], status: str, reason: str | None) -> list[RenderableType]:
    """One or two lines about the subject, the status if it isn't `complete`, and an empty line."""
    return [Paragraph(title(subject)), *status_lines(status, reason), Text()]


def title(subject: Mapping[str, Any]) -> Text:
    """`NAME  architecture · parameters · dtype on device · batch · tokens`."""
    text = Text().append(_word(subject.get("model")) or "unknown model", style="bold")
    return text.append("  ").append(DOT.join(_properties(subject)))


def _properties(subject: Mapping[str, Any]) -> list[str]:
    parameters, batch = subject.get("parameters"), subject.get("batch_size")
    dtype, device = _word(subject.get("dtype")), _word(subject.get("device"))
    prompt, new = subject.get("prompt_tokens"), subject.get("new_tokens")
    found = [
        _word(subject.get("architecture")),
        f"{large(parameters)} parameters" if isinstance(parameters, int | float) else "",
        " on ".join(word for word in (dtype, device) if word),
        f"batch {batch}" if isinstance(batch, int) else "",
        f"{_count(prompt)} prompt + {_count(new)} new tokens" if new is not None else "",
    ]
    return [each for each in found if each]


def _count(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else "?"


def _word(value: object) -> str:
    return "" if value is None else safe_text(str(value), 60)


def machine_line(machine: Mapping[str, Any]) -> str:
    """The machine's facts that are known, in one line."""
    ram, cores, gpu = machine.get("ram_bytes"), machine.get("cores"), machine.get("gpu")
    words = [
        _word(machine.get("cpu")),
        f"{cores} core{'' if cores == 1 else 's'}" if isinstance(cores, int) else "",
        f"{human_bytes(ram)} RAM" if isinstance(ram, int | float) else "",
        "no GPU" if gpu == "none" else _word(gpu),
        _word(machine.get("os")),
        *(f"{name} {_word(machine[name])}" for name in VERSIONS if machine.get(name)),
    ]
    return DOT.join(word for word in words if word) or "unknown machine"


def status_lines(status: str, reason: str | None) -> list[RenderableType]:
    """Nothing for a complete profile, else loud lines."""
    if status == "complete":
        return []
    told = STATUS_TEXT.get(status, f"The status of this profile is {safe_text(status, 40)}.")
    badge = Text().append(f" {safe_text(status, 40).upper()} ", style=ALARM).append(f" {told}")
    lines: list[RenderableType] = [Text(), Paragraph(badge)]
    if reason:
        lines.append(Paragraph(Text(safe_text(reason, 600), style="red")))
    return lines
