"""An experiment as Markdown for a README: one table, the reasons below it, and how it was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from llmflame.analysis.experiment.document import document
from llmflame.analysis.experiment.experiment import experiment_of
from llmflame.exports.markdown_text import UNKNOWN, escaped, table
from llmflame.store.profile import Profile
from llmflame.units import human_bytes, human_time_ns, percent, three_digits

Row = Mapping[str, Any]
HEADS = ("Row", "Output", "Verdict", "Speed-up", "99 % interval", "tok/s", "TTFT", "TPOT", "MBU", "Memory")
OUTPUT = {"disagrees": "**differs**", "unchecked": UNKNOWN}
CLASS = {"bitwise": "same bits", "equivalent": "agrees", "approximate": "close"}


def lab_markdown(profile: Profile) -> str:
    """Raises UsageError where the file holds no experiment. Names in it are data."""
    found = document(experiment_of(profile))
    subject = found["subject"]
    about = [
        f"{escaped(subject['dtype'])} on {escaped(found['ceilings']['device'])}",
        f"{subject['prompt_tokens']} prompt + {subject['new_tokens']} new tokens",
        f"{subject['rounds']} rounds of fresh processes",
        f"torch {escaped(subject['torch'])}" if subject.get("torch") else None,
    ]
    several = len(found["batches"]) > 1
    blocks = [
        f"### {escaped(subject['model'])}",
        " · ".join(word for word in about if word),
        *_status(found),
        table(HEADS, [_cells(row, several) for row in found["rows"]]),
        *_reasons(found["rows"], several),
        f"Measured by llmflame {escaped(profile.run.llmflame_version)}; what differs has no speed.",
    ]
    return "\n\n".join(blocks) + "\n"


def _status(found: Row) -> Iterator[str]:
    if found["status"] != "complete":
        reason = f": {escaped(found['reason'])}" if found["reason"] else ""
        yield f"**This experiment is {escaped(found['status'])}**{reason}"


def _cells(row: Row, several: bool) -> tuple[str, ...]:
    figures, gain = row["figures"] or {}, row["speedup"]
    output = (
        UNKNOWN if row["verdict"] == "stock" else OUTPUT.get(row["agreement"]["verdict"], CLASS[row["class"]])
    )
    return (
        _name(row, several),
        output,
        escaped(row["verdict"]),
        UNKNOWN if gain is None else f"×{three_digits(gain['ratio'])}",
        UNKNOWN if gain is None else f"{three_digits(gain['low'])} – {three_digits(gain['high'])}",
        _known(figures.get("tokens_per_s"), three_digits),
        _known(figures.get("ttft_ns"), human_time_ns),
        _known(figures.get("tpot_ns"), human_time_ns),
        _known(figures.get("mbu"), percent),
        _known(figures.get("peak_bytes"), human_bytes),
    )


def _known(value: float | None, words: Any) -> str:
    return UNKNOWN if value is None else str(words(value))


def _name(row: Row, several: bool) -> str:
    return escaped(row["row"]) + (f", batch {row['batch']}" if several else "")


def _reasons(rows: list[Row], several: bool) -> Iterator[str]:
    lines = []
    for row in rows:
        told = [row["reason"]] if row["reason"] else []
        told += [row["agreement"]["words"]] if row["agreement"]["verdict"] == "agrees" and row["base"] else []
        told += row["notes"]
        if told:
            lines.append(f"- {_name(row, several)}: {escaped('; '.join(told))}")
    if lines:
        yield "\n".join(lines)
