"""What a window with operators' inputs did with bytes: copied, converted, moved to a device.

An operator that moves bytes may leave that to others below it: a copy into another dtype on another device
converts first and moves then. The innermost ones count, so that no byte counts twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from llmflame.probes.events import Trace, TraceEvent
from llmflame.probes.work import Tensor, arguments
from llmflame.store.rows import TransferRow

Kind = Literal["copy", "convert", "to device", "from device", "on device"]
_Key = tuple[str, Kind, str, str, bool | None]
_COPY, _JOIN = "aten::copy_", "aten::cat"
"""`clone`, `contiguous`, `repeat`, `to` ... copy by the first, `stack` joins by the second."""
_HOST, _NOWHERE = "cpu", "meta"
_MEMCPY = "Memcpy"


@dataclass(frozen=True, slots=True)
class _Bytes:
    """A tensor's place and size."""

    dtype: str
    place: str
    size: int

    def __str__(self) -> str:
        return f"{self.dtype} {self.place}"


@dataclass(slots=True)
class _Sum:
    calls: int = 0
    source_bytes: int = 0
    target_bytes: int = 0
    wall_ns: int = 0


def transfer_rows(trace: Trace, pass_name: str, span_name: str) -> list[TransferRow]:
    """One row for each part of the phase, kind, source and target, in the order in which they began.

    Times are the host's, as traced; of work on a device, the device's own.
    """
    sums: dict[_Key, _Sum] = {}
    for roots in trace.roots.values():
        for event, part in _moving(trace, roots):
            _count(event, part, sums)
    return [
        TransferRow(
            pass_name,
            span_name,
            part,
            kind,
            source,
            target,
            pinned,
            calls=one.calls,
            source_bytes=one.source_bytes,
            target_bytes=one.target_bytes,
            wall_ns=one.wall_ns,
        )
        for (part, kind, source, target, pinned), one in sums.items()
    ]


def _moving(trace: Trace, roots: list[TraceEvent]) -> Iterator[tuple[TraceEvent, str]]:
    """The operators that move bytes themselves, and a device's copies below none of them; with their part."""
    stack = [(event, "") for event in reversed(roots)]
    while stack:
        event, part = stack.pop()
        if event.end_ns < trace.open_ns or event.start_ns > trace.close_ns or event.is_allocation:
            continue
        if _is_mover(event):
            inner = any(_is_mover(one) for one in _below(event))
            if not inner or event.frame[1] == _JOIN:
                yield event, part
            if not inner:
                continue
        elif event.on_device:
            if event.frame[1].startswith(_MEMCPY):
                yield event, part
        elif event.frame[0] == "other" and event.children and not part:
            part = event.frame[1]
        stack += [(child, part) for child in reversed(event.children)]


def _is_mover(event: TraceEvent) -> bool:
    """Without inputs (torch kept none) its device's copies are counted instead."""
    return event.frame[0] == "op" and event.frame[1] in (_COPY, _JOIN) and bool(event.inputs)


def _below(event: TraceEvent) -> Iterator[TraceEvent]:
    stack = list(event.children)
    while stack:
        below = stack.pop()
        yield below
        stack += below.children


def _count(event: TraceEvent, part: str, sums: dict[_Key, _Sum]) -> None:
    moved = _by_device(event) if event.on_device else _by_operator(event)
    if moved is None:
        return
    source, target = moved
    works = [event] if event.on_device else [one for one in _below(event) if one.on_device]
    key = (part, _kind(source, target), str(source).strip(), str(target).strip(), _pinned(works))
    one = sums.setdefault(key, _Sum())
    one.calls += 1
    one.source_bytes += source.size
    one.target_bytes += target.size
    one.wall_ns += sum(work.end_ns - work.start_ns for work in works) or _own_ns(event)


def _by_operator(event: TraceEvent) -> tuple[_Bytes, _Bytes] | None:
    return _joined(event) if event.frame[1] == _JOIN else _copied(event.inputs)


def _own_ns(event: TraceEvent) -> int:
    """A join's time less that of the conversions below it, which count for themselves."""
    inner = (one for one in _below(event) if _is_mover(one))
    return max(event.end_ns - event.start_ns - sum(one.end_ns - one.start_ns for one in inner), 0)


def _copied(inputs: Sequence[Any]) -> tuple[_Bytes, _Bytes] | None:
    """`copy_(self, source)`."""
    if len(inputs) < 2:
        return None
    target, source = _bytes(inputs[0]), _bytes(inputs[1])
    if target is None or source is None or not target.size or _NOWHERE in (source.place, target.place):
        return None
    return source, target


def _joined(event: TraceEvent) -> tuple[_Bytes, _Bytes] | None:
    """`cat(tensors)`: what it doesn't leave to copies below it, of which those of another dtype make a new
    part that it then joins."""
    given = event.inputs[0]
    parts = [_bytes(part) for part in given] if isinstance(given, list | tuple) else []
    known = [part for part in parts if part is not None]
    inner = [moved for one in _below(event) if _is_mover(one) and (moved := _copied(one.inputs))]
    size = sum(part.size for part in known) - sum(source.size for source, _ in inner)
    if not known or len(known) < len(parts) or size <= 0 or known[0].place == _NOWHERE:
        return None
    dtype = inner[0][1].dtype if inner else known[0].dtype
    whole = _Bytes(dtype, known[0].place, size)
    return whole, whole


def _by_device(work: TraceEvent) -> tuple[_Bytes, _Bytes]:
    """A copy by a device below no operator whose inputs are known: its name says from where to where."""
    size = (work.device.bytes if work.device is not None else None) or 0
    host, device = _Bytes("", _HOST, size), _Bytes("", "device", size)
    return {"HtoD": (host, device), "DtoH": (device, host)}.get(
        work.frame[1].removeprefix(_MEMCPY)[1:5], (device, device)
    )


def _bytes(native: Any) -> _Bytes | None:
    """None for what is no tensor."""
    (tensor,) = arguments([native])
    if not isinstance(tensor, Tensor):
        return None
    # Not by name: torch knows the size of types that are packed or newer than any list of names.
    return _Bytes(tensor.dtype, str(native.device), tensor.elements * int(native.dtype.itemsize))


def _kind(source: _Bytes, target: _Bytes) -> Kind:
    if source.place != target.place:
        if source.place == _HOST:
            return "to device"
        return "from device" if target.place == _HOST else "on device"
    if not source.dtype:
        return "on device"
    return "copy" if source.dtype == target.dtype else "convert"


def _pinned(works: Sequence[TraceEvent]) -> bool | None:
    """What the names of a device's copies say of the host's memory."""
    names = [work.frame[1] for work in works if work.frame[1].startswith(_MEMCPY)]
    if any("Pageable" in name for name in names):
        return False
    return True if any("Pinned" in name for name in names) else None
