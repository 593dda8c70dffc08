"""Attention and its cache."""

from __future__ import annotations

from llmflame.analysis.findings.evidence import Chosen, Evidence
from llmflame.analysis.findings.experiments import tested_by
from llmflame.analysis.findings.finding import Finding
from llmflame.analysis.findings.places import Place
from llmflame.analysis.findings.rule import Ruling
from llmflame.store import metrics
from llmflame.units import human_bytes, human_time_ns

CACHE = "transformers/cache_utils.py"
EAGER = "eager_attention_forward"


def unfused_attention(evidence: Evidence) -> Ruling | None:
    """Scores, softmax and weighted sum as operators of their own, each through memory."""

    def eager(place: Place) -> bool:
        return EAGER in place.names

    took = evidence.sum(eager, metrics.WALL.name)
    if not took:
        return None
    floor = _fused_share(evidence, eager)
    change = evidence.change(eager, host=0.0 if evidence.on_device else floor, device=floor)
    arithmetic = _arithmetic_ns(evidence, eager)
    finding = Finding(
        "unfused-attention",
        "Attention runs operator by operator",
        "request",
        evidence.gain_ns(change),
        (
            f"eager attention takes {human_time_ns(took)} of a request",
            *((f"its arithmetic alone would take {human_time_ns(arithmetic)}",) if arithmetic else ()),
        ),
        "Load with attn_implementation='sdpa' (the default) or a flash kernel",
        tested_by("unfused-attention"),
        evidence.heaviest(eager, metrics.WALL.name),
    )
    return Ruling(finding, change)


def _fused_share(evidence: Evidence, eager: Chosen) -> float:
    """What a fused kernel would still need of the time, by its arithmetic; 0 where no ceiling is known."""
    took = evidence.sum(eager, metrics.DEVICE.name if evidence.on_device else metrics.WALL.name)
    return min(_arithmetic_ns(evidence, eager) / took, 1.0) if took else 0.0


def _arithmetic_ns(evidence: Evidence, eager: Chosen) -> float:
    rate = evidence.limits.best.flop_per_s
    return evidence.sum(eager, metrics.FLOPS.name) / rate * 1e9 if rate else 0.0


def repeated_keys(evidence: Evidence) -> Ruling | None:
    """Keys and values copied once for each query head of their group."""

    def repeating(place: Place) -> bool:
        return "repeat_kv" in place.names and EAGER not in place.names  # there it is the attention's own

    took = evidence.sum(repeating, metrics.WALL.name)
    if not took:
        return None
    change = evidence.change(repeating, host=0.0, device=0.0)
    written = evidence.sum(repeating, metrics.WRITTEN.name)
    finding = Finding(
        "repeated-keys",
        "Keys and values are repeated in memory for grouped-query attention",
        "request",
        evidence.gain_ns(change),
        (f"repeat_kv takes {human_time_ns(took)} of a request and writes {human_bytes(written)}",),
        "Use an attention kernel that takes grouped heads (enable_gqa); a padding mask prevents that, an "
        "unpadded batch does not need one",
        tested_by("repeated-keys"),
        evidence.heaviest(repeating, metrics.WALL.name),
    )
    return Ruling(finding, change)


def growing_cache(evidence: Evidence) -> Ruling | None:
    """A dynamic cache is copied whole for each token that is appended."""

    def growing(place: Place) -> bool:
        return place.operator == "aten::cat" and place.within(CACHE)

    took = evidence.sum(growing, metrics.WALL.name, ("decode",))
    if not took:
        return None
    change = evidence.change(growing, host=0.0, device=0.0)
    written = evidence.sum(growing, metrics.WRITTEN.name, ("decode",))
    finding = Finding(
        "growing-cache",
        "The whole key/value cache is copied for each new token",
        "request",
        evidence.gain_ns(change, names=("decode",)),
        (f"torch.cat in the dynamic cache takes {human_time_ns(took)} and writes {human_bytes(written)}",),
        "Use a static cache (cache_implementation='static')",
        tested_by("growing-cache"),
        evidence.heaviest(growing, metrics.WALL.name, names=("decode",)),
    )
    return Ruling(finding, change)
