"""The names of the ceilings and their units."""

from __future__ import annotations

SECTION = "ceilings"
BYTES_PER_S = "bytes/s"
FLOP_PER_S = "FLOP/s"

UNITS: dict[str, str | None] = {
    "measured at": None,
    "measured device": None,
    "measured threads": "threads",
    "host copy": BYTES_PER_S,
    "host read": BYTES_PER_S,
    "disk read": BYTES_PER_S,
    "host matmul float32": FLOP_PER_S,
    "host matmul bfloat16": FLOP_PER_S,
    "host matmul float16": FLOP_PER_S,
    "device copy": BYTES_PER_S,
    "device read": BYTES_PER_S,
    "host to device pageable": BYTES_PER_S,
    "host to device pinned": BYTES_PER_S,
    "device to host pinned": BYTES_PER_S,
    "device matmul float32": FLOP_PER_S,
    "device matmul tfloat32": FLOP_PER_S,
    "device matmul bfloat16": FLOP_PER_S,
    "device matmul float16": FLOP_PER_S,
    "device matmul float8_e4m3fn": FLOP_PER_S,
    "device matmul int8": FLOP_PER_S,
    "launch latency": "ns",
    "kernel latency": "ns",
}
"""What a ceiling is called and its unit. A copy counts the bytes read and those written; a product of two
n x n matrices is 2 n^3 operations, of integers too."""
