"""What the machine of a profile can reach: as measured there, and as its maker publishes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from llmflame.analysis.published import published_for
from llmflame.store.model import Fact
from llmflame.store.profile import Profile

SECTION = "ceilings"
CUDA = "cuda"


@dataclass(frozen=True, slots=True)
class Rates:
    """None for what isn't known."""

    bytes_per_s: float | None
    """Memory bandwidth: the faster of copying (read + written) and reading."""
    flop_per_s: float | None
    """Dense matrix products in the model's dtype."""


@dataclass(frozen=True, slots=True)
class Ceilings:
    """The limits of the device that the model ran on."""

    measured: Rates
    published: Rates
    device: str
    """Whose published figures these are, or the device's own name."""
    dtype: str | None

    @property
    def best(self) -> Rates:
        """What was measured, else what is published."""
        return Rates(
            self.measured.bytes_per_s or self.published.bytes_per_s,
            self.measured.flop_per_s or self.published.flop_per_s,
        )


def ceilings(profile: Profile, dtype: str | None = None) -> Ceilings:
    """The ceilings of the device that a profile's model ran on, for its dtype or another."""
    return ceilings_of(profile.machine, profile.subject, dtype)


def ceilings_of(machine: Iterable[Fact], subject: Mapping[str, Any], dtype: str | None = None) -> Ceilings:
    """The same from what a profile, or who is about to write one, knows of machine and subject."""
    known = {(fact.section, fact.name): fact.value for fact in machine}
    device, own = str(subject.get("device") or "cpu"), subject.get("dtype")
    dtype = dtype or (str(own) if own is not None else None)
    if dtype == "float32" and subject.get("tf32"):
        dtype = "tfloat32"
    on_cuda = device.startswith(CUDA)
    if on_cuda:
        # The driver's numbers needn't be torch's: the name is the model's device's own, where it was noted.
        _, _, index = device.partition(":")
        name = subject.get("device_name") or known.get((f"gpu {index or 0}", "name")) or device
    else:
        name = known.get(("cpu", "model")) or "cpu"
    found = published_for(str(name))
    published = Rates(None, None)
    if found is not None:
        published = Rates(found.memory_bytes_per_s, found.flop_per_s(dtype or ""))
    where = "device" if on_cuda else "host"
    section = _section(known, str(name)) if on_cuda else SECTION
    return Ceilings(_measured(known, section, where, dtype), published, str(name), dtype)


def _section(known: Mapping[tuple[str, str], object], device: str) -> str | None:
    """Where the measured ceilings of a device are: several models of GPUs have a section each."""
    for (section, name), value in known.items():
        if section.startswith(SECTION) and name == "measured device" and value == device:
            return section
    # Nobody said whose they are: the only ones that there are.
    return None if (SECTION, "measured device") in known else SECTION


def _measured(
    known: Mapping[tuple[str, str], object], section: str | None, where: str, dtype: str | None
) -> Rates:
    def rate(name: str) -> float | None:
        value = known.get((section or "", f"{where} {name}"))
        sound = isinstance(value, int | float) and math.isfinite(value) and value > 0
        return float(value) if sound else None  # type: ignore[arg-type]

    bandwidths = [value for value in (rate("copy"), rate("read")) if value is not None]
    return Rates(max(bandwidths, default=None), rate(f"matmul {dtype}"))
