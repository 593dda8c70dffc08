"""The host waits for the device where it need not."""

from __future__ import annotations

from llmflame.analysis.findings.evidence import Evidence
from llmflame.analysis.findings.experiments import tested_by
from llmflame.analysis.findings.finding import Finding
from llmflame.analysis.findings.places import Place
from llmflame.analysis.findings.rule import Ruling
from llmflame.store import metrics
from llmflame.units import human_time_ns, percent

READ_BACK = "aten::item"
LAUNCHES = ("cudaLaunch", "cuLaunch", "hipLaunch")


def blocking_launches(evidence: Evidence) -> Ruling | None:
    """CUDA_LAUNCH_BLOCKING=1: every launch waits for its kernel."""
    fact = evidence.facts.get(("threads", "CUDA_LAUNCH_BLOCKING"))
    if fact is None or str(fact.value) in ("0", "") or not evidence.on_device:
        return None

    def launching(place: Place) -> bool:
        return place.frame.kind == "runtime" and place.frame.name.startswith(LAUNCHES)

    change = evidence.change(launching, waits=False)
    held = evidence.sum(launching, metrics.HOST.name)
    finding = Finding(
        "blocking-launches",
        "Every kernel launch waits for its kernel",
        "request",
        evidence.gain_ns(change),
        (
            "CUDA_LAUNCH_BLOCKING is set in the environment",
            f"launches hold {human_time_ns(held)} of the host's time in prefill and decode",
        ),
        "Unset CUDA_LAUNCH_BLOCKING: it is for debugging",
        None,
        evidence.heaviest(launching, metrics.HOST.name),
    )
    return Ruling(finding, change)


def waits_in_the_model(evidence: Evidence) -> Ruling | None:
    """`.item()`, `.cpu()` or a branch on a tensor inside a module: the device runs dry at each."""

    def waiting(place: Place) -> bool:
        return place.module is not None and place.frame.kind == "wait"

    def around(place: Place) -> bool:
        reads_back = READ_BACK in place.operators or "aten::_local_scalar_dense" in place.operators
        return place.module is not None and (reads_back or place.frame.kind == "wait")

    count = evidence.sum(_wait_call, metrics.CALLS.name)
    if not evidence.on_device or not count:
        return None
    change = evidence.change(around, host=0.0, device=0.0, waits=False)
    waited = evidence.sum(waiting, metrics.HOST.name)
    finding = Finding(
        "waits-in-the-model",
        "The host waits for the device inside the model",
        "request",
        evidence.gain_ns(change),
        (
            f"{count:,.0f} waits in modules in a request, {human_time_ns(waited)} of the host's time",
            "after each the device has nothing queued until the host launches again",
        ),
        "Keep the value on the device: no .item(), .cpu(), .tolist() or branch on a tensor in forward()",
        tested_by("waits-in-the-model"),
        evidence.heaviest(waiting, metrics.HOST.name),
    )
    return Ruling(finding, change)


def _wait_call(place: Place) -> bool:
    return place.module is not None and place.frame.kind == "runtime" and "Synchronize" in place.frame.name


def wait_for_each_token(evidence: Evidence) -> Ruling | None:
    """The stopping check reads each token back before the next step may begin."""

    def waiting(place: Place) -> bool:
        return place.module is None and place.frame.kind == "wait"

    steps = evidence.wall_ns("decode")
    if not evidence.on_device or not steps or not evidence.sum(waiting, metrics.HOST.name, ("decode",)):
        return None
    change = evidence.change(waiting, waits=False)
    gain = evidence.overlapped_gain_ns(change)
    finding = Finding(
        "wait-for-each-token",
        "The host waits for each token before it prepares the next step",
        "request",
        gain,
        (
            "after each token the device has nothing to do until the next step's first kernels; a host that "
            f"runs ahead would save {human_time_ns(gain)} in a request, {percent(gain / steps)} of decoding",
        ),
        "Check for the end of the text every few tokens, or a step late, so that the next step is queued "
        "while the device still works",
        tested_by("wait-for-each-token"),
        evidence.heaviest(waiting, metrics.HOST.name),
    )
    return Ruling(finding, change, runs_ahead=True)
