"""CUPTI's refusals in words: what stands in the way, and who can take it away. Codes: cupti_result.h."""

from __future__ import annotations

_HOW = {
    7: "another profiler samples in this process, or the device was reset",
    8: "the hardware's buffer of samples is full, or the device has no memory left for one",
    26: "another tool holds the hardware's counters (DCGM, Nsight): stop it",
    27: "this device or driver can't sample program counters",
    33: "a virtual GPU doesn't allow it",
    35: "the driver keeps counters for administrators: run as root, or set the driver's module option "
    "NVreg_RestrictProfilingToAdminUsers=0",
    36: "an older profiling interface is active in this process",
    39: "another profiler (Nsight, ncu, compute-sanitizer, cuda-gdb) is attached to this process: run "
    "without it",
    40: "the host of this virtual GPU doesn't permit profiling: its administrator can",
    41: "confidential computing is on, which forbids it",
    42: "this device is a mining card, which forbids it",
    43: "a part of a GPU (MIG) can't be sampled: use a whole one",
    45: "the Windows subsystem for Linux can't sample",
}


def refusal(code: int, call: str, word: str) -> str:
    """One line: what was refused, why as far as known, and CUPTI's own word."""
    how = _HOW.get(code, "")
    said = f"{call}: {word or 'error'} ({code})"
    return f"stalls can't be sampled: {how} [{said}]" if how else f"stalls can't be sampled: {said}"
