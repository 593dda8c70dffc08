"""Rotary position embedding: a position as an angle by which queries and keys are turned.

Su et al. 2021 (RoFormer, arXiv 2104.09864), section 3.2.2. The scalar product of a turned query and a turned
key depends on the distance of their positions alone, which is all that attention needs to know of order.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from llmflame.scratch.config import Config, RopeScaling


def frequencies(config: Config) -> Tensor:
    """How far each pair of dimensions turns from one token to the next, in radians. Returns [D / 2], float32.

    theta_i = base^(-2i / D) for pair i: RoFormer, section 3.2.2.
    """
    # On the CPU whatever the default device is: a model is built on `meta`, without data.
    pairs = torch.arange(0, config.head_dim, 2, dtype=torch.float32, device="cpu")
    theta = 1 / config.rope_base ** (pairs / config.head_dim)
    return theta if config.rope_scaling is None else _scaled(theta, config.rope_scaling)


def _scaled(theta: Tensor, scaling: RopeScaling) -> Tensor:
    """Slow down the rotations that a longer context would take into angles never seen. theta: [D / 2].

    Llama 3.1: `apply_scaling` in Meta's reference code (github.com/meta-llama/llama-models). With wavelength
    2 pi / theta and c = original_context / wavelength, the turns within the original context:

        c > high factor            theta             many turns: only near tokens matter, unchanged
        c < low factor             theta / factor    less than a turn: interpolated
        between                    (1 - s) theta / factor + s theta,  s = (c - low) / (high - low)
    """
    turns = scaling.original_context * theta / (2 * math.pi)
    low, high = scaling.low_frequency_factor, scaling.high_frequency_factor
    share = ((turns - low) / (high - low)).clamp(0, 1)
    return (1 - share) * theta / scaling.factor + share * theta


def angles(positions: Tensor, theta: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Cosine and sine for each token. positions: [B, T], theta: [D / 2]. Returns two of [B, 1, T, D / 2].

    In float32, whatever `dtype` is: a bfloat16 can't tell position 257 from 256.
    """
    angle = positions.float()[:, None, :, None] * theta
    return angle.cos().to(dtype), angle.sin().to(dtype)


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn queries or keys. x: [B, heads, T, D], cosine and sine: [B, 1, T, D / 2]. Returns as x.

    RoFormer, section 3.4.2, equation 34. It pairs dimension 2i with 2i + 1; checkpoints in the hub's layout
    have their rows in another order, which pairs i with i + D / 2: the same rotation, no shuffle at run time.
    """
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine), dim=-1)
