"""Linear layers whose weights lie as oneDNN's kernels want them."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PackedLinear(nn.Module):
    """x W^T with W in a layout that only oneDNN knows, made for products of few rows."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        # 1: rows of x for which the layout is chosen.
        packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight, 1)
        self.register_buffer("packed", packed)
        self.bias = linear.bias
        self.in_features, self.out_features = linear.in_features, linear.out_features

    def forward(self, x: Tensor) -> Tensor:
        """x: [..., K]. Returns [..., N]."""
        out: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, "none", [], "")
        return out


def pack(model: nn.Module) -> None:
    """Every linear layer; an embedding that the head shares keeps its own copy."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Linear):
                setattr(parent, name, PackedLinear(child))
