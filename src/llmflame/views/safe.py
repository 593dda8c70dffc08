"""Text from outside, made safe to show: nothing in it can move the cursor or reorder the line."""

from __future__ import annotations

ELLIPSIS = "…"
# Line and paragraph separators, zero-width and direction marks, bidi embeddings, overrides and isolates.
_INVISIBLE = frozenset(
    {0x061C, 0x200B, 0x200E, 0x200F, 0x2028, 0x2029, 0xFEFF, *range(0x202A, 0x202F), *range(0x2066, 0x206A)}
)


def safe_text(value: str, limit: int = 200) -> str:
    r"""`value` with control, bidi and surrogate characters as visible escapes, `limit` characters at most.

    C0, DEL and C1 become `\xNN`, the others `\uNNNN`. What is cut off is marked by an ellipsis; no escape
    is cut in two. The result can be encoded as UTF-8.
    """
    if limit < 1:
        raise ValueError(f"limit must be at least 1, found {limit}")
    # Every character yields at least one: what lies beyond the limit can't be shown.
    pieces = [_visible(character) for character in value[: limit + 1]]
    if sum(map(len, pieces)) <= limit:
        return "".join(pieces)
    kept, room = [], limit - len(ELLIPSIS)
    for piece in pieces:
        room -= len(piece)
        if room < 0:
            break
        kept.append(piece)
    return "".join(kept) + ELLIPSIS


def _visible(character: str) -> str:
    code = ord(character)
    if code < 0x20 or 0x7F <= code < 0xA0:
        return f"\\x{code:02x}"
    if code in _INVISIBLE or 0xD800 <= code < 0xE000:
        return f"\\u{code:04x}"
    return character
