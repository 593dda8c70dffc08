"""Where each node of a profile lies: its module, its operator, whose code it is."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

from llmflame.store.model import Frame
from llmflame.store.profile import Profile

LIBRARIES = (
    "transformers/",
    "torch/",
    "accelerate/",
    "tokenizers/",
    "huggingface_hub/",
    "safetensors/",
    "numpy/",
    "triton/",
)


class Place(NamedTuple):
    """One node, with what is around it. A plain tuple: a profile has tens of thousands of them."""

    frame: Frame
    parent: int | None
    module: str | None
    """The path of the nearest module; None outside of the model."""
    operator: str | None
    """The innermost operator at or above it."""
    function: Frame | None
    """The innermost Python function at or above it that is not of Python's own library."""
    operators: frozenset[str]
    """All operators at or above it."""
    functions: frozenset[tuple[str, str]]
    """(file, name) of all Python functions at or above it."""
    names: frozenset[str]
    """Of these functions, whatever their files."""

    @property
    def is_foreign(self) -> bool:
        """Outside of the model, in code of no known library: the program's own."""
        file = self.function.file if self.function is not None else None
        return self.module is None and file is not None and not file.startswith((*LIBRARIES, "<"))

    def within(self, file_end: str, name: str | None = None) -> bool:
        """Below a Python function of a file (its path's end), of a name if one is given?"""
        return any(
            file.endswith(file_end) and (name is None or function == name)
            for file, function in self.functions
        )


def places(profile: Profile) -> dict[int, Place]:
    """By number of a node. A node's parent has a smaller number."""
    found: dict[int, Place] = {}
    standard: dict[int, bool] = {}
    nowhere: frozenset[Any] = frozenset()
    for number, node in profile.nodes.items():
        frame = profile.frames[node.frame]
        above = found.get(node.parent) if node.parent is not None else None
        if above is None:
            module = operator = function = None
            operators = functions = names = nowhere
        else:
            _, _, module, operator, function, operators, functions, names = above
        if frame.kind == "module":
            module = frame.module if frame.module is not None else module
        elif frame.kind == "op":
            operator, operators = frame.name, operators | {frame.name}
        elif frame.kind == "python":
            functions, names = functions | {(frame.file or "", frame.name)}, names | {frame.name}
            if node.frame not in standard:
                standard[node.frame] = _is_standard(frame)
            function = function if standard[node.frame] else frame
        found[number] = Place(frame, node.parent, module, operator, function, operators, functions, names)
    return found


def _is_standard(frame: Frame) -> bool:
    """A function of Python's own library: whoever called it is who runs."""
    top = (frame.file or "").replace("\\", "/").split("/")[0].removesuffix(".py")
    return top in sys.stdlib_module_names or top.startswith("<")
