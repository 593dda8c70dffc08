"""The machine in one line: the few facts that tell one machine from another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from llmflame.store.model import Fact

_KEYS = {
    "cpu": ("cpu", "model"),
    "cores": ("cpu", "physical cores"),
    "ram_bytes": ("memory", "RAM total"),
    "os": ("system", "OS"),
    "python": ("software", "python"),
    "torch": ("software", "torch"),
    "transformers": ("software", "transformers"),
}
_ORDER = ("cpu", "cores", "ram_bytes", "gpu", "os", "python", "torch", "transformers")


def machine_summary(facts: Iterable[Fact]) -> dict[str, object]:
    """CPU model, physical cores, RAM in bytes, GPUs, OS and versions; None for each that is unknown.

    `gpu` is one text such as `2 x NVIDIA H200`, and `none` where the driver counts no GPU.
    """
    facts = list(facts)
    known = {(fact.section, fact.name): fact.value for fact in facts}
    found: dict[str, object] = {key: known.get(place) for key, place in _KEYS.items()}
    found["gpu"] = _gpus(facts)
    return {key: found[key] for key in _ORDER}


def _gpus(facts: list[Fact]) -> str | None:
    names = Counter(
        str(fact.value)
        for fact in facts
        if fact.section.startswith("gpu ") and fact.name == "name" and fact.value is not None
    )
    if names:
        return ", ".join(f"{count} x {name}" if count > 1 else name for name, count in names.items())
    counted_none = any(fact.section == "gpu" and fact.name == "GPUs" and fact.value == 0 for fact in facts)
    return "none" if counted_none else None
