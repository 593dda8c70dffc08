"""Profiles of runs on a GPU from scripted steps: what was traced took place, unless a test says else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from llmflame.store.model import Fact
from llmflame.store.profile import Profile
from llmflame.store.rows import Row
from llmflame.store.writer import Scalar
from tests.gpu_script import Script

from .small import request, stored, window

GPU: dict[str, Scalar] = {"device": "cuda:0", "dtype": "bfloat16"}


def fact(section: str, name: str, value: str | float) -> Fact:
    return Fact(section, name, value, None, "here")


def on_gpu(
    decode: Script,
    *,
    steps: int = 10,
    step_ns: int | None = None,
    prefill: Script | None = None,
    around: Mapping[str, int] | None = None,
    others: Mapping[str, Script] | None = None,
    rows: Iterable[Row] = (),
    facts: Iterable[Fact] = (),
    subject: Mapping[str, Scalar] | None = None,
    gap_ns: int = 0,
) -> Profile:
    """A request of one prefill and some decode steps, all like the scripted one.

    `step_ns` is a decode step's undisturbed time, where it isn't the script's; `around` the time of other
    phases, `others` scripts of theirs.
    """
    wall = decode.now if step_ns is None else step_ns
    phases = dict(around or {}) | {name: script.now for name, script in (others or {}).items()}
    ordered: dict[str, int] = {name: phases[name] for name in ("tokenize", "prepare") if name in phases}
    ordered["prefill"] = prefill.now if prefill is not None else wall
    ordered["decode"] = wall * steps
    ordered |= {name: phases[name] for name in ("detokenize",) if name in phases}
    scripts = [("prefill", 0, prefill or decode), ("decode", 1, decode)]
    scripts += [(name, None, script) for name, script in (others or {}).items()]  # type: ignore[misc]
    trees = []
    for number, (name, step, script) in enumerate(scripts):
        trees.append((window(1001 + number, name, script.now, step), script.tree))
        trees.append((window(1101 + number, name, script.now, step, kind="shapes"), script.shapes))
    spans = request(ordered, steps=[wall] * steps, gap_ns=gap_ns)
    return stored([*spans, *rows], trees, subject=GPU | dict(subject or {}), facts=facts)
