"""One dataclass a table: its fields are the table's columns, in order. Times are nanoseconds.

`start_ns` counts from the run's start on the machine's monotonic clock. None means not known here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

Status = Literal["recording", "complete", "partial", "failed"]
PassName = Literal["clean", "memory", "anatomy", "allocations", "stalls"]
Treatment = Literal["clean", "sampled", "anchored", "traced", "counted"]
"""What was attached while a span ran: nothing but two hooks, the sampler, module hooks, torch's tracer;
`counted` where memory was counted between steps or each allocation was followed: such times are never
shown."""
STALL_MODES = ("continuous", "exact")
"""How program counters are sampled: while kernels run as they would, or one launch at a time."""
IMPORTED = "imported"
"""The phase that holds all of a profile which was made from another tool's file."""
Space = Literal["host", "device"]
"""Where bytes are: the process' resident set, or a device's memory."""


@dataclass(frozen=True, slots=True)
class PassRow:
    """One run over the workload in one process, with its instruments."""

    table: ClassVar[str] = "pass"
    name: str
    status: Status
    reason: str | None
    pid: int | None
    start_ns: int | None
    wall_ns: int | None
    peak_rss_bytes: int | None


@dataclass(frozen=True, slots=True)
class ProbeReportRow:
    """What a probe says about itself: its cost, its losses, its rate, its calibration."""

    table: ClassVar[str] = "probe_report"
    pass_name: str
    probe: str
    name: str
    value: float | None
    unit: str


@dataclass(frozen=True, slots=True)
class SpanRow:
    """A phase, a part of one, or a decode step, with the counters read at its edges."""

    table: ClassVar[str] = "span"
    pass_name: str
    id: int
    parent: int | None
    name: str
    """`startup`, `import`, `load`, `warmup`, `request`; in a request `tokenize`, `prepare`, `prefill`,
    `decode`, `detokenize`; `step` in decode; `imported`; free names for parts of load."""
    repetition: int | None
    step: int | None
    """Index of the forward call in its request: 0 is prefill."""
    treatment: Treatment
    start_ns: int
    wall_ns: int
    tokens: int | None
    """Query tokens that the span's forward calls were given, over the whole batch."""
    kv_tokens: int | None
    """Length of the key/value cache before the span, per sequence."""
    thread_cpu_ns: int | None
    process_cpu_ns: int | None
    run_queue_ns: int | None
    """Time in which the main thread could run but had no CPU."""
    disk_wait_ns: int | None
    """Time in which the main thread, or a worker that it had given work to, slept on storage (sampled)."""
    minor_faults: int | None
    major_faults: int | None
    read_bytes: int | None
    """Bytes that the process made the storage layer fetch."""
    rss_bytes: int | None
    """Resident set at the span's end."""
    rss_file_bytes: int | None
    peak_rss_bytes: int | None
    device_bytes: int | None
    device_peak_bytes: int | None


@dataclass(frozen=True, slots=True)
class WindowRow:
    """A stretch in which frames were observed; its cells hang below it."""

    table: ClassVar[str] = "window"
    pass_name: str
    id: int
    kind: Literal["sampled", "traced", "shapes", "allocations", "stalls"]
    """By the sampler, by the tracer, by the tracer with the operators' shapes (for work, not for time), by
    following each allocation of the process (for bytes, not for time), or by sampling the device's program
    counters (`stalls`: no step where launches are not told apart, one where they are)."""
    span_name: str
    step: int | None
    wall_ns: int
    """As observed, with the instruments attached."""
    samples: int | None
    events: int | None
    dropped: int | None

    @property
    def label(self) -> str:
        """Its phase, with the step where it is one."""
        return self.span_name if self.step is None else f"{self.span_name} step {self.step}"


def slices_left_out(row: WindowRow) -> str:
    """What the tracer's report is called that says how many slices of a window were too many to be kept."""
    return f"slices left out of {row.label}"


def thread_slices_left_out(row: WindowRow) -> str:
    """The same of the threads whose slices stand beside the main thread's."""
    return f"slices of threads left out of {row.label}"


class CellRow(NamedTuple):
    """One number at one node in one window, as observed: scaling is the analysis' work.

    A plain tuple: a profile has a hundred thousand of them.
    """

    window: int
    node: int
    metric: int
    value: float


class SliceRow(NamedTuple):
    """What the main thread of a traced window did from one instant to the next slice's start.

    A window's slices cover it without a gap. Where no device worked in it they may be too many to be kept,
    and files of older releases have none there.
    """

    window: int
    number: int
    node: int
    start_ns: int
    """Since the window opened."""


MAIN_THREAD = 0
"""A sampled window's main thread among its threads. A traced window's has slices of its own."""


class ThreadRow(NamedTuple):
    """A thread of the host that was seen in a window, beside what `slice` tells of the main one."""

    window: int
    number: int
    """`MAIN_THREAD`, or from 1 on."""
    name: str | None
    """As the program named it; None where it had ended before it was asked."""
    native_id: int | None
    """The system's number of it."""


class ThreadSliceRow(NamedTuple):
    """A stretch of a thread's time in one frame. Between two such nothing is known of it: it had no work, or
    was in no Python code. They are beside the window's wall time, never part of it."""

    window: int
    thread: int
    number: int
    node: int
    start_ns: int
    """Since the window opened, as `end_ns`."""
    end_ns: int


class DeviceWorkRow(NamedTuple):
    """A kernel, copy or fill that a window launched, on the device's clock as the tracer aligned it."""

    window: int
    number: int
    node: int
    stream: int
    launched_ns: int | None
    """When the call that launched it began, since the window opened; None where no call is known."""
    start_ns: int
    end_ns: int
    bytes: int | None
    """Of a copy or fill."""


@dataclass(frozen=True, slots=True)
class AnchorRow:
    """What one `nn.Module` instance took in one step under module hooks alone, children apart."""

    table: ClassVar[str] = "anchor"
    pass_name: str
    repetition: int
    step: int
    module: str
    calls: int
    child_calls: int
    """Calls of other modules from within: each adds the hooks' own cost to `wall_ns`."""
    wall_ns: int
    cpu_ns: int


@dataclass(frozen=True, slots=True)
class GaugeRow:
    """One reading of a quantity over time."""

    table: ClassVar[str] = "gauge"
    pass_name: str
    name: str
    time_ns: int
    value: float


@dataclass(frozen=True, slots=True)
class MomentRow:
    """An instant at which somebody asked who holds the memory."""

    table: ClassVar[str] = "moment"
    pass_name: str
    id: int
    phase: str
    step: int | None
    when: Literal["begin", "end", "peak", "failure"]
    """Of its phase or step; `peak` is when most bytes were held in a window, relative to when it opened;
    `failure` when memory ran out."""
    time_ns: int
    window: int | None
    """Of a peak: the window whose cells say what was allocated in it and is held."""


@dataclass(frozen=True, slots=True)
class HoldingRow:
    """Bytes that are held at a moment: by whom, and as what. At a `peak`, how many more than when its window
    opened; less than 0 for what was given back since."""

    table: ClassVar[str] = "holding"
    pass_name: str
    moment: int
    space: Space
    category: str
    """One of `store/categories.py`."""
    owner: str
    """The path of an `nn.Module` instance or of a place in the cache, or in words; empty where unknown."""
    bytes: int
    blocks: int


@dataclass(frozen=True, slots=True)
class ReadingRow:
    """What the system or an allocator says at a moment, as a whole: what holdings must add up to."""

    table: ClassVar[str] = "reading"
    pass_name: str
    moment: int
    name: str
    value: int


@dataclass(frozen=True, slots=True)
class TransferRow:
    """What loading did with bytes: copied, converted, moved to a device. One row a kind."""

    table: ClassVar[str] = "transfer"
    pass_name: str
    span_name: str
    part: str
    """The marked part of the phase that it happened in, or empty."""
    kind: Literal["copy", "convert", "to device", "from device", "on device"]
    source: str
    """dtype and place, e.g. `bfloat16 cpu`."""
    target: str
    pinned: bool | None
    """Of a transfer between host and device: was the host's memory page-locked? None where unknown."""
    calls: int
    source_bytes: int
    target_bytes: int
    wall_ns: int
    """As traced."""


@dataclass(frozen=True, slots=True)
class PredictionRow:
    """What was computed from the model's configuration alone, before or beside a measurement."""

    table: ClassVar[str] = "prediction"
    phase: str
    space: Space
    category: str
    bytes: int
    formula: str
    """Where the number comes from, in words."""


@dataclass(frozen=True, slots=True)
class StallKernelRow:
    """A function of the device in which program counters were sampled."""

    table: ClassVar[str] = "stall_kernel"
    pass_name: str
    id: int
    name: str
    """As the tracer names its launches."""
    function: str
    """As the compiler named it."""
    binary: str
    """Checksum of the binary that it is in, in hexadecimal."""


@dataclass(frozen=True, slots=True)
class StallRow:
    """Samples of a function's warps that gave one reason for not issuing an instruction in a range."""

    table: ClassVar[str] = "stall"
    pass_name: str
    window: int
    kernel: int
    launch: int
    """Which launch of the range, from 1; 0 where launches are not told apart."""
    pc: int | None
    """Offset of the instruction in the function, in bytes; None for all those with too few samples to be
    kept apart."""
    reason: str
    """As the vendor names it, without its prefix."""
    samples: int
    not_issued: int
    """Those in which the scheduler issued no other warp's instruction either: time lost."""


@dataclass(frozen=True, slots=True)
class InstructionRow:
    """An instruction that was sampled, where its binary could be read."""

    table: ClassVar[str] = "instruction"
    pass_name: str
    kernel: int
    pc: int
    text: str
    """Opcode with modifiers, as the disassembler writes it; empty where only the line is known."""
    file: str | None
    line: int | None


Row = (
    PassRow
    | ProbeReportRow
    | SpanRow
    | WindowRow
    | AnchorRow
    | GaugeRow
    | MomentRow
    | HoldingRow
    | ReadingRow
    | TransferRow
    | PredictionRow
    | StallKernelRow
    | StallRow
    | InstructionRow
)
STREAMED = (
    PassRow,
    ProbeReportRow,
    SpanRow,
    WindowRow,
    AnchorRow,
    GaugeRow,
    MomentRow,
    HoldingRow,
    ReadingRow,
    TransferRow,
    PredictionRow,
    StallKernelRow,
    StallRow,
    InstructionRow,
)
"""The rows that a recording process may send; cells and nodes travel inside a tree."""
