"""Every reason has its group and its words, and the document has them all."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmflame.analysis.stalls.opcodes import CLASS_OF, opcode_class
from llmflame.analysis.stalls.reasons import GROUP_WORDS, GROUPS, REASONS, Reason, group_of

DOCUMENT = (Path(__file__).parents[3] / "docs" / "stalls.md").read_text("utf-8")
CHIPS = """selected not_selected barrier branch_resolving dispatch_stall drain imc_miss lg_throttle
    long_scoreboard math_pipe_throttle membar mio_throttle misc no_instructions
    short_scoreboard sleeping tex_throttle wait
    warpgroup_arrive"""
"""What CUPTI 13.0 names over all of its chips."""


def test_all_that_chips_name_is_known() -> None:
    assert set(REASONS) == set(CHIPS.split())
    assert {reason.group for reason in REASONS.values()} == set(GROUPS) == set(GROUP_WORDS)


def test_what_a_later_chip_names_is_in_a_group_too() -> None:
    assert group_of("long_scoreboard") == "device memory"
    assert group_of("quantum_scoreboard") == "other"


@pytest.mark.parametrize("one", REASONS.values(), ids=lambda one: one.name)
def test_the_document_says_the_same(one: Reason) -> None:
    assert f"| `{one.name}` | {one.group} | {one.meaning} | {one.helps} |" in DOCUMENT
    assert one.meaning.endswith(".") and one.helps.endswith(".")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("LDG.E.128", "global loads"),
        ("@!P0 LDG.E.128.CONSTANT R4, [R2.64]", "global loads"),
        ("HGMMA.64x8x16.F32.BF16", "tensor cores"),
        ("BRA;", "control"),
        ("NEWOP.X", "other"),
        ("@P0", None),
        ("", None),
    ],
)
def test_instructions_have_a_class(text: str, expected: str | None) -> None:
    assert opcode_class(text) == expected


def test_no_opcode_is_in_two_classes() -> None:
    from llmflame.analysis.stalls.opcodes import _OPCODES

    assert sum(len(set(names.split())) for names in _OPCODES.values()) == len(CLASS_OF)
