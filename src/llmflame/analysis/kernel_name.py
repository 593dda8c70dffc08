"""What the name of a device kernel tells: its kind of work, what it fuses, and a short name to read.

Names come from outside, as long and as odd as they like: every function here takes linear time, and raises
for none.
"""

from __future__ import annotations

import re
from typing import Literal

from llmflame.analysis.cpp_name import short_cpp_name
from llmflame.analysis.op_class import CLASSES, OpClass

KernelClass = OpClass | Literal["triton"]
MAX_SHORT_NAME = 80
"""Characters: what fits in a column."""
_LOOKED_AT = 4096
"""Characters of a name that are read: templates of templates go on for tens of thousands."""

_FUSED = re.compile(r"(?:triton_(?P<kind>[a-z]+)|cpp)_fused(?P<ops>_.*)", re.DOTALL)
_NUMBER = re.compile(r"(?:_[0-9]+)?(?:_0[cde][0-9cde]*)?\Z")
"""The kernel's number, and what older Triton adds about its arguments ("_0d1d2de")."""
_FUSED_NAMES = frozenset(CLASSES)
_MOST_WORDS = max(name.count("_") for name in _FUSED_NAMES) + 1

_CLASSES: tuple[tuple[KernelClass, re.Pattern[str]], ...] = (
    ("copy", re.compile(r"^\[?(memcpy|memset)", re.IGNORECASE)),
    ("triton", re.compile(r"^triton_")),
    (
        "copy",
        re.compile(
            r"direct_copy_kernel|bfloat16_copy_kernel|float16_copy_kernel|FillFunctor|catarray|index_elementwise"
            r"|index_put|indexselect|indexcopy|indexfuncl|gather_kernel|scatter_gather|arange|triu_tril",
            re.IGNORECASE,
        ),
    ),
    ("elementwise", re.compile(r"elementwise_kernel", re.IGNORECASE)),
    ("reduction", re.compile(r"\breduce_kernel", re.IGNORECASE)),
    ("attention", re.compile(r"flash|fmha|attention|_sdpa_", re.IGNORECASE)),
    (
        "matmul",
        re.compile(
            r"nvjet|gemm|gemv|cublas|xmma|splitkreduce|splitk_reduce|conv_depthwise|convolve|_conv2d|cutlass"
            r"|marlin|wgmma",
            re.IGNORECASE,
        ),
    ),
    ("embedding", re.compile(r"embedding", re.IGNORECASE)),
    (
        "reduction",
        re.compile(
            r"reduce|softmax|softmaxforward|norm_kernel|layer_?norm|rms_?norm|rownorm|argmax|topk|sort|histogram"
            r"|\bcub\b|scan_innermost|scan_outer|welford",
            re.IGNORECASE,
        ),
    ),
    ("elementwise", re.compile(r"elementwise|vectorized_|unrolled_|dropout|silu|gelu|rotary", re.IGNORECASE)),
    ("copy", re.compile(r"copy|transpose_kernel", re.IGNORECASE)),
)
"""The first that is found counts: elementwise kernels carry any functor's name, attention any product's."""


def kernel_class(kernel_name: str) -> KernelClass:
    """The class of a kernel whose operator isn't known; "triton" is generated code, "other" unknown.

    A generated kernel that is a product's or an attention's template is that.
    """
    name = kernel_name[:_LOOKED_AT]
    fused = _FUSED.match(name)
    if fused is not None and fused["kind"] == "tem":
        classes = {CLASSES.get(op) for op in fused_ops(name)}
        return "attention" if "attention" in classes else "matmul" if "matmul" in classes else "triton"
    return next((of for of, pattern in _CLASSES if pattern.search(name)), "other")


def fused_ops(kernel_name: str) -> tuple[str, ...]:
    """The operators that an Inductor kernel says it holds parts of; () where it is none.

    Their names are joined by underscores, which they may have themselves: they are split by the longest
    known name, and what isn't known stays in one piece. A fused name is a list of where the code came from:
    the kernel may do a small part of one only.
    """
    match = _FUSED.match(kernel_name[:_LOOKED_AT])
    if match is None:
        return ()
    joined = match["ops"]
    if (number := _NUMBER.search(joined)) is not None:
        joined = joined[: number.start()]
    return tuple(_split(joined.removeprefix("_").split("_")))


def _split(words: list[str]) -> list[str]:
    """Words between underscores to names; an empty word before a name is its leading underscore."""
    names: list[str] = []
    unknown: list[str] = []
    at = 0
    while at < len(words):
        length = next(
            (
                count
                for count in range(min(_MOST_WORDS, len(words) - at), 0, -1)
                if "_".join(words[at : at + count]) in _FUSED_NAMES
            ),
            0,
        )
        if not length:
            unknown.append(words[at])
            at += 1
            continue
        names += [piece] if (piece := "_".join(unknown).strip("_")) else []
        unknown = []
        names.append("_".join(words[at : at + length]))
        at += length
    return names + ([piece] if (piece := "_".join(unknown).strip("_")) else [])


def short_kernel_name(kernel_name: str) -> str:
    """What a person reads of a kernel's name: its own name and what it does, without where they are declared.

    `void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<c10::BFloat16>, ...>(int,
    ...)` is `vectorized_elementwise_kernel<CUDAFunctor_add<BFloat16>>`. At most 80 characters.
    """
    name = " ".join(kernel_name[:_LOOKED_AT].split())
    is_cpp = "::" in name or "<" in name or "(" in name or name.startswith(("void ", "_Z"))
    if is_cpp and not name.lower().startswith(("memcpy", "memset", "[")):
        name = short_cpp_name(name, MAX_SHORT_NAME) or name
    return name if len(name) <= MAX_SHORT_NAME else f"{name[: MAX_SHORT_NAME - 1]}…"
