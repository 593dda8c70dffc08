"""Options before a statement that stays as it was typed."""

from __future__ import annotations

import pytest

from llmflame.errors import UsageError
from llmflame.notebook.options import MagicOptions, parse_line


@pytest.mark.parametrize(
    ("line", "options", "rest"),
    [
        ("", MagicOptions(), ""),
        ("f(x)", MagicOptions(), "f(x)"),
        ("  --once   f('a  b')  ", MagicOptions(once=True), "f('a  b')"),
        ("-o a.llmflame --force f()", MagicOptions(output="a.llmflame", force=True), "f()"),
        ("--output=a.llmflame f()", MagicOptions(output="a.llmflame"), "f()"),
        ("-o 'my runs/a b.llmflame' f()", MagicOptions(output="my runs/a b.llmflame"), "f()"),
        ('-o "it\'s" f()', MagicOptions(output="it's"), "f()"),
        ("-r 5 --name p", MagicOptions(repetitions=5, name="p"), ""),
        ("--model chat.model --once -- -f()", MagicOptions(model="chat.model", once=True), "-f()"),
        ("-1 + f()", MagicOptions(), "-1 + f()"),
        ("-(f())", MagicOptions(), "-(f())"),
        ("x = f('--once')", MagicOptions(), "x = f('--once')"),
        ("--", MagicOptions(), ""),
    ],
)
def test_what_is_read(line: str, options: MagicOptions, rest: str) -> None:
    assert parse_line(line) == (options, rest)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--bogus f()", "no option --bogus; there are -o, --output"),
        ("--once=yes f()", "--once takes no value"),
        ("-x f()", "no option -x"),
        ("-o", "-o needs a value"),
        ("-o --once f()", "-o needs a value"),
        ("-o '' f()", "-o needs a value"),
        ("-r ² f()", "whole number"),
        ("--name a.b f()", "name of a variable"),
        ("--" + "a" * 500 + " f()", "no option"),
    ],
)
def test_what_cant_be_read_is_one_short_line(line: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_line(line)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 250
