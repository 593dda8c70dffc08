"""torch's own record of an operator's inputs as plain arguments; needs no torch to read it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llmflame.probes.work.tensor import Argument, Tensor


def arguments(inputs: Sequence[Any]) -> list[Argument]:
    """`_ExtraFields_TorchOp.inputs` as arguments: empty where the window recorded no shapes.

    Tensors are known by their attributes (`_TensorMetadata`); what is neither tensor, list of tensors nor
    number becomes None.
    """
    return [_argument(native) for native in inputs]


def _argument(native: Any) -> Argument:
    if native is None or isinstance(native, bool | int | float):
        return native
    if isinstance(native, list | tuple):
        tensors = [_tensor(item) for item in native if hasattr(item, "sizes")]
        return tensors if len(tensors) == len(native) else None
    return _tensor(native) if hasattr(native, "sizes") else None


def _tensor(native: Any) -> Tensor:
    return Tensor(
        sizes=tuple(native.sizes),
        strides=tuple(native.strides),
        dtype=str(native.dtype).removeprefix("torch."),
        storage=native.storage_data_ptr,
        identity=native.impl_ptr,
    )
