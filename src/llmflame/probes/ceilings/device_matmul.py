"""How fast a CUDA device multiplies square matrices of random numbers, by element type.

Random numbers matter: a product of zeros switches fewer transistors, so that the device clocks higher.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from llmflame.probes.ceilings.device_timing import device_timed
from llmflame.probes.ceilings.outcome import NotMeasured, Outcome
from llmflame.probes.ceilings.precision import float32_precision
from llmflame.probes.ceilings.sizes import DEVICE_SHARE, MIB, Sizes
from llmflame.probes.ceilings.timing import per_second, timed

Product = Callable[[], object]
LEAST_SIDE = 256
TRIAL_SIDE = 2048
LONGEST_S = 0.1
"""One product of the side that is timed takes at most this long: a slow type gets a smaller side."""
WIDEST_BYTES = 4
OPERANDS_AND_SCRATCH = 5
"""Two operands, the product, and while they are made, two matrices of wider numbers."""
FIRST_WITH_TENSORFLOAT32 = (8, 0)


def float32(sizes: Sizes) -> Outcome:
    """float32 throughout, without TensorFloat-32."""
    with float32_precision("highest"):
        return _measured("torch.mm", _floats(torch.float32), sizes)


def tfloat32(sizes: Sizes) -> Outcome:
    """float32 operands, multiplied as TensorFloat-32."""
    if torch.version.hip is not None:
        raise NotMeasured("TensorFloat-32 is measured on CUDA alone, not on ROCm")
    if torch.cuda.get_device_capability() < FIRST_WITH_TENSORFLOAT32:
        raise NotMeasured("this device has no TensorFloat-32")
    with float32_precision("high"):
        return _measured("torch.mm", _floats(torch.float32), sizes)


def bfloat16(sizes: Sizes) -> Outcome:
    """bfloat16 operands and product."""
    return _measured("torch.mm", _floats(torch.bfloat16), sizes)


def float16(sizes: Sizes) -> Outcome:
    """float16 operands and product."""
    return _measured("torch.mm", _floats(torch.float16), sizes)


def float8_e4m3fn(sizes: Sizes) -> Outcome:
    """float8_e4m3fn operands, scaled by one, with fast accumulation; the product is bfloat16."""
    return _measured("torch._scaled_mm (fast accumulation)", _scaled, sizes)


def int8(sizes: Sizes) -> Outcome:
    """int8 operands; the product is int32."""
    return _measured("torch._int_mm", _integers, sizes)


def _floats(dtype: torch.dtype) -> Callable[[int], Product]:
    def product(side: int) -> Product:
        left, right = (torch.randn(side, side, device="cuda").to(dtype) for _ in range(2))
        out = torch.empty(side, side, device="cuda", dtype=dtype)
        return lambda: torch.mm(left, right, out=out)

    return product


def _scaled(side: int) -> Product:
    left, right = (torch.randn(side, side, device="cuda").to(torch.float8_e4m3fn) for _ in range(2))
    one = torch.ones((), device="cuda")
    # The second operand is taken column by column: the transposed view of rows.
    return lambda: torch._scaled_mm(
        left, right.t(), scale_a=one, scale_b=one, out_dtype=torch.bfloat16, use_fast_accum=True
    )


def _integers(side: int) -> Product:
    left, right = (torch.randint(-128, 128, (side, side), device="cuda", dtype=torch.int8) for _ in range(2))
    return lambda: torch._int_mm(left, right.t())


def _measured(way: str, product: Callable[[int], Product], sizes: Sizes) -> Outcome:
    side = _side(product, sizes)
    result = device_timed(product(side), sizes)
    how = f"{way} of side {side}, random numbers, CUDA events, median of {result.runs}"
    return Outcome(per_second(2 * side**3, result.median_ns), how)


def _side(product: Callable[[int], Product], sizes: Sizes) -> int:
    """The largest side up to the wanted one that fits into memory and doesn't take too long."""
    side = sizes.device_matmul_side
    free = torch.cuda.mem_get_info()[0]
    while OPERANDS_AND_SCRATCH * WIDEST_BYTES * side**2 > free * DEVICE_SHARE and side > LEAST_SIDE:
        side //= 2
    if OPERANDS_AND_SCRATCH * WIDEST_BYTES * side**2 > free * DEVICE_SHARE:
        raise NotMeasured(f"only {free // MIB} MiB of device memory are free")
    trial_side = min(side, TRIAL_SIDE)
    once = product(trial_side)

    def waited() -> None:
        once()
        torch.cuda.synchronize()

    trial_s = timed(waited, 1, 0.0).median_ns / 1e9
    while side > LEAST_SIDE and trial_s * (side / trial_side) ** 3 > LONGEST_S:
        side //= 2
    return side
