"""Names of rows, what they promise, and what a ladder tries together."""

from __future__ import annotations

import pytest

from llmflame.errors import UsageError
from llmflame.lab.ladder import units
from llmflame.lab.rows import planned, read_rows, row_name
from llmflame.store.lab_rows import LabRow
from tests.lab.planted import Planted, planted


def test_rows_are_read_in_their_order_and_once() -> None:
    assert read_rows("a, b+c ,a", "transformers") == (("transformers", ("a",)), ("transformers", ("b", "c")))
    assert read_rows("a,transformers:b", "scratch") == (("scratch", ("a",)), ("transformers", ("b",)))
    assert read_rows("stock,scratch,scratch:a", "transformers") == (("scratch", ()), ("scratch", ("a",)))


@pytest.mark.parametrize("text", ["", "a,,b", "a+", "vllm:a"])
def test_what_is_no_list_of_rows_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        read_rows(text, "transformers")


def test_names() -> None:
    assert row_name(("transformers", ())) == "stock" and row_name(("scratch", ())) == "scratch"
    assert row_name(("transformers", ("a", "b"))) == "a+b" and row_name(("scratch", ("a",))) == "scratch:a"


def row(*names: str, engine: str = "transformers", rung: int | None = None) -> LabRow:
    return planned((engine, names), Planted(), batch=1, number=1, rung=rung)  # type: ignore[arg-type]


def test_a_row_promises_what_its_weakest_part_does() -> None:
    assert row("bits").equality == "bitwise"
    assert row("bits", "nothing").equality == "equivalent"
    assert row("bits", "rounded").equality == "approximate"
    assert row("bits", engine="scratch").equality == "equivalent"
    assert row(engine="scratch").equality == "equivalent"


def test_a_row_is_judged_by_its_phase_but_on_a_ladder_by_the_whole_request() -> None:
    assert row("nothing").phase == "decode" and row("nothing", rung=1).phase == "all"
    assert row().phase == "all"


def test_a_ladder_tries_a_variant_together_with_what_it_needs() -> None:
    pool = [
        planted("static", slot="cache"),
        planted("sliding", slot="cache"),
        planted("graph", slot="steps", needs=("cache",)),
    ]
    assert units(pool) == [("static",), ("sliding",), ("static", "graph"), ("sliding", "graph")]
    assert units(pool, ("static",)) == [("sliding",), ("graph",)]


def test_what_fills_several_needs_is_tried_once() -> None:
    pool = [
        planted("static", slot="cache", fills=("fixed",)),
        planted("joined", slot="projections"),
        planted("kernels", slot="steps", needs=("static", "projections", "fixed")),
    ]
    assert units(pool)[-1] == ("static", "joined", "kernels")
    assert units(pool, ("joined",)) == [("static",), ("static", "kernels")]


def test_another_batch_size_is_no_row_beside_those_of_this_one() -> None:
    catalogue = Planted((planted("batch-8", slot="batch"),))
    with pytest.raises(UsageError, match="batch-8: rows are compared at the same batch size, say --batch 8"):
        planned(("transformers", ("batch-8",)), catalogue, batch=1, number=1)


def test_a_model_to_draft_with_is_named_behind_its_variant() -> None:
    assert read_rows("draft-model=dummy:x", "scratch") == (("scratch", ("draft-model=dummy:x",)),)
