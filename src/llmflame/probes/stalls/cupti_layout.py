"""The structures of CUPTI's PC Sampling API, as cupti_pcsampling.h lays them out.

Two of them are packed and aligned to 8 bytes: ctypes pads nothing there, so the padding is spelled out. The
layout of a sampled instruction changed with CUPTI 12.4 (`correlationId` was added); what is older is refused.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, Union, c_char_p, c_int, c_size_t, c_uint8, c_uint32, c_uint64, c_void_p

OLDEST_VERSION = 24
"""`cuptiGetVersion` of CUDA 12.4, the first with this layout."""
NEWEST_KNOWN_MAJOR = 13
"""CUDA's major release whose headers this was compared with."""
REASON_NAME_BYTES = 128
"""CUPTI_STALL_REASON_STRING_SIZE."""


class StallReason(Structure):
    """CUpti_PCSamplingStallReason."""

    _pack_ = 1
    _fields_ = (("index", c_uint32), ("samples", c_uint32))


class PcData(Structure):
    """CUpti_PCSamplingPCData: one instruction with its samples by reason."""

    _pack_ = 1
    _fields_ = (
        ("size", c_size_t),
        ("cubin_crc", c_uint64),
        ("pc_offset", c_uint64),
        ("function_index", c_uint32),
        ("pad", c_uint32),
        ("function_name", c_void_p),  # not c_char_p: it must be freed
        ("reason_count", c_size_t),
        ("reasons", POINTER(StallReason)),
        ("correlation_id", c_uint32),
        ("alignment", c_uint32),
    )


class SamplingData(Structure):
    """CUpti_PCSamplingData: what one call of GetData hands over."""

    _pack_ = 1
    _fields_ = (
        ("size", c_size_t),
        ("wanted_pcs", c_size_t),
        ("total_samples", c_uint64),
        ("dropped_samples", c_uint64),
        ("pcs", c_size_t),
        ("remaining_pcs", c_size_t),
        ("range_id", c_uint64),
        ("pc_data", POINTER(PcData)),
        ("hidden_samples", c_uint64),
        ("buffer_full", c_uint8),
        ("alignment", c_uint8 * 7),
    )


class _ReasonChoice(Structure):
    _fields_ = (("count", c_size_t), ("indices", POINTER(c_uint32)))


class _Value(Union):
    _fields_ = (
        ("number", c_uint32),
        ("size", c_size_t),
        ("reasons", _ReasonChoice),
        ("buffer", c_void_p),
        ("room", c_uint64 * 3),
    )


class Attribute(Structure):
    """CUpti_PCSamplingConfigurationInfo."""

    _fields_ = (("kind", c_int), ("status", c_int), ("value", _Value))


SAMPLING_PERIOD, STALL_REASON, SCRATCH_BUFFER, HARDWARE_BUFFER, COLLECTION_MODE = 1, 2, 3, 4, 5
START_STOP, OUTPUT_FORMAT, DATA_BUFFER, WORKER_SLEEP = 6, 7, 8, 9
CONTINUOUS, SERIALIZED = 1, 2
PARSED = 1


class OfContext(Structure):
    """The parameters of Enable, Disable, Start and Stop."""

    _fields_ = (("size", c_size_t), ("private", c_void_p), ("context", c_void_p))


class Configuration(Structure):
    """CUpti_PCSamplingConfigurationInfoParams."""

    _fields_ = (
        ("size", c_size_t),
        ("private", c_void_p),
        ("context", c_void_p),
        ("count", c_size_t),
        ("attributes", POINTER(Attribute)),
    )


class GetData(Structure):
    """CUpti_PCSamplingGetDataParams."""

    _fields_ = (("size", c_size_t), ("private", c_void_p), ("context", c_void_p), ("data", c_void_p))


class ReasonCount(Structure):
    """CUpti_PCSamplingGetNumStallReasonsParams."""

    _fields_ = (
        ("size", c_size_t),
        ("private", c_void_p),
        ("context", c_void_p),
        ("count", POINTER(c_size_t)),
    )


class Reasons(Structure):
    """CUpti_PCSamplingGetStallReasonsParams."""

    _fields_ = (
        ("size", c_size_t),
        ("private", c_void_p),
        ("context", c_void_p),
        ("count", c_size_t),
        ("indices", POINTER(c_uint32)),
        ("names", POINTER(c_char_p)),
    )


class SourceLine(Structure):
    """CUpti_GetSassToSourceCorrelationParams."""

    _fields_ = (
        ("size", c_size_t),
        ("cubin", c_void_p),
        ("function", c_char_p),
        ("cubin_bytes", c_size_t),
        ("line", c_uint32),
        ("pc_offset", c_uint64),
        ("file", c_void_p),
        ("folder", c_void_p),
    )


class CubinChecksum(Structure):
    """CUpti_GetCubinCrcParams."""

    _fields_ = (("size", c_size_t), ("cubin_bytes", c_size_t), ("cubin", c_void_p), ("crc", c_uint64))


def sized(structure: type[Structure], **fields: object) -> Structure:
    """An instance that says its own size, as every call of CUPTI wants."""
    made = structure(**fields)
    made.size = ctypes.sizeof(structure)
    return made
