"""The environment variables that decide on threads, CPU kernels and launches: these names, no others."""

from __future__ import annotations

import os
from collections.abc import Mapping

from llmflame.store.model import Fact

SECTION = "threads"
# A list of names, no prefixes: a variable that merely begins alike could hold a key or a path.
VARIABLES = (
    "ATEN_CPU_CAPABILITY",
    "BLIS_NUM_THREADS",
    "CUDA_DEVICE_MAX_CONNECTIONS",
    "CUDA_LAUNCH_BLOCKING",
    "CUDA_MODULE_LOADING",
    "DNNL_MAX_CPU_ISA",
    "GOMP_CPU_AFFINITY",
    "GOMP_SPINCOUNT",
    "KMP_AFFINITY",
    "KMP_BLOCKTIME",
    "KMP_DUPLICATE_LIB_OK",
    "KMP_HW_SUBSET",
    "KMP_LIBRARY",
    "KMP_SETTINGS",
    "KMP_TPAUSE",
    "MKL_CBWR",
    "MKL_DEBUG_CPU_TYPE",
    "MKL_DOMAIN_NUM_THREADS",
    "MKL_DYNAMIC",
    "MKL_ENABLE_INSTRUCTIONS",
    "MKL_INTERFACE_LAYER",
    "MKL_NUM_THREADS",
    "MKL_THREADING_LAYER",
    "NUMEXPR_NUM_THREADS",
    "OMP_DYNAMIC",
    "OMP_MAX_ACTIVE_LEVELS",
    "OMP_NESTED",
    "OMP_NUM_THREADS",
    "OMP_PLACES",
    "OMP_PROC_BIND",
    "OMP_SCHEDULE",
    "OMP_STACKSIZE",
    "OMP_THREAD_LIMIT",
    "OMP_WAIT_POLICY",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "ONEDNN_MAX_CPU_ISA",
    "OPENBLAS_CORETYPE",
    "OPENBLAS_MAIN_FREE",
    "OPENBLAS_NUM_THREADS",
    "PYTORCH_NO_CUDA_MEMORY_CACHING",
    "RAYON_NUM_THREADS",
    "TOKENIZERS_PARALLELISM",
    "TORCHINDUCTOR_COMPILE_THREADS",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    "TORCH_COMPILE_DISABLE",
    "VECLIB_MAXIMUM_THREADS",
)
VALUE_LIMIT = 500


def thread_facts(environment: Mapping[str, str] | None = None) -> list[Fact]:
    """How many of the known variables are set, and the value of each that is."""
    variables = os.environ if environment is None else environment
    facts = [
        Fact(SECTION, name, variables[name][:VALUE_LIMIT], None, "environment variable")
        for name in VARIABLES
        if name in variables
    ]
    return [Fact(SECTION, "variables set", len(facts), "variables", "environment"), *facts]
