"""The ceilings that were measured on this machine, kept in a folder from one command to the next.

A file belongs to one machine and one torch: its name holds a hash of what identifies them, so that a folder
that several machines share gives none of them another one's numbers.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import math
import os
import re
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NoReturn

from llmflame.probes.ceilings.names import SECTION, UNITS
from llmflame.store.model import Fact

SCHEMA = 1
MOST_BYTES = 1024 * 1024
MOST_TEXT = 500
MOST_RATE = 1e21
"""A thousand exaFLOP/s: what is higher was not measured."""
MOST_THREADS = 1_000_000
GIB = 1024**3
HASH_DIGITS = 12
FIELDS = {"section", "name", "value", "unit", "source"}
_SECTION = re.compile(rf"{SECTION}(?: [1-9][0-9]?)?")
_GPU_SECTION = re.compile(r"gpu \d+")
_GPU_NAME = re.compile(r"name|MIG \d+ name")


def keep(folder: Path, machine_facts: Iterable[Fact], ceilings: Iterable[Fact]) -> Path:
    """Write the ceilings of the machine that `machine_facts` describe; returns the file. Raises OSError.

    The file is there in full or not at all; an older one is replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / file_name(machine_facts)
    document = {"schema": SCHEMA, "facts": [asdict(_cleaned(fact)) for fact in ceilings]}
    text = json.dumps(document, indent=1, allow_nan=False)
    temporary: Path | None = None
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=folder, prefix=f".{target.name}.", delete=False
        ) as file:
            temporary = Path(file.name)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
    return target


def kept(folder: Path, machine_facts: Iterable[Fact]) -> list[Fact]:
    """The ceilings that were kept for this machine; [] where there are none or the file is damaged.

    Never raises: a file that holds anything but what `keep` writes counts for nothing.
    """
    with contextlib.suppress(OSError, ValueError, TypeError, RecursionError, OverflowError):
        return _read(folder / file_name(machine_facts))
    return []


def with_kept(folder: Path, machine_facts: Iterable[Fact]) -> list[Fact]:
    """The machine's facts, followed by the ceilings that were kept for it. Never raises."""
    facts = list(machine_facts)
    return [*facts, *kept(folder, facts)]


def file_name(machine_facts: Iterable[Fact]) -> str:
    """`ceilings-0123456789ab.json`: of CPU model, logical CPUs, RAM in GiB, GPUs and torch's version."""
    known: dict[str, object] = {}
    gpus: list[str] = []
    for fact in machine_facts:
        place = (fact.section, fact.name)
        if place in {("cpu", "model"), ("cpu", "logical CPUs"), ("software", "torch")}:
            known[" ".join(place)] = fact.value
        elif place == ("memory", "RAM total") and isinstance(fact.value, int):
            # A kernel update changes the last few megabytes of what is left to programs.
            known["RAM GiB"] = round(fact.value / GIB)
        elif _GPU_SECTION.fullmatch(fact.section) and _GPU_NAME.fullmatch(fact.name):
            gpus.append(str(fact.value))
    identity = json.dumps({**known, "gpus": gpus}, sort_keys=True)
    return f"ceilings-{hashlib.sha256(identity.encode()).hexdigest()[:HASH_DIGITS]}.json"


def _cleaned(fact: Fact) -> Fact:
    """The fact with texts that `kept` accepts: an error's message may hold anything."""
    value = _line(fact.value) if isinstance(fact.value, str) else fact.value
    return replace(fact, value=value, source=_line(fact.source))


def _line(text: str) -> str:
    return "".join(mark if mark.isprintable() else " " for mark in text[:MOST_TEXT]) or "unknown"


def _read(file: Path) -> list[Fact]:
    # Only of a plain file: a pipe would wait for a writer.
    if not file.is_file():
        return []
    with file.open("rb") as stream:
        raw = stream.read(MOST_BYTES + 1)
    if len(raw) > MOST_BYTES:
        return []
    document = json.loads(raw.decode("utf-8"), parse_constant=_refuse)
    if not isinstance(document, dict) or document.keys() != {"schema", "facts"}:
        return []
    schema, rows = document["schema"], document["facts"]
    if type(schema) is not int or schema != SCHEMA or not isinstance(rows, list):
        return []
    facts = [_fact(row) for row in rows]
    places = {(fact.section, fact.name) for fact in facts if fact is not None}
    if len(places) != len(rows):
        return []
    return [fact for fact in facts if fact is not None]


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")


def _fact(row: Any) -> Fact | None:
    """The fact of a row, or None where anything about it is not as `keep` writes it."""
    if not isinstance(row, dict) or row.keys() != FIELDS:
        return None
    section, name, value, unit, source = (row[key] for key in ("section", "name", "value", "unit", "source"))
    if not isinstance(section, str) or not _SECTION.fullmatch(section):
        return None
    if not isinstance(name, str) or name not in UNITS or unit != UNITS[name]:
        return None
    if not _is_text(source) or not (value is None or _is_value(name, value)):
        return None
    # JSON has one kind of number; a whole one may be more than a database's integer holds.
    is_rate = unit is not None and unit != "threads" and value is not None
    return Fact(section, name, float(value) if is_rate else value, unit, source)


def _is_value(name: str, value: object) -> bool:
    if name == "measured at":
        return isinstance(value, str) and _is_text(value) and _is_time(value)
    if name == "measured device":
        return _is_text(value)
    if name == "measured threads":
        return type(value) is int and 0 < value <= MOST_THREADS
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and 0 < value < MOST_RATE


def _is_text(value: object) -> bool:
    """Text of one line that can be stored and shown: no control characters, no lone surrogates."""
    return isinstance(value, str) and 0 < len(value) <= MOST_TEXT and value.isprintable()


def _is_time(text: str) -> bool:
    try:
        return datetime.datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
