"""NVIDIA: CUPTI's PC Sampling API in the context that torch uses.

Continuous mode samples while kernels run as they would, and can't tell launches of one function apart;
serialised mode runs each kernel alone, waits for it, and tells launches apart by a correlation id.
Sequence and structures: cupti_pcsampling.h.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any

from llmflame.errors import StallsRefusedError
from llmflame.probes.stalls import cupti_layout as layout
from llmflame.probes.stalls.cupti_library import Cupti
from llmflame.probes.stalls.sampler import StallCounts

READ_PCS = 5_000
"""Instructions taken over by one call."""
FLUSHED_PCS = 100_000
"""Instructions that CUPTI hands over by itself in serialised mode, anew for each launch. Once they are more,
it adds up what follows as if it were one launch: seen on an H200 from the 269th of a step on, with room for
5,000. A step of 700 launches has some 25,000; they take 37 MB."""
SCRATCH_BYTES = 32 << 20
"""CUPTI's buffer of parsed samples: its default of 1 MiB holds 5,500 instructions."""
PREFIX = "smsp__pcsamp_warps_issue_stalled_"


class CuptiSampler:
    """A `StallSampler` of the current CUDA context. Raises StallsRefusedError where CUPTI won't."""

    def __init__(
        self, cupti: Cupti, context: int, *, serialized: bool = False, period_exponent: int | None = None
    ) -> None:
        self._cupti = cupti
        self._context = context
        self._open = False
        self._counts = StallCounts()
        self._functions: dict[int, str] = {}
        self._call("cuptiPCSamplingEnable", layout.OfContext)
        self._open = True
        try:
            self._names = self._read_reasons()
            self.reasons = tuple(self._names.values())
            flushed = FLUSHED_PCS if serialized else READ_PCS
            self._flushed = _Buffer(flushed, len(self._names))
            self._taken = _Buffer(READ_PCS, len(self._names))
            self._configure(serialized=serialized, period_exponent=period_exponent)
        except BaseException:
            self.close()
            raise
        self.description = self._describe(serialized=serialized)

    def start(self) -> None:
        """Begin a range. The device must be idle."""
        self._counts = StallCounts()
        self._call("cuptiPCSamplingStart", layout.OfContext)

    def drain(self) -> None:
        """Take over what CUPTI has parsed by now."""
        self._take()

    def stop(self) -> StallCounts:
        """End the range. The device must be idle."""
        self._call("cuptiPCSamplingStop", layout.OfContext)
        self._take()
        counts, self._counts = self._counts, StallCounts()
        return counts

    def close(self) -> None:
        """Disable sampling. What CUPTI says to that is of no use any more."""
        if self._open:
            self._open = False
            params = layout.sized(layout.OfContext, context=self._context)
            self._cupti.try_call("cuptiPCSamplingDisable", ctypes.byref(params))

    def _call(self, name: str, structure: type[ctypes.Structure], **fields: Any) -> Any:
        params = layout.sized(structure, context=self._context, **fields)
        self._cupti.call(name, ctypes.byref(params))
        return params

    def _read_reasons(self) -> dict[int, str]:
        count = ctypes.c_size_t()
        self._call("cuptiPCSamplingGetNumStallReasons", layout.ReasonCount, count=ctypes.pointer(count))
        number = count.value
        indices = (ctypes.c_uint32 * number)()
        texts = [ctypes.create_string_buffer(layout.REASON_NAME_BYTES) for _ in range(number)]
        places = (ctypes.c_char_p * number)(*(ctypes.cast(text, ctypes.c_char_p) for text in texts))
        self._call(
            "cuptiPCSamplingGetStallReasons",
            layout.Reasons,
            count=number,
            indices=ctypes.cast(indices, ctypes.POINTER(ctypes.c_uint32)),
            names=ctypes.cast(places, ctypes.POINTER(ctypes.c_char_p)),
        )
        names = {i: text.value.decode(errors="replace") for i, text in zip(indices, texts, strict=True)}
        return {i: name.removeprefix(PREFIX) for i, name in names.items() if name.startswith(PREFIX)}

    def _configure(self, *, serialized: bool, period_exponent: int | None) -> None:
        indices = (ctypes.c_uint32 * len(self._names))(*self._names)
        mode = layout.SERIALIZED if serialized else layout.CONTINUOUS
        attributes = [
            _attribute(layout.COLLECTION_MODE, number=mode),
            _attribute(layout.START_STOP, number=1),
            _attribute(layout.SCRATCH_BUFFER, size=SCRATCH_BYTES),
            _attribute(layout.OUTPUT_FORMAT, number=layout.PARSED),
            _attribute(layout.DATA_BUFFER, buffer=self._flushed.address),
        ]
        if period_exponent is not None:
            attributes.append(_attribute(layout.SAMPLING_PERIOD, number=period_exponent))
        chosen = _attribute(layout.STALL_REASON)
        chosen.value.reasons.count = len(self._names)
        chosen.value.reasons.indices = ctypes.cast(indices, ctypes.POINTER(ctypes.c_uint32))
        attributes.append(chosen)
        self._attributes("cuptiPCSamplingSetConfigurationAttribute", attributes)

    def _attributes(self, name: str, attributes: list[layout.Attribute]) -> list[layout.Attribute]:
        array = (layout.Attribute * len(attributes))(*attributes)
        self._call(
            name,
            layout.Configuration,
            count=len(attributes),
            attributes=ctypes.cast(array, ctypes.POINTER(layout.Attribute)),
        )
        return list(array)

    def _describe(self, *, serialized: bool) -> dict[str, str]:
        asked = [_attribute(layout.SAMPLING_PERIOD), _attribute(layout.HARDWARE_BUFFER)]
        period, buffer = self._attributes("cuptiPCSamplingGetConfigurationAttribute", asked)
        return {
            "source": f"CUPTI {self._cupti.version}",
            "mode": "serialised" if serialized else "continuous",
            "period_cycles": str(2**period.value.number),
            "buffer_bytes": str(buffer.value.size),
        }

    def _take(self) -> None:
        """CUPTI flushes by itself into the buffer that it was configured with; what is left is asked for."""
        self._add(self._flushed.data)
        self._flushed.empty()
        params = layout.sized(layout.GetData, context=self._context, data=self._taken.address)
        while True:
            self._taken.empty()
            code = self._cupti.try_call("cuptiPCSamplingGetData", ctypes.byref(params))
            data = self._taken.data
            self._add(data)
            if code == OUT_OF_MEMORY and data.buffer_full:
                return
            if code:
                raise StallsRefusedError(f"samples can't be read [cuptiPCSamplingGetData: {code}]")
            if not data.remaining_pcs:
                return

    def _add(self, data: layout.SamplingData) -> None:
        counts, names = self._counts, self._names
        counts.total += data.total_samples
        counts.dropped += data.dropped_samples
        counts.hidden += data.hidden_samples
        counts.buffer_full |= bool(data.buffer_full)
        for pc in data.pc_data[: data.pcs]:
            function, crc = self._function(pc.function_name), f"{pc.cubin_crc:016x}"
            for reason in pc.reasons[: pc.reason_count]:
                name = names.get(reason.index)
                if reason.samples and name is not None:
                    counts.samples[function, crc, pc.correlation_id, pc.pc_offset, name] += reason.samples

    def _function(self, address: int | None) -> str:
        """CUPTI hands these strings over, but many records share one: who frees one of them frees all."""
        if not address:
            return ""
        name = self._functions.get(address)
        if name is None:
            name = self._functions[address] = ctypes.string_at(address).decode(errors="replace")
        return name


class _Buffer:
    """Room for so many instructions with every reason each."""

    def __init__(self, size: int, reasons: int) -> None:
        self._pcs = (layout.PcData * size)()
        self._reasons = (layout.StallReason * (size * reasons))()
        begin, stride = ctypes.addressof(self._reasons), ctypes.sizeof(layout.StallReason) * reasons
        for number, pc in enumerate(self._pcs):
            pc.size = ctypes.sizeof(layout.PcData)
            pc.reasons = ctypes.cast(begin + number * stride, ctypes.POINTER(layout.StallReason))
        self.data = layout.SamplingData()
        self.data.size, self.data.wanted_pcs = ctypes.sizeof(layout.SamplingData), size
        self.data.pc_data = ctypes.cast(self._pcs, ctypes.POINTER(layout.PcData))
        self.address = ctypes.addressof(self.data)

    def empty(self) -> None:
        """Forget what was read."""
        data = self.data
        data.pcs = data.remaining_pcs = data.total_samples = data.dropped_samples = data.hidden_samples = 0
        data.buffer_full = 0


OUT_OF_MEMORY = 8
"""CUPTI_ERROR_OUT_OF_MEMORY."""


def _attribute(kind: int, **value: int) -> layout.Attribute:
    attribute = layout.Attribute()
    attribute.kind = kind
    for name, given in value.items():
        setattr(attribute.value, name, given)
    return attribute


def current_context() -> int:
    """The CUDA context of this thread, as the driver numbers it. Raises StallsRefusedError where none is."""
    try:
        driver = ctypes.CDLL("libcuda.so.1", mode=os.RTLD_NOLOAD | os.RTLD_NOW)
    except OSError as error:
        raise StallsRefusedError("no CUDA driver is in use in this process") from error
    context = ctypes.c_void_p()
    code = driver.cuCtxGetCurrent(ctypes.byref(context))
    if code or not context.value:
        raise StallsRefusedError("this thread has no CUDA context yet")
    return context.value
