"""Finds what documents tell their readers to type: commands, Python, SQL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/README.md")]
    if path.name != "CHANGELOG.md" and "node_modules" not in path.parts
)
PROGRAMS = ("llmflame", "python", "pip", "make", "npm", "npx", "go", "sqlite3")
SHELLS = ("", "sh", "bash", "console", "shell")
_FENCE = re.compile(r"^ *```+ *([\w+-]*)")
_SPAN = re.compile(r"(?<!`)`(llmflame [a-z-][^`\n]*)`(?!`)")


@dataclass(frozen=True, slots=True)
class Found:
    """One command, or one block of Python or SQL, and where it stands."""

    document: str
    line: int
    kind: str
    """`command`, `span` (within a sentence), `python` or `sql`."""
    text: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


def found_in(path: Path) -> list[Found]:
    """Everything of one document, in its order."""
    return list(_found(path.read_text("utf-8"), str(path.relative_to(ROOT))))


def _found(text: str, name: str) -> Iterator[Found]:
    language: str | None = None
    block: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        fence = _FENCE.match(line)
        if fence and language is None:
            language, block = fence[1], []
        elif fence:
            if language in ("python", "sql"):
                yield Found(name, number - len(block), language, "\n".join(block))
            language = None
        elif language is not None:
            block.append(line)
            if language in SHELLS and (command := command_of(line)):
                yield Found(name, number, "command", command)
        elif line.startswith("    ") and (command := command_of(line)):
            yield Found(name, number, "command", command)
        else:
            for span in _SPAN.findall(line):
                yield Found(name, number, "span", span)


def command_of(line: str) -> str | None:
    """A line's command without prompt and comment; None where it is something else."""
    words = line.strip().removeprefix("$ ")
    if words.split(" ")[0] not in PROGRAMS:
        return None
    return re.split(r"\s+#\s", words)[0].strip()
