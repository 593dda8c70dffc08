"""All variants, in the order in which a ladder tries them, and finding them by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from llmflame.errors import UsageError
from llmflame.lab.trial import Engine
from llmflame.lab.variants import (
    batch,
    chunked_prefill,
    compile,
    cuda_graph,
    draft_model,
    dtypes,
    eager_attention,
    flex_attention,
    fused_kernels,
    fused_projections,
    huge_pages,
    kv_quantised,
    packed_weights,
    pinned_load,
    prompt_lookup,
    run_ahead,
    sdpa,
    sliding_cache,
    static_cache,
    threads,
    weight_only,
)
from llmflame.lab.variants.variant import Variant

VARIANTS: tuple[Variant, ...] = (
    *dtypes.VARIANTS,
    *threads.VARIANTS,
    static_cache.VARIANT,
    fused_projections.VARIANT,
    eager_attention.VARIANT,
    *sdpa.VARIANTS,
    flex_attention.VARIANT,
    packed_weights.VARIANT,
    huge_pages.VARIANT,
    *compile.VARIANTS,
    fused_kernels.VARIANT,
    cuda_graph.VARIANT,
    run_ahead.VARIANT,
    prompt_lookup.VARIANT,
    chunked_prefill.VARIANT,
    pinned_load.VARIANT,
    weight_only.INT8,
    weight_only.FP8,
    weight_only.INT4,
    *kv_quantised.VARIANTS,
    sliding_cache.VARIANT,
    *batch.VARIANTS,
)


FAMILIES: tuple[tuple[str, Callable[[str], Variant]], ...] = (
    (r"threads-([1-9]\d{0,3})", lambda count: threads.threads(int(count))),
    (r"batch-([1-9]\d{0,3})", lambda size: batch.batch(int(size))),
    (r"draft-model=(.+)", draft_model.draft_model),
)
"""Variants with something to choose: the pattern of their names, and what makes one."""


def find(name: str) -> Variant:
    """The variant of that name. Raises UsageError with those that there are."""
    for variant in VARIANTS:
        if variant.name == name:
            return variant
    for pattern, make in FAMILIES:
        if match := re.fullmatch(pattern, name):
            return make(match[1])
    raise UsageError(f"there is no variant `{name[:60]}`; there are {', '.join(v.name for v in VARIANTS)}")


def of_engine(engine: Engine) -> tuple[Variant, ...]:
    """Those that apply to it."""
    return tuple(variant for variant in VARIANTS if engine in variant.apply)


def chosen(names: Iterable[str]) -> tuple[Variant, ...]:
    """The variants of these names. Raises UsageError where two exclude each other, or one lacks another."""
    found = tuple(find(name) for name in names)
    taken: dict[str, str] = {}
    names_of = tuple(variant.name for variant in found)
    for variant in found:
        for slot in (variant.slot, *variant.fills):
            if slot in taken:
                raise UsageError(f"{taken[slot]} and {variant.name} exclude each other: both are {slot}")
            taken[slot] = variant.name
    for variant in found:
        for wanted in variant.needs:
            if wanted in taken or wanted in names_of:
                continue
            fitting = [one.name for one in VARIANTS if wanted in (one.name, one.slot, *one.fills)]
            raise UsageError(f"{variant.name} needs one of these beside it: {', '.join(fitting)}")
    return found
