"""Operators that move no bytes: views, allocations, and questions about a tensor."""

from __future__ import annotations

_VIEWS = """
view view_as _unsafe_view view_as_real view_as_complex transpose transpose_ t t_ permute numpy_T mT mH
swapaxes swapdims movedim moveaxis expand expand_as broadcast_to broadcast_tensors as_strided as_strided_
slice select narrow diagonal unsqueeze unsqueeze_ squeeze squeeze_ detach detach_ alias unbind split
split_with_sizes chunk tensor_split hsplit vsplit dsplit unsafe_split unsafe_split_with_sizes unsafe_chunk
unfold unflatten real imag conj _conj _neg_view lift lift_fresh _reshape_alias atleast_1d atleast_2d
atleast_3d adjoint ravel
"""
_AS_NEEDED = """
reshape reshape_as flatten contiguous to type_as resolve_conj resolve_neg dropout dropout_ alpha_dropout
feature_dropout
"""
"""These copy below themselves where they must; as leaves they hand out what they were given."""
_ALLOCATIONS = """
empty empty_like empty_strided empty_permuted empty_quantized new_empty new_empty_strided resize_ resize_as_
_resize_output_ set_ set_data requires_grad_ retain_grad record_stream
"""
_QUESTIONS = """
result_type can_cast promote_types size stride sym_size sym_stride sym_numel sym_storage_offset numel dim
is_same_size is_nonzero item is_pinned is_floating_point is_complex is_conj is_neg is_contiguous
_nnpack_available cudnn_is_acceptable _has_compatible_shallow_copy_type _is_zerotensor output_nr _version
is_leaf _fused_sdp_choice
"""
"""Answered from the tensor's description; `item` reads below itself, in `_local_scalar_dense`."""
_FREE = frozenset(f"{_VIEWS} {_AS_NEEDED} {_ALLOCATIONS} {_QUESTIONS}".split())
_PREFIX = "aten::"


def is_free(name: str) -> bool:
    """Whether the operator itself moves no bytes; what it calls may.

    Names come with or without "aten::": autograd's own steps (`detach_`) have none.
    """
    return name.removeprefix(_PREFIX) in _FREE
