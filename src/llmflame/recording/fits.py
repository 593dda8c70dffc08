"""What would have fitted, from what was held and asked for when memory ran out. A bound, not a plan."""

from __future__ import annotations

from dataclasses import dataclass

PLANNER = "`llmflame plan` says what fits."
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_BYTES_EACH = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True, slots=True)
class Need:
    """Memory at the instant at which it ran out, in bytes."""

    limit_bytes: int | None
    used_bytes: int
    """As the limit counts it."""
    requested_bytes: int
    growing_bytes: int
    """Part of what is in use that grows with the request: key/value cache and activations."""
    batch_size: int | None = None
    tokens: int | None = None
    """Per sequence."""


def fits(need: Need) -> str:
    """The largest batch and context that can fit, if all that grows does so in proportion.

    An upper bound: what the request would have taken later is not known, and attention that keeps its scores
    grows with the square of the tokens.
    """
    if need.limit_bytes is None:
        return PLANNER
    free = need.limit_bytes - need.used_bytes
    if not need.requested_bytes:
        return PLANNER
    if need.requested_bytes <= free:
        return (
            f"{in_words(free)} were free when the exception was handled: what its calls held had been given "
            f"back, or they were not in one piece. {PLANNER}"
        )
    more = (
        f"{in_words(need.requested_bytes - free)} more were needed than the {in_words(free)} that were free"
    )
    growing = need.growing_bytes + need.requested_bytes
    if not need.batch_size or not need.tokens:
        return f"{more}. {PLANNER}"
    room = free + need.growing_bytes
    share = max(room, 0) / growing
    batch, tokens = int(need.batch_size * share), int(need.tokens * share)
    text = (
        f"{more}. Cache, activations and the request took {in_words(growing)} at batch size "
        f"{need.batch_size} and {need.tokens} tokens; there is room for {in_words(max(room, 0))}: "
    )
    if batch:
        text += f"at most batch size {batch}, or {tokens} tokens at batch size {need.batch_size}"
    elif need.batch_size == 1 and tokens:
        text += f"at most {tokens} tokens"
    elif tokens:
        text += f"less than batch size 1, or at most {tokens} tokens at batch size {need.batch_size}"
    else:
        text += "not even one token"
    return f"{text}. {PLANNER}"


def fits_loading(weight_bytes: int, dtype: str | None, room_bytes: int) -> str:
    """Whether weights of `weight_bytes` in `dtype` fit into what they and nobody else can have."""
    if not weight_bytes:
        return PLANNER
    room, each = in_words(max(room_bytes, 0)), _BYTES_EACH.get(dtype or "", 0)
    named = f"The weights are {in_words(weight_bytes)}" + (f" as {dtype}" if dtype else "")
    if weight_bytes <= room_bytes:
        return (
            f"{named}; there is room for {room}: they fit, but not with what loading takes besides. {PLANNER}"
        )
    if each <= 2:
        return f"{named}; there is room for {room}. {PLANNER}"
    narrow = weight_bytes * 2 // each
    verdict = "would fit" if narrow <= room_bytes else "would not fit either"
    return (
        f"{named}; there is room for {room}. As bfloat16 they would be {in_words(narrow)} and {verdict}. "
        f"{PLANNER}"
    )


def in_words(amount: int) -> str:
    """Bytes with one decimal in the largest unit that keeps the number at 1 or more."""
    size, step = float(amount), 0
    while abs(size) >= 1024 and step < len(_UNITS) - 1:
        size, step = size / 1024, step + 1
    return f"{size:.1f} {_UNITS[step]}" if step else f"{amount} B"
