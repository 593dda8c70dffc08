"""Linear layers of 8-bit weights: each row by its own factor, activations as they are."""

from __future__ import annotations

import torch
from torch import Tensor, nn

FP8 = torch.float8_e4m3fn


def quantised(weight: Tensor, dtype: torch.dtype = torch.int8) -> tuple[Tensor, Tensor]:
    """[N, K] to `dtype` of the same shape and float32 factors [N]; weight is about the first * factor.

    Symmetric, by the largest of each row: Dettmers et al. 2022 (LLM.int8, arXiv 2208.07339), section 2.1.
    """
    whole = not dtype.is_floating_point
    largest = float(torch.iinfo(dtype).max if whole else torch.finfo(dtype).max)
    scale = weight.float().abs().amax(dim=1).clamp(min=torch.finfo(torch.float32).tiny) / largest
    scaled = weight.float() / scale[:, None]
    return (scaled.round() if whole else scaled).to(dtype), scale


class Int8Linear(nn.Module):
    """x W^T with W of 8 bits. The factor of a row comes after the product: it is the same for all of it."""

    weight: Tensor
    scale: Tensor

    def __init__(self, linear: nn.Linear, dtype: torch.dtype = torch.int8) -> None:
        super().__init__()
        weight, scale = quantised(linear.weight, dtype)
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale.to(linear.weight.dtype))
        self.bias = linear.bias
        self.in_features, self.out_features = linear.in_features, linear.out_features
        # torch's own kernel reads 8-bit weights as they are, on CPUs, where rows are whole vectors.
        self._direct = linear.weight.device.type == "cpu" and dtype == torch.int8 and self._fits(linear)

    @staticmethod
    def _fits(linear: nn.Linear) -> bool:
        return linear.in_features % 32 == 0 and linear.out_features % 32 == 0

    def forward(self, x: Tensor) -> Tensor:
        """x: [..., K]. Returns [..., N]."""
        if self._direct and x.dtype == torch.bfloat16:
            flat = torch._weight_int8pack_mm(x.flatten(0, -2), self.weight, self.scale)
            out = flat.view(*x.shape[:-1], self.out_features)
        else:
            out = nn.functional.linear(x, self.weight.to(x.dtype)) * self.scale
        return out if self.bias is None else out + self.bias


def quantise(model: nn.Module, dtype: torch.dtype = torch.int8) -> None:
    """Every linear layer of a model, its head among them; a tied embedding stays as it is."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Linear):
                setattr(parent, name, Int8Linear(child, dtype))


def quantise_to_fp8(model: nn.Module) -> None:
    """The same with 8-bit floats."""
    quantise(model, FP8)
