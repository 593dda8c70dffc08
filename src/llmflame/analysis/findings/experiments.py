"""Which rows of the lab test a finding, by the finding's name: what `llmflame lab --from FILE` runs.

A finding that isn't here is tested by hand: what would change is the program, its environment or the machine,
not how the model is run.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from llmflame.analysis.findings.finding import Finding

EXPERIMENTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "wide-weights": ("bf16", "fp16"),
        "unfused-attention": ("sdpa",),
        "slow-cpu-kernels": ("scratch:packed-weights", "bf16"),
        "oversubscription": ("physical-threads",),
        "repeated-keys": ("scratch:sdpa",),
        "growing-cache": ("static-cache",),
        "graph-breaks": ("static-cache+compile",),
        "recompiles": ("static-cache+compile",),
        "launch-bound": ("static-cache+compile-reduce-overhead", "scratch:static-cache+cuda-graph"),
        "wait-for-each-token": ("scratch:run-ahead",),
    }
)
"""Rows as `llmflame lab --variants` takes them, the likeliest first."""


def tested_by(name: str) -> str | None:
    """The first row that tests a finding of this name; None where there is none but to try."""
    return next(iter(EXPERIMENTS.get(name, ())), None)


def experiments_of(finding: Finding) -> tuple[str, ...]:
    """All rows that test it; none where this profile leaves nothing for them to do, which its rule says."""
    return () if finding.variant is None else EXPERIMENTS.get(finding.name, ())
