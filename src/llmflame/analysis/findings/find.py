"""Asks every rule about a profile."""

from __future__ import annotations

from collections.abc import Callable

from llmflame.analysis.findings import (
    attention_rules,
    compiler_rules,
    cpu_rules,
    host_rules,
    launch_rules,
    load_rules,
    memory_rules,
    precision_rules,
    stall_rules,
    transfer_rules,
    wait_rules,
)
from llmflame.analysis.findings.evidence import Evidence
from llmflame.analysis.findings.finding import LEAST_SHARE, Finding
from llmflame.analysis.findings.rule import Ruling
from llmflame.analysis.run_tree import RunTree
from llmflame.store.profile import Profile

Rule = Callable[[Evidence], Ruling | None]
RULES: tuple[Rule, ...] = (
    wait_rules.blocking_launches,
    transfer_rules.offloaded_layers,
    transfer_rules.pageable_copies,
    wait_rules.waits_in_the_model,
    precision_rules.wide_weights,
    attention_rules.unfused_attention,
    attention_rules.repeated_keys,
    attention_rules.growing_cache,
    host_rules.own_code_between_steps,
    host_rules.slow_tokeniser,
    host_rules.requests_apart,
    host_rules.imports,
    load_rules.converted_weights,
    compiler_rules.graph_breaks,
    compiler_rules.recompiles,
    cpu_rules.oversubscription,
    cpu_rules.slow_kernels,
    stall_rules.stalls_against_roofline,
    stall_rules.dominant_stall,
    wait_rules.wait_for_each_token,
    launch_rules.launch_bound,
    memory_rules.grows_each_step,
    memory_rules.not_returned,
    memory_rules.loading_peak,
    memory_rules.fragmentation,
)
"""From the particular to the general: the last ones count only what those before them leave."""
SCOPES = ("request", "cold start", "memory")


def find(profile: Profile, run: RunTree) -> tuple[Finding, ...]:
    """What should be changed, the largest gain first, for a request before what is for a cold start."""
    evidence = Evidence(profile, run)
    found: list[Finding] = []
    for rule in RULES:
        ruling = rule(evidence)
        if ruling is None:
            continue
        finding = _bounded(ruling.finding, evidence)
        if finding.gain_share >= LEAST_SHARE or finding.always:
            found.append(finding)
            if ruling.change is not None:
                evidence.claimed.append(ruling.change)
                evidence.runs_ahead = evidence.runs_ahead or ruling.runs_ahead
    return tuple(sorted(found, key=lambda one: (SCOPES.index(one.scope), -one.gain_ns, -one.gain_bytes)))


def _bounded(finding: Finding, evidence: Evidence) -> Finding:
    """No change gains more than the whole."""
    if finding.scope == "memory":
        return finding
    whole = evidence.request_ns if finding.scope == "request" else evidence.cold_start_ns
    gain = min(max(finding.gain_ns, 0.0), whole)
    return finding.with_gain(gain, gain / whole if whole else 0.0)
