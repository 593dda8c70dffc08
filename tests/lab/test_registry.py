"""The table of variants: complete, documented, cheap to import, and clear about what can't be combined."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from llmflame.errors import UsageError
from llmflame.lab.variants.registry import VARIANTS, chosen, find, of_engine
from llmflame.lab.variants.variant import Circumstances, Variant

REPOSITORY = Path(__file__).parents[2]
FOLDER = REPOSITORY / "src" / "llmflame" / "lab" / "variants"
NO_VARIANTS = {"__init__", "registry", "setup", "variant", "draft_model"}
"""Files that hold none; a draft model must be named first."""


def test_every_file_is_registered() -> None:
    for file in FOLDER.glob("*.py"):
        if file.stem in NO_VARIANTS:
            continue
        module = importlib.import_module(f"llmflame.lab.variants.{file.stem}")
        held = [value for value in vars(module).values() if isinstance(value, Variant)]
        held += [one for one in getattr(module, "VARIANTS", ()) if isinstance(one, Variant)]
        assert held, file.name
        assert all(one in VARIANTS for one in held), file.name


def test_names_are_unique_and_typeable() -> None:
    names = [variant.name for variant in VARIANTS]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) for name in names)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_a_variant_says_what_it_is(variant: Variant) -> None:
    assert variant.changes.endswith(".") and variant.helps.endswith(".")
    assert variant.phases and variant.engines
    assert "\n" not in variant.changes + variant.helps
    known = {one.name for one in VARIANTS} | {slot for one in VARIANTS for slot in (one.slot, *one.fills)}
    assert set(variant.needs) <= known


def test_the_table_needs_no_torch() -> None:
    program = (
        "import sys\nimport llmflame.lab.variants.registry\n"
        "print(sorted({'torch', 'transformers', 'numpy', 'triton'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_document_lists_each_as_it_is() -> None:
    text = (REPOSITORY / "docs" / "lab-variants.md").read_text("utf-8")
    rows = {
        match[1]: [cell.strip() for cell in match[2].split("|")]
        for match in re.finditer(r"^\| `([^`]+)` \|(.+)\|$", text, flags=re.MULTILINE)
    }
    listed = {name: cells for name, cells in rows.items() if name in {one.name for one in VARIANTS}}
    assert list(listed) == [variant.name for variant in VARIANTS]
    for variant in VARIANTS:
        engines, phases, equality, slot = listed[variant.name][:4]
        assert engines == ", ".join(variant.engines)
        assert phases == ", ".join(variant.phases)
        assert equality == variant.equality
        assert slot == variant.slot


def test_what_there_is_not() -> None:
    with pytest.raises(UsageError, match=r"there is no variant `statik-cache`; there are .*static-cache"):
        find("statik-cache")


def test_names_with_a_choice() -> None:
    assert find("threads-3").name == "threads-3"
    assert find("batch-5").slot == "batch"
    assert find("draft-model=demo").slot == "speculation"
    for wrong in ("threads-0", "batch-", "draft-model="):
        with pytest.raises(UsageError):
            find(wrong)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("bf16", "fp16"), "bf16 and fp16 exclude each other: both are dtype"),
        (("static-cache", "kv-int8"), "exclude each other: both are cache"),
        (
            ("static-cache", "compile-reduce-overhead", "cuda-graph"),
            "compile-reduce-overhead and cuda-graph exclude each other: both are graph",
        ),
        (("cuda-graph",), "cuda-graph needs one of these beside it: static-cache, kv-int8, kv-fp8"),
        (("fused-kernels", "static-cache"), "fused-kernels needs one of these beside it: fused-projections"),
        (("sliding-cache", "compile"), "compile needs one of these beside it: static-cache"),
        (("bf16", "bf16"), "exclude each other"),
    ],
)
def test_what_cannot_be_combined(names: tuple[str, ...], said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        chosen(names)


def test_the_order_of_names_is_kept() -> None:
    names = ("fused-projections", "static-cache", "bf16")
    assert tuple(variant.name for variant in chosen(names)) == names
    assert {"static-cache", "sdpa"} <= {variant.name for variant in of_engine("transformers")}
    assert "fused-kernels" not in {variant.name for variant in of_engine("transformers")}


def here(**changes: object) -> Circumstances:
    values: dict[str, object] = {
        "engine": "scratch",
        "device": "cpu",
        "dtype": "float32",
        "batch": 1,
        "torch": (2, 13),
        "capability": None,
        "cpu_flags": frozenset({"avx2"}),
        "physical_cores": 4,
        "logical_cpus": 8,
        "modules": frozenset(),
        "compiler": True,
    }
    return Circumstances(**{**values, **changes})  # type: ignore[arg-type]


GPU = {"device": "cuda", "capability": (9, 0), "modules": frozenset({"triton"})}


@pytest.mark.parametrize(
    ("name", "circumstances", "said"),
    [
        ("cuda-graph", here(), "need a CUDA device"),
        ("cuda-graph", here(**GPU), None),
        ("compile", here(), None),
        ("compile", here(compiler=False), "C++ compiler"),
        ("compile", here(**{**GPU, "modules": frozenset()}), "triton"),
        ("compile-reduce-overhead", here(), "CUDA graphs"),
        ("fused-kernels", here(), None),
        ("fused-kernels", here(batch=4), "one sequence, not 4"),
        ("fused-kernels", here(dtype="float16"), "not in float16"),
        ("fused-kernels", here(compiler=False), "C++ compiler"),
        ("fused-kernels", here(**{**GPU, "modules": frozenset()}), "triton"),
        ("fp8", here(), "CPUs have no instructions"),
        ("fp8", here(**{**GPU, "capability": (8, 0)}), "8.9 is the first"),
        ("fp8", here(**GPU), None),
        ("kv-fp8", here(**{**GPU, "capability": (7, 5)}), "8.9 is the first"),
        ("kv-int8", here(engine="transformers"), "optimum"),
        ("sdpa-efficient", here(), "CUDA alone"),
        ("sdpa-flash", here(**GPU), "takes no mask"),
        ("flex-attention", here(torch=(2, 5)), "2.6 is the first"),
        ("threads-16", here(), "has 8 CPUs"),
        ("threads-2", here(**GPU), "on the CPU alone"),
        ("physical-threads", here(), None),
        ("physical-threads", here(logical_cpus=4), "it would change nothing"),
        ("prompt-lookup", here(batch=2), "one sequence alone"),
        ("run-ahead", here(), "no queue"),
        ("pinned-load", here(), "no copy to a device"),
        ("huge-pages", here(**GPU), "the CPU's memory"),
        ("packed-weights", here(**GPU), "for the CPU"),
        ("packed-weights", here(dtype="bfloat16"), "AVX-512 or AMX"),
    ],
)
def test_refusals(name: str, circumstances: Circumstances, said: str | None) -> None:
    found = find(name).refusal(circumstances)
    if said is None:
        assert found is None
    else:
        assert found is not None and said in found and "\n" not in found
