"""The device's machine code: caught as the driver loads it, so that a sampled instruction can be named.

CUPTI asks whoever registers for the checksum of each binary that is loaded, and hands it over for that: no
subscription is needed, and libraries such as cuBLAS, whose binaries lie in no file of their own, are seen
too.
"""

from __future__ import annotations

import ctypes
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

from llmflame.probes.stalls import cupti_layout as layout
from llmflame.probes.stalls.cupti_library import Cupti

_CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_size_t, ctypes.POINTER(ctypes.c_uint64))


class Binaries:
    """Finds the binary of a function. With `folder` all that is loaded from now on is kept there, by its
    checksum: once a process, CUPTI knows no way back."""

    def __init__(self, cupti: Cupti, folder: Path | None = None) -> None:
        self.cupti = cupti
        self._folder = folder
        self.caught = 0
        self.bytes = 0
        self._callback = _CALLBACK(self._loaded)  # CUPTI keeps the address alone
        if folder is not None:
            cupti.call("cuptiRegisterComputeCrcCallback", self._callback)

    def _loaded(self, address: int, size: int, checksum: ctypes._Pointer[ctypes.c_uint64]) -> None:
        """Called by CUPTI within the load: nothing may be raised through it."""
        try:
            content = ctypes.string_at(address, size)
            checksum[0] = zlib.crc32(content)
            assert self._folder is not None
            (self._folder / f"{checksum[0]:016x}").write_bytes(content)
        except OSError:
            return  # without its file an instruction stays without a name
        self.caught += 1
        self.bytes += size

    def find(self, function: str, checksum: str) -> Path | None:
        """The binary that a function was sampled in."""
        if self._folder is not None and (self._folder / checksum).is_file():
            return self._folder / checksum
        return next(compiled_files(self.cupti, function, checksum), None)


def compiled_files(cupti: Cupti, function: str, checksum: str) -> Iterator[Path]:
    """What Triton (and with it torch.compile) has compiled and keeps: files named after their function."""
    for folder in (os.environ.get("TRITON_CACHE_DIR"), Path.home() / ".triton" / "cache"):
        if folder is not None and Path(folder).is_dir():
            for file in Path(folder).glob(f"*/{function}.cubin"):
                if checksum_of(cupti, file.read_bytes()) == checksum:
                    yield file


def checksum_of(cupti: Cupti, content: bytes) -> str:
    """CUPTI's own checksum of a binary, for those that were loaded before anybody registered."""
    buffer = ctypes.create_string_buffer(content, len(content))
    params = layout.sized(layout.CubinChecksum, cubin_bytes=len(content), cubin=ctypes.addressof(buffer))
    cupti.call("cuptiGetCubinCrc", ctypes.byref(params))
    return f"{params.crc:016x}"
