"""Operators and kernels by class, fused kernels by what they fuse, and names that a person can read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmflame.analysis.kernel_name import MAX_SHORT_NAME, fused_ops, kernel_class, short_kernel_name
from llmflame.analysis.op_class import CLASSES, op_class
from llmflame.probes.work import is_free
from llmflame.probes.work.free import _FREE
from llmflame.probes.work.operator import _RULES

OPS = {
    "matmul": "aten::mm aten::addmm aten::_grouped_mm bmm aten::linear aten::convolution aten::addmm_",
    "attention": "aten::_flash_attention_forward aten::scaled_dot_product_attention",
    "embedding": "aten::embedding",
    "copy": "aten::copy_ aten::_to_copy aten::cat clone aten::contiguous aten::index_put_ aten::fill_",
    "elementwise": "aten::add aten::mul_ silu aten::where aten::masked_fill_ aten::__and__ aten::normal_",
    "reduction": "aten::mean aten::_softmax aten::native_layer_norm aten::_fused_rms_norm aten::topk",
    "view": "aten::view aten::transpose aten::empty_strided aten::detach_ detach_ aten::as_strided",
    "other": "vllm::unified_attention my_op aten:: aten::aten::mm _ __ triton_poi_fused_add_0",
}


@pytest.mark.parametrize("name", OPS)
def test_classes_of_operators(name: str) -> None:
    assert {op: op_class(op) for op in OPS[name].split()} == dict.fromkeys(OPS[name].split(), name)
    assert op_class("") == "other"


def test_every_operator_whose_work_is_known_has_a_class() -> None:
    assert [name for name in _RULES if op_class(name) in ("other", "view")] == []
    free = {name: op_class(name) for name in _FREE}
    assert {name for name, of in free.items() if of != "view"} == {"to", "contiguous", "type_as"}
    moving = {name for name, of in CLASSES.items() if of != "view"}
    assert {name for name in moving if is_free(name)} == {"to", "contiguous", "type_as"}


FUSED = {
    "triton_poi_fused_add_mul_0": ("add", "mul"),
    "triton_red_fused__to_copy_add_mean_mul_pow_rsqrt_2": ("_to_copy", "add", "mean", "mul", "pow", "rsqrt"),
    "triton_per_fused_native_layer_norm_12": ("native_layer_norm",),
    "triton_poi_fused__scaled_dot_product_cudnn_attention__to_copy__unsafe_view_add_4": (
        "_scaled_dot_product_cudnn_attention",
        "_to_copy",
        "_unsafe_view",
        "add",
    ),
    "triton_red_fused__log_softmax_max_pool2d_with_indices_3": ("_log_softmax", "max_pool2d_with_indices"),
    "triton_poi_fused_my_op_silu_own_thing_1": ("my_op", "silu", "own_thing"),
    "triton_poi_fused_add_0d1d2de": ("add",),
    "triton_poi_fused_add_0_0d1d2": ("add",),
    "triton_poi_fused_exp2_log1p_7": ("exp2", "log1p"),
    "triton_tem_fused_mm_5": ("mm",),
    "cpp_fused__softmax_add_1": ("_softmax", "add"),
    "triton_poi_fused_0": (),
    "triton_poi_fused": (),
    "triton_mm": (),
    "nvjet_sm90_tst_64x8_64x16_1x2_h_bz_TNT": (),
    "": (),
}


@pytest.mark.parametrize("name", FUSED)
def test_what_a_fused_kernel_names(name: str) -> None:
    assert fused_ops(name) == FUSED[name]


@given(st.lists(st.sampled_from(sorted(set(CLASSES) - {"t"})), min_size=1, max_size=6))
def test_joined_names_are_split_without_loss(names: list[str]) -> None:
    """What comes out spells what went in, whichever longer name two neighbours may have made."""
    joined = "_".join(names)
    pieces = fused_ops(f"triton_poi_fused_{joined}_3")
    assert "".join(pieces).replace("_", "") == joined.replace("_", "")
    assert set(pieces) <= set(CLASSES)


AT = "at::native::"
ADD = (
    f"void {AT}vectorized_elementwise_kernel<4, {AT}CUDAFunctor_add<c10::BFloat16>, std::array<char*, 3ul> >"
)
COPY = (
    f"void {AT}elementwise_kernel<128, 4, {AT}gpu_kernel_impl_nocast<{AT}direct_copy_kernel_cuda("
    "at::TensorIteratorBase&)::{lambda()#3}::operator()() const::{lambda()#12}::operator()() const::"
    "{lambda(c10::BFloat16)#1}>(at::TensorIteratorBase&)::{lambda(int)#1}>(int, at::TensorIteratorBase&)"
)
MEAN = (
    f"void {AT}reduce_kernel<512, 1, {AT}ReduceOp<float, {AT}MeanOps<float, float, float, float>, "
    f"unsigned int, float, 4, 4> >({AT}ReduceOp<float>)"
)
CAT = (
    f"void {AT}(anonymous namespace)::CatArrayBatchedCopy<{AT}(anonymous namespace)::OpaqueType<2u>, "
    "unsigned int, 4, 64, 64>(char*)"
)
GEMV = (
    "std::enable_if<!(false), void>::type internal::gemvx::kernel<int, int, __nv_bfloat16, float, false, "
    "true, 6, cublasGemvParamsEx<int, cublasGemvTensorStridedBatched<__nv_bfloat16 const> > >(int)"
)
FLASH = (
    "void pytorch_flash::flash_fwd_kernel<Flash_fwd_kernel_traits<64, 128, 128, 4, false, false, "
    "cutlass::bfloat16_t, Flash_kernel_traits<64, 128, 128, 4, cutlass::bfloat16_t> >, false, true>(Params)"
)
MANGLED = (
    "_ZN7cutlass13device_kernelIN2at4cuda6detail25enable_3x_kernel_for_sm9xINS_4gemm6kernel13GemmUniversal"
    "INS5_17GroupProblemShapeIN4cute5tupleIJiiiEEEEENS5_10collective13CollectiveMmaILi4ENSA_IJNS9_1CILi2EEE"
)
MULTIPLY = (
    f"void {AT}elementwise_kernel<128, 4, {AT}gpu_kernel_impl_nocast<{AT}BinaryFunctor<c10::BFloat16, "
    f"c10::BFloat16, c10::BFloat16, {AT}binary_internal::MulFunctor<float> > >(at::TensorIteratorBase&)>(int)"
)
KERNELS = {
    ADD + "(int, c10::BFloat16)": ("vectorized_elementwise_kernel<CUDAFunctor_add<BFloat16>>", "elementwise"),
    COPY: ("elementwise_kernel<direct_copy_kernel_cuda(BFloat16)>", "copy"),
    MULTIPLY: ("elementwise_kernel<BinaryFunctor<BFloat16, MulFunctor<float>>>", "elementwise"),
    MEAN: ("reduce_kernel<MeanOps<float>>", "reduction"),
    CAT: ("CatArrayBatchedCopy<OpaqueType, unsigned int>", "copy"),
    GEMV: ("gemvx::kernel<int, __nv_bfloat16, float, cublasGemvParamsEx>", "matmul"),
    FLASH: ("flash_fwd_kernel<Flash_fwd_kernel_traits<bfloat16_t, Flash_kernel_traits>>", "attention"),
    MANGLED: ("device_kernel<enable_3x_kernel_for_sm9x, GemmUniversal, GroupProblemShape>", "matmul"),
    "nvjet_sm90_tst_64x8_64x16_1x2_h_bz_TNT": ("nvjet_sm90_tst_64x8_64x16_1x2_h_bz_TNT", "matmul"),
    "Memcpy HtoD (Pageable -> Device)": ("Memcpy HtoD (Pageable -> Device)", "copy"),
    "Memset (Device)": ("Memset (Device)", "copy"),
    "triton_poi_fused_add_0": ("triton_poi_fused_add_0", "triton"),
    "triton_tem_fused_mm_5": ("triton_tem_fused_mm_5", "matmul"),
    "triton_tem_fused_flex_attention_0": ("triton_tem_fused_flex_attention_0", "attention"),
    "void (anonymous namespace)::softmax_warp_forward<float, float, float, 6, false, false>(float*)": (
        "softmax_warp_forward<float>",
        "reduction",
    ),
    f"void {AT}(anonymous namespace)::vectorized_layer_norm_kernel<c10::BFloat16, float, false>(int)": (
        "vectorized_layer_norm_kernel<BFloat16, float>",
        "reduction",
    ),
    "fmha_cutlassF_bf16_aligned_64x64_rf_sm80(Params)": (
        "fmha_cutlassF_bf16_aligned_64x64_rf_sm80",
        "attention",
    ),
    "ampere_bf16_s16816gemm_bf16_128x64_ldg8_f2f_stages_64x3_tn": (
        "ampere_bf16_s16816gemm_bf16_128x64_ldg8_f2f_stages_64x3_tn",
        "matmul",
    ),
    "void cublasLt::splitKreduce_kernel<32, 16, int, float, true>(int)": (
        "splitKreduce_kernel<int, float>",
        "matmul",
    ),
    "my_kernel": ("my_kernel", "other"),
    "": ("", "other"),
}


@pytest.mark.parametrize("name", KERNELS, ids=lambda name: name[:40])
def test_kernels_as_recorded(name: str) -> None:
    assert (short_kernel_name(name), kernel_class(name)) == KERNELS[name]


def test_names_too_long_lose_arguments_first() -> None:
    inner = "Functor" * 9
    assert (
        short_kernel_name(f"void a::kernel_of<b::{inner}<c::{inner}<float>>>(int)") == f"kernel_of<{inner}>"
    )
    assert short_kernel_name(f"void a::{inner}_kernel<b::{inner}>(int)") == f"{inner}_kernel"
    assert short_kernel_name("x" * 200) == "x" * (MAX_SHORT_NAME - 1) + "…"


HOSTILE = [
    *(
        part * (100_000 // len(part))
        for part in ("<", "a<", "<>", "(", "{", "::", "a<b>", "1a", "_", "²", "\n", "\0")
    ),
    "_Z" + "9" * 100_000,
    "_Z" + "999a" * 25_000,
    "_ZS" + "0" * 100_000,
    "triton_poi_fused_" + "_" * 100_000,
    "triton_poi_fused_" + "add_" * 25_000,
    "triton_poi_fused_" + "_0" * 50_000,
    "func_wrapper_t<" * 10_000,
    "void operator<(" * 5_000,
    "\ud800<script>alert(1)</script>",
]


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name[:20]))
def test_hostile_names_neither_raise_nor_hang(name: str) -> None:
    """The gate's time limit sees what takes more than linear time."""
    assert len(short_kernel_name(name)) <= MAX_SHORT_NAME
    kernel_class(name)
    fused_ops(name)
    op_class(name)


PIECES = st.sampled_from(
    [*"<>(){},:_ *&", "::", "void ", "operator", "lambda(", "_Z", "12", "kernel", "at", "triton_"]
)


@given(st.lists(PIECES | st.text(max_size=5), max_size=60).map("".join))
def test_any_name_is_read(name: str) -> None:
    short = short_kernel_name(name)
    assert len(short) <= MAX_SHORT_NAME and (short or not name.strip())
    kernel_class(name)
    op_class(name)
    assert all(fused_ops(name))
