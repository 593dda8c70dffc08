"""What differs between two runs before anything is timed, and when they are not to be compared at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from llmflame.analysis.machine import machine_summary
from llmflame.store.profile import Profile

Value = str | int | float | bool | None

MODEL = ("model", "architecture", "parameters", "layers", "kv_heads")
"""Properties of the subject that make it another model; its dtype, its attention and its prompt don't."""
MACHINE = ("cpu", "cores", "gpu")
"""Facts that make it another machine; what is installed on it doesn't."""
_NAMES = {
    "cpu": "CPU",
    "cores": "cores",
    "gpu": "GPU",
    "ram_bytes": "RAM",
    "os": "OS",
    "python": "python",
    "torch": "torch",
    "transformers": "transformers",
}
_OPTIONS = (
    "dtype",
    "attention",
    "batch_size",
    "prompt_tokens",
    "new_tokens",
    "prompt",
    "device",
    "device_name",
    "torch_threads",
    "tf32",
    "sampled",
    "random_weights",
    "checkpoint_dtype",
    "weights_in_memory_bytes",
    "device_allocator",
    "source",
)
"""First what people change on purpose."""
_ASIDE = frozenset({"python", "repetitions", "spec"})
"""Of the subject: told elsewhere, or no property of what ran."""
_FACTS = frozenset({"software", "torch", "threads", "limits", "mitigations"})
"""Sections of machine facts that are compared one by one."""
_FACT_NAMES = frozenset({"driver", "CUDA version", "clock governor", "clock boost", "kernel", "power limit",
                         "SM clock max", "memory clock max", "transparent huge pages"})  # fmt: skip

_COUNT = "variables set"
"""A fact that says how many others there are."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One property that isn't the same. None: not known, or not there."""

    section: str
    """`model`, `machine`, `options`, `software`."""
    name: str
    a: Value
    b: Value


def differences(before: Profile, after: Profile) -> list[Difference]:
    """The model, the machine, options, then software; what neither run knows is left out."""
    return [*_models(before, after), *_machines(before, after), *_options(before, after),
            *_software(before, after)]  # fmt: skip


def refusal(found: list[Difference]) -> str | None:
    """Why two runs are not to be compared, in words; None where they are. Unknown is no reason."""
    reasons = []
    for section in ("model", "machine"):
        known = [one for one in found if one.section == section and None not in (one.a, one.b)]
        words = ", ".join(f"{one.name} {_said(one.a)} and {_said(one.b)}" for one in known)
        if known:
            reasons.append(f"{section} ({words})")
    return " and ".join(reasons) or None


def _said(value: Value) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _models(before: Profile, after: Profile) -> list[Difference]:
    return _differing("model", MODEL, before.subject, after.subject)


def _machines(before: Profile, after: Profile) -> list[Difference]:
    one, other = machine_summary(before.machine), machine_summary(after.machine)
    found = _differing("machine", MACHINE, _named(one), _named(other), _NAMES)
    kinds = [_device_kind(profile) for profile in (before, after)]
    if kinds[0] != kinds[1]:
        found.append(Difference("machine", "device", *kinds))
    return found


def _device_kind(profile: Profile) -> str | None:
    """`cpu` or `cuda`: which of two GPUs of a machine it was is an option."""
    device = profile.subject.get("device")
    return str(device).split(":")[0] if device is not None else None


def _options(before: Profile, after: Profile) -> list[Difference]:
    known = dict.fromkeys((*_OPTIONS, *sorted({*before.subject, *after.subject})))
    names = tuple(name for name in known if name not in MODEL and name not in _ASIDE)
    found = _differing("options", names, before.subject, after.subject)
    if before.run.mode != after.run.mode:
        found.append(Difference("options", "recorded", before.run.mode, after.run.mode))
    return found


def _software(before: Profile, after: Profile) -> list[Difference]:
    one, other = ({**_summary(each), **_facts(each)} for each in (before, after))
    one["llmflame"], other["llmflame"] = before.run.llmflame_version, after.run.llmflame_version
    return _differing("software", tuple(dict.fromkeys((*one, *other))), one, other)


def _summary(profile: Profile) -> dict[str, Value]:
    known = _named(machine_summary(profile.machine))
    return {_NAMES[name]: known[name] for name in ("python", "torch", "transformers", "os")}


def _facts(profile: Profile) -> dict[str, Value]:
    return {
        fact.name if fact.section == "software" else f"{fact.section}: {fact.name}": fact.value
        for fact in profile.machine
        if (fact.section in _FACTS or fact.name in _FACT_NAMES)
        and fact.value is not None
        and fact.name != _COUNT
    }


def _named(facts: Mapping[str, object]) -> dict[str, Value]:
    return {name: value if isinstance(value, str | int | float) else None for name, value in facts.items()}


def _differing(
    section: str,
    names: tuple[str, ...],
    before: Mapping[str, Value],
    after: Mapping[str, Value],
    labels: Mapping[str, str] | None = None,
) -> list[Difference]:
    return [
        Difference(section, (labels or {}).get(name, name), before.get(name), after.get(name))
        for name in names
        if before.get(name) != after.get(name)
    ]
