"""C++ names of functions, demangled or not, cut to their last parts and their telling template arguments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_TOKEN = re.compile(r"[A-Za-z_]\w*|\d\w*|::|[<>,(){}]|[^\sA-Za-z_]")
_IDENTIFIER = re.compile(r"(?!_\d)[A-Za-z_]\w*\Z")
_LAMBDA = re.compile(r"lambda\((?P<parameters>[^()]*)")
_MANGLED_LENGTH = re.compile(r"L[a-z]n?\d+E|S[0-9A-Z]*_|(?P<length>\d+)")
"""A number is a length unless it is a template's argument (`Li4E`) or names something said before (`S5_`)."""
_QUALIFIERS = frozenset({"const", "volatile", "struct", "class", "enum", "typename", "signed", "void"})
_BUILTIN = frozenset(
    {"bool", "char", "short", "int", "long", "unsigned", "float", "double", "half", "__half", "__nv_bfloat16"}
)
_ANONYMOUS = "(anonymous namespace)::"
_GENERIC = frozenset({"kernel", "Kernel", "type", "run"})
"""Names that say nothing without the one before them."""
_WRAPPERS = frozenset(
    {
        "gpu_kernel_impl",
        "gpu_kernel_impl_nocast",
        "gpu_index_kernel",
        "ReduceOp",
        "func_wrapper_t",
    }
)
"""Templates around what is meant."""
_PLUMBING = frozenset({"array", "true", "false", "std", "Params", "GeneratorImpl"})
_PLUMBING_PARTS = ("OffsetCalculator", "WithoutCast", "WithCast", "TensorIterator", "TensorInfo")
_NAMESPACES = frozenset({"at", "c10", "cuda", "cute", "cutlass", "detail", "gemm", "kernel", "native", "std"})
_MOST_DEPTH = 4
"""Templates within templates that are shown at most."""


@dataclass(slots=True)
class _Name:
    """A name with its template arguments."""

    name: str = ""
    arguments: list[_Name] = field(default_factory=list)
    value: str = ""
    """What a lambda takes: the type that this instance of the kernel is for."""


def short_cpp_name(name: str, limit: int) -> str:
    """`name` with as much of its template arguments as fits into `limit`; "" where it has no name at all."""
    parsed = _mangled(name) if name.startswith("_Z") else _parse(name.replace(_ANONYMOUS, ""))
    shown = ""
    for depth in range(_MOST_DEPTH, -1, -1):
        shown = _show(parsed, depth)
        if len(shown) <= limit:
            break
    return shown


def _show(name: _Name, depth: int) -> str:
    while name.name in _WRAPPERS and name.arguments:
        # The argument that has arguments itself is what is wrapped.
        name = max(name.arguments, key=lambda one: bool(one.arguments or one.value))
    if depth <= 0:
        return name.name
    shown: dict[str, None] = {}
    for argument in name.arguments:
        plumbing = argument.name in _PLUMBING or any(part in argument.name for part in _PLUMBING_PARTS)
        if argument.name and not plumbing and not argument.name[0].isdigit():
            shown[_show(argument, depth - 1)] = None
    inside = f"<{', '.join(shown)}>" if shown else ""
    return f"{name.name}{inside}{f'({name.value})' if name.value else ''}"


def _parse(text: str) -> _Name:
    """The function's name: what stands last before its parameters."""
    root = _Name()
    stack = [root]
    tokens = _TOKEN.findall(text)
    at, previous = 0, ""
    while at < len(tokens):
        token = tokens[at]
        current = stack[-1]
        if token == "<" and previous != "operator":
            child = _Name()
            current.arguments.append(child)
            stack.append(child)
        elif token == ">" and len(stack) > 1:
            stack.pop()
        elif token == "," and len(stack) > 1:
            stack.pop()
            child = _Name()
            stack[-1].arguments.append(child)
            stack.append(child)
        elif token in "({":
            end = _closing(tokens, at)
            _lambda(current, tokens[at:end]) if token == "{" else None
            at = end
            if token == "(" and len(stack) == 1 and current.name and tokens[at + 1 : at + 2] != ["::"]:
                break
        elif token[0].isalnum() or token[0] == "_":
            _word(current, token, previous)
        previous = token
        at += 1
    return root


def _word(current: _Name, token: str, previous: str) -> None:
    if token in _QUALIFIERS or token == "operator":
        return
    if token in _BUILTIN and previous in _BUILTIN:
        current.name = f"{previous} {token}"
    elif previous == "::" and token in _GENERIC:
        current.name, current.arguments = f"{current.name}::{token}".removeprefix("::"), []
    else:
        current.name, current.arguments = token, []


def _closing(tokens: list[str], start: int) -> int:
    """Where the bracket at `start` closes; the end, where it doesn't."""
    opening, closing = tokens[start], ")" if tokens[start] == "(" else "}"
    depth = 0
    for at in range(start, len(tokens)):
        depth += (tokens[at] == opening) - (tokens[at] == closing)
        if depth == 0:
            return at
    return len(tokens)


def _lambda(current: _Name, tokens: list[str]) -> None:
    match = _LAMBDA.search("".join(tokens))
    if match is not None and match["parameters"]:
        current.value = match["parameters"].split(",")[-1].rsplit("::", 1)[-1].strip()


def _mangled(text: str) -> _Name:
    """An Itanium-mangled name: the function's own name, and the telling names among its arguments.

    Names are written with their lengths before them ("6kernel"); the first run of them is the function's.
    """
    own, rest = _Name(), []
    ended = False
    for name, more in _lengths(text):
        if not ended:
            own.name, ended = name, not more
        elif name not in _NAMESPACES:
            rest.append(_Name(name))
    own.arguments = rest[:3]
    return own


def _lengths(text: str) -> Iterator[tuple[str, bool]]:
    """Each name with its length before it, and whether another follows at once."""
    at = 0
    while (match := _MANGLED_LENGTH.search(text, at)) is not None:
        start = at = match.end()
        digits = match["length"] or ""
        if not digits:
            continue
        end = start + int(digits) if len(digits) <= 3 else start
        name = text[start:end]
        if _IDENTIFIER.match(name) and len(name) == int(digits):
            yield name, text[end : end + 1].isdigit()
            at = end
