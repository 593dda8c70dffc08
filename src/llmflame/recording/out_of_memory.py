"""When memory runs out: what was asked for and by whom, who held what, whose limit it was, what would fit.

An exception is looked at while it is handled: its frames keep their tensors alive until then. Nothing here
imports torch at its top: memory may run out before torch is there.
"""

from __future__ import annotations

import contextlib
import errno
import math
import mmap
import re
import sys
import traceback
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from llmflame.probes.paths import short_path
from llmflame.recording.fits import Need, fits, fits_loading, in_words
from llmflame.recording.session import Phase, Session
from llmflame.store import categories
from llmflame.store.rows import Space

if TYPE_CHECKING:
    from llmflame.probes.memory.census import Census
    from llmflame.probes.memory.device_refusals import Refusal
    from llmflame.probes.memory.limit_hit import LimitHit
    from llmflame.probes.memory.scene import Scene

RESERVE_BYTES = 64 << 20
"""Address space that is given back to look at what happened: the walk over all objects needs a few MiB."""
ROUNDED = 0.01
"""Relative error of sizes in texts, which have two decimals."""

_DEVICE = re.compile(r"CUDA out of memory|CUDA(?: driver)? error: out of memory|CUBLAS_STATUS_ALLOC_FAILED")
_HOST = re.compile(
    r"DefaultCPUAllocator: (?:can't allocate|not enough) memory"
    r"|Cannot allocate memory|std::bad_alloc|os error 12\b"
)
_EXACT = re.compile(r"(?:tried to allocate|unable to mmap) (\d+) bytes")
_SIZE = re.compile(r"(?:Tried to allocate|Unable to allocate) ([\d.]+) (bytes|[KMGTP]iB)")
_UNITS = {"bytes": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40, "PiB": 1 << 50}


class RanOutOfMemoryError(Exception):
    """Memory ran out and that is recorded. The message is the reason in one line."""


class WatchedSession(Session):
    """A session that knows which phase runs, and can spare some memory where none is left."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.running: str | None = "startup"
        """The phase of the cold start; None when it has ended."""
        self._reserve: mmap.mmap | None = None
        with contextlib.suppress(OSError, AttributeError):
            # Pages that nobody writes to take no memory.
            self._reserve = mmap.mmap(-1, RESERVE_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[Phase]:
        """As the session's. Once the libraries are there, refusals of a device are noted."""
        if self.running == "import":
            watch_device()
        self.running = name
        with super().phase(name) as phase:
            yield phase
        if name != "import":
            self.running = None

    def spend_reserve(self) -> None:
        """Give the reserve back."""
        if self._reserve is not None:
            self._reserve.close()
            self._reserve = None


def watch_device() -> None:
    """Have torch's CUDA allocator tell exact sizes of what it refuses from now on; makes no context."""
    if "torch" in sys.modules:
        from llmflame.probes.memory.device_refusals import device_refusals

        device_refusals()


def requested_bytes(error: BaseException, refusal: Refusal | None = None) -> int | None:
    """What could not be had; None where neither the exception nor the device's allocator says it.

    Exact for torch's CPU allocator, numpy and, with a refusal, CUDA; else as the text has rounded it.
    """
    culprit = _culprit(error)
    if culprit is None:
        return None
    shape, dtype = getattr(culprit, "shape", None), getattr(culprit, "dtype", None)
    item = getattr(dtype, "itemsize", None)
    if isinstance(shape, tuple) and isinstance(item, int):
        return math.prod(shape) * item
    text = str(culprit)
    if exact := _EXACT.search(text):
        return int(exact[1])
    match = _SIZE.search(text)
    said = float(match[1]) * _UNITS[match[2]] if match else None
    if refusal is not None and (said is None or abs(refusal.requested_bytes - said) <= ROUNDED * said):
        return refusal.requested_bytes
    return round(said) if said is not None else None


def note(session: Session, error: BaseException | None, root: Any = None, weights: int = 0) -> str | None:
    """Store who held what when memory ran out. Returns the reason in one line; None for any other exception.

    Call it while the exception is handled. `weights` are the checkpoint's bytes, for a load that has not come
    as far as a model. Raises nothing: the program's exception is the one to be told.
    """
    if error is None or (culprit := _culprit(error)) is None:
        return None
    said = _Said(culprit)
    try:
        if said.space == "host":
            said.limit = _host_limit(said.requested)
        if isinstance(session, WatchedSession):
            session.spend_reserve()
        _look(session, error, root, weights, said)
    except Exception:  # what could be read before it stays said
        with contextlib.suppress(Exception):
            said.store(session)
    return said.reason()


def _culprit(error: BaseException) -> BaseException | None:
    """The exception that says so, along the causes that a traceback would show."""
    return next((one for one in _chain(error) if _says_so(one)), None)


def _chain(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    one: BaseException | None = error
    # Ctrl-C while such an error is handled is Ctrl-C.
    while isinstance(one, Exception) and one not in found:
        found.append(one)
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
    return found


def _says_so(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or "OutOfMemoryError" in (
        kind.__name__ for kind in type(error).__mro__
    ):
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    if isinstance(error, RuntimeError | OSError | ImportError) or type(error).__name__ == "SafetensorError":
        return bool(_DEVICE.search(str(error)) or _HOST.search(str(error)))
    return False


def _on_device(error: BaseException) -> bool:
    return type(error).__name__ == "OutOfMemoryError" or bool(_DEVICE.search(str(error)))


class _Said:
    """What is known so far of a failure; each thing is said as soon as it is known."""

    def __init__(self, error: BaseException) -> None:
        self.kind = type(error).__name__
        self.space = "device" if _on_device(error) else "host"
        self.requested = requested_bytes(error)
        self.where = ""
        self.stack: list[str] = []
        self.limit: LimitHit | None = None
        self.fits = ""

    def reason(self) -> str:
        asked = f"tried to allocate {in_words(self.requested)}" if self.requested else "an allocation failed"
        text = f"out of memory: {self.kind}: {asked}" + (f" in {self.where}" if self.where else "")
        limit = self.limit
        if limit is not None and limit.bytes is not None and limit.used_bytes is not None:
            text += f"; {in_words(limit.used_bytes)} of {in_words(limit.bytes)} were in use ({limit.name})"
            if limit.used_bytes + (self.requested or 0) <= limit.bytes:
                text += " when the exception was handled"
        return text

    def store(self, session: Session) -> None:
        limit = self.limit
        said = {
            "requested_bytes": self.requested,
            "space": self.space,
            "stack": "\n".join(self.stack) or None,
            "limit_bytes": limit.bytes if limit is not None else None,
            "limit_name": limit.name if limit is not None else None,
            "fits": self.fits or None,
        }
        session.sink.subject({f"out_of_memory_{name}": value for name, value in said.items()})


def _look(session: Session, error: BaseException, root: Any, weights: int, said: _Said) -> None:
    running = session.running if isinstance(session, WatchedSession) else None
    said.where = running or ""
    if "torch" not in sys.modules:
        said.stack = _plain_stack(error)
        session.moment(phase=running or "request", step=None, when="failure")
        said.store(session)
        session.flush()
        return
    from llmflame.probes.memory.scene import read_scene

    scene = read_scene(_chain(error), root)
    said.stack, said.where = scene.stack(), scene.module or said.where
    refusal = _limit_of_device(session, error, said) if said.space == "device" else None
    moment = session.moment(phase=running or scene.phase or "request", step=scene.step, when="failure")
    census = _census(session, scene, refusal)
    session.held(moment, census.held, census.readings)
    said.fits = _fits(said, scene, census, weights, loading=running == "load")
    said.store(session)
    session.flush()


def _host_limit(requested: int | None) -> LimitHit | None:
    try:
        from llmflame.probes.memory.limit_hit import host_limit

        return host_limit(requested)
    except (MemoryError, OSError):
        return None


def _plain_stack(error: BaseException) -> list[str]:
    frames = (frame for one in _chain(error) for frame, _ in traceback.walk_tb(one.__traceback__))
    return [f"{f.f_code.co_name} ({short_path(f.f_code.co_filename)}:{f.f_lineno})" for f in frames][-40:]


def _limit_of_device(session: Session, error: BaseException, said: _Said) -> Refusal | None:
    from llmflame.probes.memory.device_refusals import device_refusals
    from llmflame.probes.memory.limit_hit import device_limit

    refusal = device_refusals().last
    said.requested = requested_bytes(error, refusal)
    if refusal is not None and said.requested != refusal.requested_bytes:
        refusal = None  # of an earlier failure, which the program survived
    said.limit = device_limit(_device_index(session, refusal), refusal)
    return refusal


def _device_index(session: Session, refusal: Refusal | None) -> int:
    if refusal is not None:
        return refusal.device
    digits = session.device_name.rpartition(":")[2]
    return int(digits) if digits.isdecimal() else 0


def _census(session: Session, scene: Scene, refusal: Refusal | None) -> Census:
    from llmflame.probes.memory.failure import census_at_failure

    device = f"cuda:{refusal.device}" if refusal is not None else session.device_name
    return census_at_failure(scene, device, session.heap, refusal)


def _fits(said: _Said, scene: Scene, census: Census, weights: int, *, loading: bool) -> str:
    space: Space = "device" if said.space == "device" else "host"
    limit = said.limit
    if limit is None or limit.bytes is None or limit.used_bytes is None:
        return fits(Need(None, 0, said.requested or 0, 0))
    if loading:
        # Parameters that aren't loaded yet have a size too, on the meta device.
        parameters = list(scene.root.parameters()) if scene.root is not None else []
        whole = sum(one.numel() * one.element_size() for one in parameters) or weights
        dtype = str(parameters[0].dtype).removeprefix("torch.") if parameters else None
        held = census.total(space, categories.WEIGHTS)
        return fits_loading(whole, dtype, limit.bytes - limit.used_bytes + held)
    scaling = (categories.KV_CACHE, categories.ACTIVATIONS, categories.TEMPORARIES)
    growing = census.total(space, *scaling) + limit.released_bytes
    need = Need(limit.bytes, limit.used_bytes, said.requested or 0, growing, scene.batch_size, scene.tokens)
    return fits(need)
