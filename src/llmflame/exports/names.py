"""Frames as other tools' files name them: one line of visible characters each."""

from __future__ import annotations

from llmflame.store.model import Frame


def one_line(text: str) -> str:
    r"""`text` with control, direction and surrogate characters as escapes (`\n`, `\x1b`, `\u202e`).

    Other tools show names as they find them: in a terminal, in a page, in a table.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def frame_name(frame: Frame) -> str:
    """`forward`, `aten::mm`; a module's class with its path: `LlamaMLP model.layers.3.mlp`."""
    if frame.kind == "module" and frame.module:
        return one_line(f"{frame.name} {frame.module}")
    return one_line(frame.name)


def file_name(frame: Frame) -> str | None:
    """The file of a frame, where it has one."""
    return None if frame.file is None else one_line(frame.file)


def placed_name(frame: Frame) -> str:
    """The name and where it is: `forward (models/llama/modeling_llama.py:243)`."""
    if frame.file is None:
        return frame_name(frame)
    line = "" if frame.line is None else f":{frame.line}"
    return f"{frame_name(frame)} ({file_name(frame)}{line})"
