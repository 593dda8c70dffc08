"""Which arithmetic torch may use for products of float32 matrices."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch


@contextmanager
def float32_precision(setting: Literal["highest", "high"]) -> Iterator[None]:
    """`highest` is float32 throughout, `high` allows TensorFloat-32; what was set before comes back."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(setting)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
