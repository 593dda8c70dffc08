"""What kind of work an operator does, by its name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

OpClass = Literal["matmul", "attention", "embedding", "copy", "elementwise", "reduction", "view", "other"]

_MATMUL = """
mm bmm addmm baddbmm addbmm mv addmv dot vdot linear matmul einsum inner tensordot chain_matmul
linalg_matmul _int_mm _scaled_mm _scaled_mm_v2 _grouped_mm _scaled_grouped_mm _addmm_activation
_weight_int4pack_mm _weight_int4pack_mm_for_cpu _weight_int8pack_mm _sparse_semi_structured_mm
_sparse_semi_structured_linear _dyn_quant_matmul_4bit mkldnn_linear bilinear _trilinear conv1d conv2d conv3d
convolution _convolution conv_transpose1d conv_transpose2d conv_transpose3d cudnn_convolution
cudnn_convolution_transpose mkldnn_convolution miopen_convolution thnn_conv2d _slow_conv2d_forward
slow_conv3d _conv_depthwise2d conv_depthwise3d convolution_overrideable _mps_convolution
convolution_backward
"""
_ATTENTION = """
scaled_dot_product_attention _scaled_dot_product_attention_math _scaled_dot_product_attention_math_for_mps
_scaled_dot_product_flash_attention _scaled_dot_product_flash_attention_for_cpu
_scaled_dot_product_efficient_attention _scaled_dot_product_cudnn_attention
_scaled_dot_product_fused_attention_overrideable _flash_attention_forward _efficient_attention_forward
_cudnn_attention_forward _native_multi_head_attention _transformer_encoder_layer_fwd flex_attention
_triton_scaled_dot_attention _scaled_dot_product_flash_attention_backward _flash_attention_backward
_scaled_dot_product_flash_attention_for_cpu_backward _scaled_dot_product_efficient_attention_backward
_efficient_attention_backward _scaled_dot_product_cudnn_attention_backward
"""
_EMBEDDING = "embedding embedding_bag _embedding_bag _embedding_bag_forward_only embedding_dense_backward"
_COPY = """
copy copy_ _copy_from _copy_from_and_resize _to_copy clone contiguous to type_as cat concat concatenate
stack hstack vstack repeat repeat_interleave tile index index_put _index_put_impl_ _unsafe_index
_unsafe_index_put index_select index_copy index_add index_fill gather take take_along_dim scatter
scatter_add scatter_reduce masked_scatter masked_select put pad constant_pad_nd reflection_pad1d
reflection_pad2d roll flip rot90 tril triu fill zero full full_like zeros zeros_like ones ones_like new_full
new_zeros new_ones eye arange linspace scalar_tensor one_hot _local_scalar_dense pin_memory _pin_memory
block_diag slice_scatter select_scatter _chunk_cat diag diag_embed convert_element_type iota device_put
"""
_ELEMENTWISE = """
abs neg negative positive sgn sign square round floor ceil trunc fix frac relu relu6 threshold hardtanh
nan_to_num bitwise_not exp exp2 expm1 log log2 log10 log1p sqrt rsqrt reciprocal sin cos tan asin acos atan
sinh cosh tanh asinh acosh atanh sigmoid erf erfc erfinv logit sinc silu gelu softplus mish elu celu selu
leaky_relu glu hardswish hardsigmoid log_sigmoid log_sigmoid_forward logical_not isnan isinf isneginf
isposinf isfinite signbit add sub subtract rsub mul multiply div divide true_divide pow maximum minimum fmax
fmin floor_divide remainder fmod clamp clip clamp_min clamp_max bitwise_and bitwise_or bitwise_xor
bitwise_left_shift bitwise_right_shift __and__ __or__ __xor__ __lshift__ __rshift__ copysign hypot prelu
_prelu_kernel float_power xlogy logaddexp eq ne lt le gt ge not_equal less less_equal greater greater_equal
logical_and logical_or logical_xor isclose addcmul addcdiv lerp where masked_fill isin polar complex
native_dropout bernoulli exponential normal uniform random rand randn randint rand_like randn_like
randint_like absolute conj_physical _conj_physical arcsin arccos arctan hardshrink softshrink deg2rad
rad2deg digamma lgamma i0 isreal heaviside nextafter ldexp logaddexp2 atan2 arctan2 cauchy geometric
log_normal silu_backward gelu_backward threshold_backward tanh_backward sigmoid_backward
"""
_REDUCTION = """
sum nansum mean prod any all amax amin max min argmax argmin aminmax logsumexp norm linalg_vector_norm var
std var_mean std_mean median count_nonzero cumsum cumprod cummax cummin logcumsumexp softmax _softmax
_safe_softmax log_softmax _log_softmax layer_norm native_layer_norm rms_norm _fused_rms_norm group_norm
native_group_norm batch_norm native_batch_norm cudnn_batch_norm _native_batch_norm_legit sort argsort topk
kthvalue multinomial histc bincount _unique2 unique_dim unique_consecutive nonzero searchsorted bucketize
cross_entropy_loss nll_loss nll_loss_forward cosine_similarity _softmax_backward_data
_log_softmax_backward_data equal _assert_async native_layer_norm_backward _fused_rms_norm_backward
native_group_norm_backward nll_loss_backward
"""
_VIEW = """
view view_as _unsafe_view view_as_real view_as_complex transpose t permute numpy_T mT mH swapaxes swapdims
movedim moveaxis expand expand_as broadcast_to broadcast_tensors as_strided slice select narrow diagonal
unsqueeze squeeze detach alias unbind split split_with_sizes chunk tensor_split hsplit vsplit dsplit
unsafe_split unsafe_split_with_sizes unsafe_chunk unfold unflatten real imag conj _conj _neg_view lift
lift_fresh _reshape_alias atleast_1d atleast_2d atleast_3d adjoint ravel reshape reshape_as flatten
resolve_conj resolve_neg dropout alpha_dropout feature_dropout empty empty_like empty_strided empty_permuted
empty_quantized new_empty new_empty_strided resize resize_as _resize_output set set_data requires_grad
retain_grad record_stream result_type can_cast promote_types size stride sym_size sym_stride sym_numel
sym_storage_offset numel dim is_same_size is_nonzero item is_pinned is_floating_point is_complex is_conj
is_neg is_contiguous _nnpack_available cudnn_is_acceptable _has_compatible_shallow_copy_type _is_zerotensor
output_nr _version is_leaf _fused_sdp_choice
"""

_OTHER = """
max_pool1d max_pool2d max_pool2d_with_indices avg_pool1d avg_pool2d adaptive_avg_pool2d _adaptive_avg_pool2d
upsample_nearest2d upsample_bilinear2d grid_sampler_2d pixel_shuffle _fft_c2c _fft_r2c _fft_c2r
inductor_random inductor_seeds inductor_lookup_seed inductor_randint _assert_scalar _foreach_add
_foreach_mul _foreach_copy all_gather_into_tensor all_reduce reduce_scatter_tensor wait_tensor
"""
"""Known to be no more than a name, so that a fused name is cut in the right places."""


def _classes() -> dict[str, OpClass]:
    groups: tuple[tuple[str, OpClass], ...] = (
        (_MATMUL, "matmul"),
        (_ATTENTION, "attention"),
        (_EMBEDDING, "embedding"),
        (_COPY, "copy"),
        (_ELEMENTWISE, "elementwise"),
        (_REDUCTION, "reduction"),
        (_VIEW, "view"),
        (_OTHER, "other"),
    )
    return {name: of for names, of in groups for name in names.split()}


CLASSES: Mapping[str, OpClass] = MappingProxyType(_classes())
"""By aten name, without the `_` of those that work in place. Convolutions are products, allocations views."""
_PREFIX = "aten::"


def op_class(name: str) -> OpClass:
    """The class of an operator, named with or without "aten::"; "other" where it isn't known."""
    base = name.removeprefix(_PREFIX)
    known = CLASSES.get(base)
    if known is None and base.endswith("_"):
        known = CLASSES.get(base.removesuffix("_"))
    return known or "other"
