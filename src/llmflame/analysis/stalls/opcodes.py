"""What an instruction of an NVIDIA GPU is for, by its opcode.

Opcodes: "Instruction Set Reference" in NVIDIA's documentation of the CUDA binary utilities.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

OpcodeClass = Literal[
    "tensor cores",
    "global loads",
    "global stores",
    "shared memory",
    "local memory",
    "constants",
    "special functions",
    "floating point",
    "conversions",
    "integer",
    "between threads",
    "barriers",
    "control",
    "moves",
    "other",
]
_OPCODES: Mapping[OpcodeClass, str] = {
    "tensor cores": "HMMA IMMA DMMA BMMA QMMA OMMA HGMMA IGMMA QGMMA BGMMA UTCHMMA UTCIMMA UTCQMMA UTCOMMA",
    "global loads": "LD LDG LDGSTS LDGDEPBAR UBLKCP UBLKPF UTMALDG UTMAPF TEX TLD TLD4 TXD SULD CCTL",
    "global stores": "ST STG RED REDG REDAS ATOM ATOMG UTMASTG UTMAREDG UBLKRED SUST SURED SUATOM",
    "shared memory": "LDS STS LDSM STSM ATOMS MATCH LDTM STTM UTCCP",
    "local memory": "LDL STL",
    "constants": "LDC LDCU ULDC",
    "special functions": "MUFU",
    "floating point": (
        "FADD FADD2 FADD32I FMUL FMUL2 FMUL32I FFMA FFMA2 FFMA32I FMNMX FMNMX3 FSEL FSET FSETP FCHK "
        "FSWZADD HADD2 HADD2_32I HMUL2 HMUL2_32I HFMA2 HFMA2_32I HMNMX2 HSET2 HSETP2 DADD DMUL DFMA "
        "DSETP UFADD UFMUL UFFMA UFMNMX UFSEL UFSETP"
    ),
    "conversions": "F2F F2FP F2I F2IP I2F I2FP I2I I2IP FRND UF2F UF2FP UF2I UI2F UI2FP UI2I UI2IP UFRND",
    "integer": (
        "IADD IADD3 IADD32I IADD64 IMAD IMUL IMNMX ISETP IABS IDP IDP4A ISCADD LEA LOP LOP3 LOP32I "
        "SHF SHL SHR POPC FLO BREV BMSK PRMT SGXT SEL VABSDIFF VABSDIFF4 VIADD VIADDMNMX VIMNMX "
        "VIMNMX3 VHMNMX PLOP3 PSETP UIADD3 UIADD64 UIMAD UIMNMX UISETP UIABS ULEA ULOP ULOP3 USHF "
        "USHL USHR UPOPC UFLO UBREV UBMSK UPRMT USGXT USEL UPLOP3 UPSETP UVIADD UVIMNMX UVIRTCOUNT"
    ),
    "between threads": "SHFL REDUX CREDUX VOTE VOTEU",
    "barriers": (
        "BAR SYNCS MEMBAR FENCE DEPBAR ERRBAR WARPSYNC WARPGROUP WARPGROUPSET ARRIVES UTCBAR "
        "UCGABAR_ARV UCGABAR_WAIT ACQBULK PREEXIT B2R R2B"
    ),
    "control": (
        "BRA BRX BRXU BREAK BSYNC BSSY BMOV CALL RET EXIT JMP JMX JMXU KILL NANOSLEEP RPCMOV YIELD "
        "NOP BPT RTT ELECT ACQSHMINIT"
    ),
    "moves": (
        "MOV MOV32I MOVM MOV64IUR S2R S2UR CS2R CS2UR R2UR P2R R2P LEPC GETLMEMBASE SETLMEMBASE UMOV "
        "UP2UR UR2UP SETCTAID USETMAXREG USETSHMSZ"
    ),
}  # fmt: skip
CLASS_OF: Mapping[str, OpcodeClass] = {
    opcode: name for name, opcodes in _OPCODES.items() for opcode in opcodes.split()
}


def opcode_class(text: str) -> OpcodeClass | None:
    """The class of an instruction as the disassembler writes it (`LDG.E.128`); None of an empty text."""
    words = text.split()
    if words and words[0].startswith("@"):  # a predicate
        words = words[1:]
    if not words:
        return None
    return CLASS_OF.get(words[0].split(".")[0].rstrip(";"), "other")
