"""What vendors print of their devices: dense rates and memory bandwidth, each with the document it is from.

Where a document prints rates with structured sparsity, the dense rate is half of it. What no document prints
is None. Names are compared as a whole: a device whose name merely contains a known one is another device.
"""

from __future__ import annotations

from dataclasses import dataclass, field

TERA = 1e12
GIGA = 1e9


@dataclass(frozen=True, slots=True)
class Published:
    """The printed figures of one device: operations a second by operand type, and bytes a second."""

    name: str
    names: tuple[str, ...]
    """What drivers call it: NVML, ROCm, or macOS' `machdep.cpu.brand_string`."""
    source: str
    """The title of the document that prints the figures."""
    memory_bytes_per_s: float | None
    float32_flop_per_s: float | None = field(default=None, kw_only=True)
    """Without tensor or matrix units where the vendor tells them apart from these."""
    tfloat32_flop_per_s: float | None = field(default=None, kw_only=True)
    bfloat16_flop_per_s: float | None = field(default=None, kw_only=True)
    float16_flop_per_s: float | None = field(default=None, kw_only=True)
    float8_flop_per_s: float | None = field(default=None, kw_only=True)
    int8_op_per_s: float | None = field(default=None, kw_only=True)
    note: str | None = field(default=None, kw_only=True)
    """What the figures alone don't say."""

    def flop_per_s(self, dtype: str) -> float | None:
        """Dense operations a second on operands of a type, by torch's name (`bfloat16`) or `tfloat32`."""
        return {
            "float32": self.float32_flop_per_s,
            "tfloat32": self.tfloat32_flop_per_s,
            "bfloat16": self.bfloat16_flop_per_s,
            "float16": self.float16_flop_per_s,
            "float8_e4m3fn": self.float8_flop_per_s,
            "float8_e5m2": self.float8_flop_per_s,
            "int8": self.int8_op_per_s,
        }.get(dtype)


@dataclass(frozen=True, slots=True)
class _Rates:
    """Dense tera-operations a second."""

    float32: float
    tfloat32: float | None
    bfloat16: float | None
    float16: float
    float8: float | None
    int8: float


def published_for(device_name: str) -> Published | None:
    """The figures of the device that a driver calls `device_name`; None for one that the table doesn't have.

    Case, spaces and a leading `NVIDIA` don't matter. Laptop versions, MIG parts and virtual GPUs have names
    of their own and match nothing.
    """
    wanted = _plain(device_name)
    return next((entry for entry in PUBLISHED if wanted in map(_plain, entry.names)), None)


def _plain(name: str) -> str:
    return " ".join(name.casefold().split()).removeprefix("nvidia ")


def _nvidia(
    name: str, names: tuple[str, ...], source: str, gigabytes: float, rates: _Rates, note: str | None = None
) -> Published:
    return Published(
        name,
        names,
        source,
        gigabytes * GIGA,
        float32_flop_per_s=rates.float32 * TERA,
        tfloat32_flop_per_s=None if rates.tfloat32 is None else rates.tfloat32 * TERA,
        bfloat16_flop_per_s=None if rates.bfloat16 is None else rates.bfloat16 * TERA,
        float16_flop_per_s=rates.float16 * TERA,
        float8_flop_per_s=None if rates.float8 is None else rates.float8 * TERA,
        int8_op_per_s=rates.int8 * TERA,
        note=note,
    )


def _apple(name: str, gigabytes: float, source: str) -> Published:
    return Published(name, (name,), source, gigabytes * GIGA, note="Apple prints no rates by operand type")


_A100_RATES = _Rates(19.5, 156, 312, 312, None, 624)
_A100_SOURCE = "NVIDIA A100 Tensor Core GPU datasheet"
_SPARSE = "dense is half of the printed rate, which is with sparsity"
_HOPPER_PAPER = "NVIDIA H100 Tensor Core GPU Architecture, white paper"

PUBLISHED: tuple[Published, ...] = (
    _nvidia(
        "T4",
        ("Tesla T4", "NVIDIA T4"),
        "NVIDIA Turing GPU Architecture, white paper",
        320,
        _Rates(8.1, None, None, 65, None, 130),
        "no tensor cores for bfloat16; NVIDIA also prints 300 GB/s",
    ),
    _nvidia(
        "L4",
        ("NVIDIA L4",),
        "NVIDIA L4 Tensor Core GPU datasheet",
        300,
        _Rates(30.3, 60, 121, 121, 242.5, 242.5),
        _SPARSE,
    ),
    _nvidia(
        "A10",
        ("NVIDIA A10",),
        "NVIDIA A10 Tensor Core GPU datasheet",
        600,
        _Rates(31.2, 62.5, 125, 125, None, 250),
    ),
    _nvidia("A100 40GB SXM", ("NVIDIA A100-SXM4-40GB", "A100-SXM4-40GB"), _A100_SOURCE, 1555, _A100_RATES),
    _nvidia("A100 40GB PCIe", ("NVIDIA A100-PCIE-40GB", "A100-PCIE-40GB"), _A100_SOURCE, 1555, _A100_RATES),
    _nvidia("A100 80GB SXM", ("NVIDIA A100-SXM4-80GB", "A100-SXM4-80GB"), _A100_SOURCE, 2039, _A100_RATES),
    _nvidia("A100 80GB PCIe", ("NVIDIA A100 80GB PCIe",), _A100_SOURCE, 1935, _A100_RATES),
    _nvidia(
        "L40S",
        ("NVIDIA L40S",),
        "NVIDIA L40S GPU datasheet",
        864,
        _Rates(91.6, 183, 362.05, 362.05, 733, 733),
    ),
    _nvidia(
        "GeForce RTX 4090",
        ("NVIDIA GeForce RTX 4090",),
        "NVIDIA Ada GPU Architecture, white paper",
        1008,
        _Rates(82.6, 82.6, 165.2, 165.2, 330.3, 660.6),
        "float16 and float8 with float32 accumulation; with float16 accumulation twice as much",
    ),
    _nvidia(
        "H100 PCIe",
        ("NVIDIA H100 PCIe",),
        _HOPPER_PAPER,
        2000,
        _Rates(51.2, 378, 756, 756, 1513, 1513),
    ),
    _nvidia(
        "H100 SXM",
        ("NVIDIA H100 80GB HBM3",),
        f"{_HOPPER_PAPER}; memory: NVIDIA H100 Tensor Core GPU datasheet",
        3350,
        _Rates(66.9, 494.7, 989.4, 989.4, 1978.9, 1978.9),
    ),
    _nvidia(
        "H100 NVL",
        ("NVIDIA H100 NVL",),
        "NVIDIA H100 Tensor Core GPU datasheet",
        3900,
        _Rates(60, 417.5, 835.5, 835.5, 1670.5, 1670.5),
        _SPARSE,
    ),
    _nvidia(
        "H200 SXM",
        ("NVIDIA H200",),
        "NVIDIA H200 Tensor Core GPU datasheet",
        4800,
        _Rates(67, 494.5, 989.5, 989.5, 1979, 1979),
        _SPARSE,
    ),
    _nvidia(
        "H200 NVL",
        ("NVIDIA H200 NVL",),
        "NVIDIA H200 Tensor Core GPU datasheet",
        4800,
        _Rates(60, 417.5, 835.5, 835.5, 1670.5, 1670.5),
        _SPARSE,
    ),
    _nvidia(
        "B200",
        ("NVIDIA B200",),
        "NVIDIA Blackwell datasheet (HGX B200); memory: NVIDIA Blackwell Architecture, technical brief",
        8000,
        _Rates(75, 1100, 2250, 2250, 4500, 4500),
        f"{_SPARSE}; the Blackwell datasheet prints 7.7 TB/s",
    ),
    Published(
        "Instinct MI300X",
        ("AMD Instinct MI300X", "AMD Instinct MI300X OAM"),
        "AMD Instinct MI300X Accelerator data sheet",
        5300 * GIGA,
        float32_flop_per_s=163.4 * TERA,
        tfloat32_flop_per_s=653.7 * TERA,
        bfloat16_flop_per_s=1307.4 * TERA,
        float16_flop_per_s=1307.4 * TERA,
        float8_flop_per_s=2614.9 * TERA,
        int8_op_per_s=2614.9 * TERA,
    ),
    _apple("Apple M1 Pro", 200, "Apple Newsroom, Introducing M1 Pro and M1 Max"),
    _apple("Apple M1 Max", 400, "Apple Newsroom, Introducing M1 Pro and M1 Max"),
    _apple("Apple M1 Ultra", 800, "Apple Newsroom, Apple unveils M1 Ultra"),
    _apple("Apple M2", 100, "Apple Newsroom, Apple unveils M2"),
    _apple("Apple M2 Pro", 200, "Apple Newsroom, Apple unveils M2 Pro and M2 Max"),
    _apple("Apple M2 Max", 400, "Apple Newsroom, Apple unveils M2 Pro and M2 Max"),
    _apple("Apple M2 Ultra", 800, "Apple Newsroom, Apple introduces M2 Ultra"),
    _apple("Apple M3", 100, "Apple, MacBook Pro (14-inch, M3) technical specifications"),
    _apple("Apple M3 Pro", 150, "Apple, MacBook Pro (14-inch, M3 Pro) technical specifications"),
    _apple("Apple M3 Ultra", 819, "Apple, Mac Studio (2025) technical specifications"),
    _apple("Apple M4", 120, "Apple, MacBook Pro (14-inch, M4) technical specifications"),
    _apple("Apple M4 Pro", 273, "Apple, MacBook Pro (14-inch, M4 Pro) technical specifications"),
)
"""Devices that share a name but not their figures are left out: the Apple M3 Max (300 or 400 GB/s) and M4 Max
(410 or 546 GB/s)."""
