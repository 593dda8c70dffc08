"""A cell's code, made ready to run as often as it is asked for, in the user's namespace."""

from __future__ import annotations

import ast
import io
import tokenize
from types import CodeType
from typing import Any

EMPTY = frozenset({tokenize.NEWLINE, tokenize.NL, tokenize.COMMENT, tokenize.DEDENT, tokenize.ENDMARKER})
"""Tokens that nobody reads as code."""


class CellCode:
    """Compiled under a name by which the shell finds its lines again, for tracebacks and for the graph.

    Raises SyntaxError as the cell itself would.
    """

    def __init__(self, shell: Any, source: str) -> None:
        self._names: dict[str, Any] = shell.user_ns
        transformed = shell.transform_cell(source)
        file = shell.compile.cache(transformed, shell.execution_count, raw_code=source)
        tree = shell.transform_ast(ast.parse(transformed, file))
        self.names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        self._body: CodeType = shell.compile(tree, file, "exec")
        self._silenced = _ends_with_semicolon(transformed)
        self._last: CodeType | None = None
        if isinstance(last, ast.Expr):
            self._last = shell.compile(ast.Expression(last.value), file, "eval")

    def run(self) -> Any:
        """Run it; the value of its last line where that is an expression without a semicolon, else None."""
        exec(self._body, self._names)
        value = None if self._last is None else eval(self._last, self._names)
        return None if self._silenced else value


def _ends_with_semicolon(source: str) -> bool:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    words = [token.string for token in tokens if token.type not in EMPTY]
    return bool(words) and words[-1] == ";"
