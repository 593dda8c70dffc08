"""`threads-N` and `physical-threads`: how many threads share an operator on the CPU."""

from __future__ import annotations

from llmflame.lab.variants.setup import Setup
from llmflame.lab.variants.variant import Circumstances, Variant

COUNTS = (1, 2, 4, 8, 16, 32)


def threads(count: int) -> Variant:
    """That number of threads."""

    def apply(setup: Setup) -> None:
        setup.threads = count

    def refusal(circumstances: Circumstances) -> str | None:
        if circumstances.device != "cpu":
            return "threads share operators on the CPU alone"
        if count > circumstances.logical_cpus:
            return f"this machine has {circumstances.logical_cpus} CPUs"
        return None

    return Variant(
        name=f"threads-{count}",
        changes=f"torch uses {count} thread{'s' if count > 1 else ''} for an operator.",
        helps="A step is bound by memory, which a few cores use up; more threads than that wait for each "
        "other at the end of every operator.",
        phases=("load", "prefill", "decode"),
        equality="equivalent",
        slot="threads",
        apply={"scratch": apply, "transformers": apply},
        refusal=refusal,
    )


def _physical(setup: Setup) -> None:
    import psutil

    setup.threads = psutil.cpu_count(logical=False) or psutil.cpu_count() or 1


def _no_siblings(circumstances: Circumstances) -> str | None:
    if circumstances.device != "cpu":
        return "threads share operators on the CPU alone"
    if circumstances.physical_cores == circumstances.logical_cpus:
        return "each CPU of this machine is a core of its own: it would change nothing"
    return None


PHYSICAL = Variant(
    name="physical-threads",
    changes="torch uses as many threads as there are cores, not counting two threads of a core twice.",
    helps="Threads of one core share its vector units, and the slower of two halves is what an operator "
    "waits for.",
    phases=("load", "prefill", "decode"),
    equality="equivalent",
    slot="threads",
    apply={"scratch": _physical, "transformers": _physical},
    refusal=_no_siblings,
)
VARIANTS = (PHYSICAL, *(threads(count) for count in COUNTS))
