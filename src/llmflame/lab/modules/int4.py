"""Linear layers of 4-bit weights: groups of a row by their own factor and offset."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from llmflame.lab.modules.int8 import Int8Linear

GROUP = 64
"""Weights that share a factor and an offset; a row's length must be a multiple of it."""
_LEVELS = 15
_WORDS, _BYTES = 8, 4
"""Of a group, and of a word."""
HEAD = "lm_head"


def quantised(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """[N, K] to packed uint8 [N, K / 2], factors and offsets [N, K / GROUP], both float32.

    weight is about level * factor + offset, with levels 0 to 15 between a group's least and largest. A group
    is eight little-endian words of 32 bits; level l of word w, counted from the low bits, is of column
    8 l + w: who takes level l out of neighbouring words has neighbouring columns.
    """
    groups = weight.float().view(weight.shape[0], -1, GROUP)
    low, high = groups.amin(-1), groups.amax(-1)
    scale = ((high - low) / _LEVELS).clamp(min=torch.finfo(torch.float32).tiny)
    levels = ((groups - low[..., None]) / scale[..., None]).round().clamp(0, _LEVELS).to(torch.uint8)
    pairs = levels.view(*levels.shape[:2], _BYTES, 2, _WORDS).transpose(
        -3, -1
    )  # [N, groups, word, half, byte]
    return (pairs[..., 0, :] | (pairs[..., 1, :] << 4)).flatten(1), scale, low


def restored(packed: Tensor, scale: Tensor, offset: Tensor) -> Tensor:
    """[N, K] in the dtype of `scale`."""
    both = packed.view(packed.shape[0], -1, _WORDS, _BYTES)
    pairs = torch.stack((both & 0xF, both >> 4), dim=-2)
    levels = pairs.transpose(-3, -1).flatten(-3).to(scale.dtype)
    return (levels * scale[..., None] + offset[..., None]).flatten(1)


class Int4Linear(nn.Module):
    """x W^T with W of 4 bits a weight, and a factor and an offset for each group of 64."""

    weight: Tensor
    group_scale: Tensor
    offset: Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        packed, scale, offset = quantised(linear.weight)
        self.register_buffer("weight", packed)
        self.register_buffer("group_scale", scale.to(linear.weight.dtype))
        self.register_buffer("offset", offset.to(linear.weight.dtype))
        self.bias = linear.bias
        self.in_features, self.out_features = linear.in_features, linear.out_features

    def forward(self, x: Tensor) -> Tensor:
        """x: [..., K]. Returns [..., N]."""
        weight = restored(self.weight, self.group_scale, self.offset)
        return nn.functional.linear(x, weight.to(x.dtype), self.bias)


def quantise(model: nn.Module) -> None:
    """Every linear layer whose rows are whole groups; the head gets 8 bits, the others stay.

    Errors of the head are those of the logits, and it is a large part of a small model's bytes.
    """
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Linear) and name == HEAD:
                setattr(parent, name, Int8Linear(child))
            elif isinstance(child, nn.Linear) and child.in_features % GROUP == 0:
                setattr(parent, name, Int4Linear(child))
