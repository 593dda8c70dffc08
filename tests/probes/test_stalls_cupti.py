"""CUPTI through ctypes: which library, which layout, what it hands over, and its refusals in words."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest

from llmflame.errors import StallsRefusedError
from llmflame.probes.stalls import cupti_layout as layout
from llmflame.probes.stalls.binaries import Binaries, checksum_of
from llmflame.probes.stalls.cupti_library import Cupti, check_version, mapped_library
from llmflame.probes.stalls.cupti_sampler import CuptiSampler, current_context
from llmflame.probes.stalls.disassembly import instruction_texts, parse_listing
from tests.probes.fake_cupti import FakeCupti, Sampled

CONTEXT = 77
TORCHS = "/site/nvidia/cu13/lib/libcupti.so.13"
MAP = "7f00-7f01 r-xp 00000000 fd:00 1234    {}\n"
C_NAMES = {
    "CUpti_PCSamplingStallReason": layout.StallReason,
    "CUpti_PCSamplingPCData": layout.PcData,
    "CUpti_PCSamplingData": layout.SamplingData,
    "CUpti_PCSamplingConfigurationInfo": layout.Attribute,
    "CUpti_PCSamplingEnableParams": layout.OfContext,
    "CUpti_PCSamplingConfigurationInfoParams": layout.Configuration,
    "CUpti_PCSamplingGetDataParams": layout.GetData,
    "CUpti_PCSamplingGetNumStallReasonsParams": layout.ReasonCount,
    "CUpti_PCSamplingGetStallReasonsParams": layout.Reasons,
    "CUpti_GetSassToSourceCorrelationParams": layout.SourceLine,
    "CUpti_GetCubinCrcParams": layout.CubinChecksum,
}
SIZES = (8, 64, 80, 32, 24, 40, 32, 32, 48, 64, 32)
"""Of the structures above in CUDA 13.0's headers, compiled for x86-64."""
HEADERS = Path("/usr/local/cuda/include")


def sampler(fake: FakeCupti, *, serialized: bool = False) -> CuptiSampler:
    return CuptiSampler(Cupti(fake, TORCHS), CONTEXT, serialized=serialized)


def test_structures_are_as_large_as_in_the_headers() -> None:
    assert tuple(ctypes.sizeof(structure) for structure in C_NAMES.values()) == SIZES


@pytest.mark.skipif(
    shutil.which("gcc") is None or not (HEADERS / "cupti_pcsampling.h").is_file(),
    reason="needs a C compiler and CUPTI's headers",
)
def test_a_c_compiler_lays_them_out_alike(tmp_path: Path) -> None:
    lines = ["#include <stdio.h>", "#include <stddef.h>", "#include <cuda.h>", "#include <cupti.h>"]
    lines += ["#include <cupti_pcsampling.h>", "int main(void) {"]
    lines += [f'printf("%zu\\n", sizeof({name}));' for name in C_NAMES]
    offsets = {
        "CUpti_PCSamplingPCData": {"functionName": layout.PcData.function_name.offset},
        "CUpti_PCSamplingData": {"pPcData": layout.SamplingData.pc_data.offset},
        "CUpti_GetSassToSourceCorrelationParams": {"pcOffset": layout.SourceLine.pc_offset.offset},
    }
    wanted = [ctypes.sizeof(structure) for structure in C_NAMES.values()]
    for name, fields in offsets.items():
        for field, offset in fields.items():
            lines.append(f'printf("%zu\\n", offsetof({name}, {field}));')
            wanted.append(offset)
    (tmp_path / "sizes.c").write_text("\n".join([*lines, "}"]))
    command = ["gcc", f"-I{HEADERS}", "sizes.c", "-o", "sizes"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
    printed = subprocess.run(
        [str(tmp_path / "sizes")], capture_output=True, text=True, check=True, timeout=60
    )
    assert [int(line) for line in printed.stdout.split()] == wanted


def test_the_library_is_the_one_that_is_loaded() -> None:
    assert mapped_library(MAP.format("/lib/libc.so.6") + 3 * MAP.format(TORCHS)) == TORCHS


def test_without_a_library_it_says_what_is_needed() -> None:
    with pytest.raises(StallsRefusedError, match="needs a build of torch for CUDA"):
        mapped_library(MAP.format("/lib/libcuda.so.1"))


def test_two_copies_are_refused_and_two_names_of_one_are_not(tmp_path: Path) -> None:
    """Triton's Proton brings a libcupti of its own: both then answer for each other."""
    proton = "/site/triton/backends/nvidia/lib/cupti/libcupti.so"
    with pytest.raises(StallsRefusedError, match="another profiler is in this process"):
        mapped_library(MAP.format(TORCHS) + MAP.format(proton))
    real = tmp_path / "libcupti.so.13"
    real.touch()
    link = tmp_path / "libcupti.so"
    link.symlink_to(real)
    assert mapped_library(MAP.format(real) + MAP.format(link)) in (str(real), str(link))


def test_a_process_without_maps_says_so(tmp_path: Path) -> None:
    with pytest.raises(StallsRefusedError, match="works on Linux"):
        Cupti.loaded(tmp_path / "maps")


@pytest.mark.parametrize("version", [24, 26, 130_000, 130_500])
def test_versions_of_this_layout(version: int) -> None:
    check_version(version)


@pytest.mark.parametrize(("version", "words"), [(23, "older than CUDA 12.4"), (140_000, "newer than this")])
def test_versions_that_are_not_known_are_refused(version: int, words: str) -> None:
    fake = FakeCupti()
    fake.version = version
    with pytest.raises(StallsRefusedError, match=words):
        sampler(fake)
    assert not fake.calls["cuptiPCSamplingEnable"]  # refused before anything is touched


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (35, "NVreg_RestrictProfilingToAdminUsers=0"),
        (39, "another profiler .* is attached"),
        (43, "MIG"),
        (26, "DCGM"),
        (999, r"cuptiPCSamplingEnable: CUPTI_ERROR_SOMETHING \(999\)"),
    ],
)
def test_refusals_are_one_line_with_how_to_allow_it(code: int, words: str) -> None:
    fake = FakeCupti()
    fake.codes["cuptiPCSamplingEnable"] = code
    with pytest.raises(StallsRefusedError, match=words) as refused:
        sampler(fake)
    assert "\n" not in str(refused.value)
    assert not fake.calls["cuptiPCSamplingDisable"]  # what was not enabled is not disabled


def test_what_fails_after_enabling_is_disabled_again() -> None:
    fake = FakeCupti()
    fake.codes["cuptiPCSamplingSetConfigurationAttribute"] = 7
    with pytest.raises(StallsRefusedError, match="another profiler samples"):
        sampler(fake)
    assert fake.calls["cuptiPCSamplingDisable"] == 1


def test_reasons_are_asked_for_and_counters_are_none() -> None:
    fake = FakeCupti()
    one = sampler(fake)
    assert one.reasons == ("long_scoreboard", "long_scoreboard_not_issued", "selected")
    assert fake.chosen == [3, 4, 7]
    assert fake.mode == layout.CONTINUOUS
    assert one.description == {
        "source": "CUPTI 130001",
        "mode": "continuous",
        "period_cycles": "2048",
        "buffer_bytes": str(512 << 20),
    }


def test_a_range_is_what_was_flushed_and_what_was_asked_for() -> None:
    """CUPTI fills the configured buffer by itself at a range's end: once only GetData's was read, and short
    ranges were empty."""
    fake = FakeCupti()
    one = sampler(fake)
    one.start()
    fake.flushed = [Sampled("gemm", 16, {3: 5, 4: 4})]
    fake.batches = [[Sampled("gemm", 16, {3: 2})], [Sampled("norm", 0, {7: 1}), Sampled("gemm", 32, {7: 3})]]
    fake.totals = (20, 2, 7)
    counts = one.stop()
    assert dict(counts.samples) == {
        ("gemm", f"{0xABC:016x}", 0, 16, "long_scoreboard"): 7,
        ("gemm", f"{0xABC:016x}", 0, 16, "long_scoreboard_not_issued"): 4,
        ("norm", f"{0xABC:016x}", 0, 0, "selected"): 1,
        ("gemm", f"{0xABC:016x}", 0, 32, "selected"): 3,
    }
    assert (counts.total, counts.dropped, counts.hidden, counts.buffer_full) == (20, 2, 7, False)


def test_what_is_drained_belongs_to_the_range_and_the_next_begins_anew() -> None:
    fake = FakeCupti()
    one = sampler(fake)
    one.start()
    fake.batches, fake.totals = [[Sampled("gemm", 0, {3: 1})]], (1, 0, 0)
    one.drain()
    fake.batches, fake.totals = [[Sampled("gemm", 0, {3: 2})]], (2, 0, 0)
    assert (counts := one.stop()).total == 3 and sum(counts.samples.values()) == 3
    one.start()
    assert one.stop().total == 0


def test_launches_are_told_apart_in_serialised_mode() -> None:
    fake = FakeCupti()
    one = sampler(fake, serialized=True)
    assert fake.mode == layout.SERIALIZED and one.description["mode"] == "serialised"
    one.start()
    fake.batches = [[Sampled("gemm", 0, {3: 1}, correlation=1), Sampled("gemm", 0, {3: 1}, correlation=4)]]
    assert {place[2] for place in one.stop().samples} == {1, 4}


def test_a_full_buffer_is_told_and_other_errors_are_raised() -> None:
    fake = FakeCupti()
    one = sampler(fake)
    one.start()
    fake.full = True
    assert one.stop().buffer_full
    fake.full, fake.codes["cuptiPCSamplingGetData"] = False, 3
    with pytest.raises(StallsRefusedError, match="cuptiPCSamplingGetData: 3"):
        one.stop()


def test_a_device_that_was_reset_is_a_refusal_and_closing_never_fails() -> None:
    fake = FakeCupti()
    one = sampler(fake)
    fake.codes |= {"cuptiPCSamplingStop": 3, "cuptiPCSamplingDisable": 3}
    with pytest.raises(StallsRefusedError, match="cuptiPCSamplingStop"):
        one.stop()
    one.close()
    one.close()
    assert fake.calls["cuptiPCSamplingDisable"] == 1


def test_a_library_without_the_function_is_one_line() -> None:
    class Old:
        def cuptiGetVersion(self, version: object) -> int:
            version._obj.value = 24  # type: ignore[attr-defined]
            return 0

    with pytest.raises(StallsRefusedError, match="has no cuptiPCSamplingEnable"):
        CuptiSampler(Cupti(Old(), TORCHS), CONTEXT)


def test_without_a_driver_there_is_no_context() -> None:
    if Path("/proc/driver/nvidia").exists():
        pytest.skip("this machine has a driver")
    with pytest.raises(StallsRefusedError, match="no CUDA driver"):
        current_context()


def test_binaries_are_caught_as_they_are_loaded(tmp_path: Path) -> None:
    fake = FakeCupti()
    binaries = Binaries(Cupti(fake, TORCHS), tmp_path)
    checksum = fake.load(b"\x7fELF machine code")
    assert binaries.find("gemm", f"{checksum:016x}") == tmp_path / f"{checksum:016x}"
    assert (binaries.caught, binaries.bytes) == (1, 17)
    assert binaries.find("gemm", f"{1:016x}") is None


def test_a_full_disk_loses_the_names_and_nothing_else(tmp_path: Path) -> None:
    fake = FakeCupti()
    binaries = Binaries(Cupti(fake, TORCHS), tmp_path / "gone")
    checksum = fake.load(b"code")  # an error raised through CUPTI would end the process
    assert checksum and binaries.caught == 0
    assert binaries.find("gemm", f"{checksum:016x}") is None


def test_what_triton_keeps_is_found_by_name_and_checksum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    for folder, content in (("a", b"stale"), ("b", b"current")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "triton_poi_fused.cubin").write_bytes(content)
    cupti = Cupti(FakeCupti(), TORCHS)
    binaries = Binaries(cupti)
    assert binaries.find("triton_poi_fused", checksum_of(cupti, b"current")) == (
        tmp_path / "b" / "triton_poi_fused.cubin"
    )
    assert binaries.find("triton_poi_fused", checksum_of(cupti, b"other")) is None


LISTING = """
	code for sm_90
		Function : nvjet_sm90_tst_64x8
	.headerflags	@"EF_CUDA_64BIT_ADDRESS EF_CUDA_SM90"
        /*0000*/                   LDC R1, c[0x0][0x28] ;    /* 0x00000a00ff017b82 */
    /* 0x000f620000000800 */
        /*0010*/                   @!P3 NANOSLEEP.SYNCS 0xc350 ;    /* 0x0000000000027919 */
        /*1e60*/              { HGMMA.64x8x16.F32.BF16 R24, gdesc[UR16], R24 ;
"""


def test_a_listing_gives_instructions_by_offset() -> None:
    assert parse_listing(LISTING) == {
        0x0: "LDC R1, c[0x0][0x28]",
        0x10: "@!P3 NANOSLEEP.SYNCS 0xc350",
        0x1E60: "HGMMA.64x8x16.F32.BF16 R24, gdesc[UR16], R24",
    }


def test_a_disassembler_that_fails_names_nothing(tmp_path: Path) -> None:
    failing = tmp_path / "cuobjdump"
    failing.write_text("#!/bin/sh\nexit 1\n")
    failing.chmod(0o755)
    assert instruction_texts(str(failing), tmp_path / "x", "f") == {}
    assert instruction_texts(str(tmp_path / "none"), tmp_path / "x", "f") == {}
