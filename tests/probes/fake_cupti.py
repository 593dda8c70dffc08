"""A libcupti for tests: keeps what it is told and hands out samples as the real one was seen to do."""

from __future__ import annotations

import ctypes
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llmflame.probes.stalls import cupti_layout as layout
from llmflame.probes.stalls.cupti_sampler import PREFIX

REASONS = {
    3: f"{PREFIX}long_scoreboard",
    4: f"{PREFIX}long_scoreboard_not_issued",
    7: f"{PREFIX}selected",
    9: "smsp__pcsamp_sample_count",
}
"""Numbers with gaps, and a counter that is no reason."""
VERSION = 130_001


@dataclass(frozen=True)
class Sampled:
    """An instruction with its samples by number of reason."""

    function: str
    pc: int
    samples: dict[int, int]
    crc: int = 0xABC
    correlation: int = 0


class FakeCupti:
    """Functions by their names, as ctypes finds them in a library; structures are read through pointers."""

    def __init__(self) -> None:
        self.version = VERSION
        self.calls: Counter[str] = Counter()
        self.codes: dict[str, int] = {}
        """What a function answers instead of success."""
        self.mode: int | None = None
        self.period = 11
        self.flushed: Sequence[Sampled] = ()
        """What a range's end leaves in the buffer of the configuration."""
        self.batches: list[Sequence[Sampled]] = []
        """What each call of GetData hands over."""
        self.totals = (0, 0, 0)
        """Of the last batch: all samples, dropped ones, hidden ones."""
        self.full = False
        self.callback: Any = None
        self._buffer: Any = None
        self._names: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("cupti"):
            raise AttributeError(name)

        def function(*arguments: Any) -> int:
            self.calls[name] += 1
            code = self.codes.get(name, 0)
            if not code:
                code = (
                    getattr(self, f"_{name}", lambda *_: 0)(*(getattr(a, "_obj", a) for a in arguments)) or 0
                )
            return code

        return function

    def _cuptiGetVersion(self, version: Any) -> None:
        version.value = self.version

    def _cuptiGetResultString(self, _code: int, text: Any) -> None:
        text.value = b"CUPTI_ERROR_SOMETHING"

    def _cuptiPCSamplingGetNumStallReasons(self, params: Any) -> None:
        params.count[0] = len(REASONS)

    def _cuptiPCSamplingGetStallReasons(self, params: Any) -> None:
        for place, (index, name) in enumerate(REASONS.items()):
            params.indices[place] = index
            address = ctypes.cast(params.names, ctypes.POINTER(ctypes.c_void_p))[place]
            ctypes.memmove(address, name.encode() + b"\0", len(name) + 1)

    def _cuptiPCSamplingSetConfigurationAttribute(self, params: Any) -> None:
        for attribute in params.attributes[: params.count]:
            if attribute.kind == layout.COLLECTION_MODE:
                self.mode = attribute.value.number
            elif attribute.kind == layout.SAMPLING_PERIOD:
                self.period = attribute.value.number
            elif attribute.kind == layout.DATA_BUFFER:
                self._buffer = layout.SamplingData.from_address(attribute.value.buffer)
            elif attribute.kind == layout.STALL_REASON:
                count = attribute.value.reasons.count
                self.chosen = list(attribute.value.reasons.indices[:count])

    def _cuptiPCSamplingGetConfigurationAttribute(self, params: Any) -> None:
        params.attributes[0].value.number = self.period
        params.attributes[1].value.size = 512 << 20

    def _cuptiPCSamplingStop(self, _params: Any) -> None:
        self._fill(self._buffer, self.flushed, last=False)
        self.flushed = ()

    def _cuptiPCSamplingGetData(self, params: Any) -> int:
        data = layout.SamplingData.from_address(params.data)
        batch = self.batches.pop(0) if self.batches else ()
        self._fill(data, batch, last=not self.batches)
        data.buffer_full = int(self.full)
        data.remaining_pcs = sum(map(len, self.batches))
        return 8 if self.full else 0

    def _cuptiRegisterComputeCrcCallback(self, callback: Any) -> None:
        self.callback = callback

    def _cuptiGetCubinCrc(self, params: Any) -> None:
        params.crc = zlib.adler32(ctypes.string_at(params.cubin, params.cubin_bytes))

    def load(self, binary: bytes) -> int:
        """What the driver does when a module is loaded; returns the checksum."""
        buffer, checksum = ctypes.create_string_buffer(binary, len(binary)), ctypes.c_uint64()
        self.callback(ctypes.addressof(buffer), len(binary), ctypes.byref(checksum))
        return checksum.value

    def _fill(self, data: Any, batch: Sequence[Sampled], *, last: bool) -> None:
        data.pcs = len(batch)
        if last:
            data.total_samples, data.dropped_samples, data.hidden_samples = self.totals
            self.totals = (0, 0, 0)
        for pc, sampled in zip(data.pc_data[: len(batch)], batch, strict=True):
            # One string for all records of a function, as CUPTI does it: freeing one would free all.
            text = self._names.setdefault(
                sampled.function, ctypes.create_string_buffer(sampled.function.encode())
            )
            pc.function_name = ctypes.addressof(text)
            pc.cubin_crc, pc.pc_offset, pc.correlation_id = sampled.crc, sampled.pc, sampled.correlation
            pc.reason_count = len(sampled.samples)
            for place, (index, number) in enumerate(sampled.samples.items()):
                pc.reasons[place].index, pc.reasons[place].samples = index, number
