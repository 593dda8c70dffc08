"""What findings propose can be run, and nothing is proposed for findings that there aren't."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from llmflame.analysis import findings
from llmflame.analysis.findings import experiments
from llmflame.analysis.findings.experiments import EXPERIMENTS, experiments_of
from llmflame.analysis.findings.finding import Finding
from llmflame.lab.rows import planned, read_rows
from llmflame.lab.variants import registry

RULES = sorted(Path(findings.__file__).parent.glob("*_rules.py"))


def made() -> dict[str, str]:
    """By a finding's name, how its rule says what tests it."""
    found = {}
    for file in RULES:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Finding":
                name = node.args[0]
                assert isinstance(name, ast.Constant), ast.unparse(node)
                found[str(name.value)] = ast.unparse(node.args[6])
    return found


def test_every_row_that_a_finding_names_can_be_made_of_the_variants_that_there_are() -> None:
    for rows in EXPERIMENTS.values():
        for combination in read_rows(",".join(rows), "transformers"):
            row = planned(combination, registry, batch=1, number=0)
            for variant in registry.chosen(combination[1]):
                assert row.engine in variant.engines


def test_every_finding_that_is_tested_is_one_of_a_rule() -> None:
    assert set(EXPERIMENTS) <= set(made())


@pytest.mark.parametrize(("name", "said"), made().items())
def test_a_rule_says_what_tests_its_finding_by_its_own_name(name: str, said: str) -> None:
    asked = f"tested_by('{name}')"
    if name in EXPERIMENTS:
        assert said in (asked, f"None if compiled else {asked}")
    else:
        assert said in ("None", asked)


def test_a_finding_whose_rule_sees_nothing_to_do_proposes_nothing() -> None:
    finding = Finding("launch-bound", "", "request", 1.0, (), "", experiments.tested_by("launch-bound"))
    assert experiments_of(finding) == EXPERIMENTS["launch-bound"]
    assert experiments_of(Finding("launch-bound", "", "request", 1.0, (), "", None)) == ()
    assert (
        experiments_of(
            Finding("slow-imports", "", "request", 1.0, (), "", experiments.tested_by("slow-imports"))
        )
        == ()
    )
