"""Text from the profiled program, made fit to be stored: valid UTF-8, no NUL, of bounded length."""

MAX_CHARACTERS = 4096
"""A frame's name is shown on a line; what is longer is data that somebody smuggled into a name."""


def storable(text: str) -> str:
    """Lone surrogates and NULs as visible escapes; what exceeds the limit is cut and its length said."""
    if len(text) > MAX_CHARACTERS:
        text = f"{text[:MAX_CHARACTERS]}… ({len(text)} characters)"
    if "\0" in text:
        text = text.replace("\0", "\\x00")
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-8", "backslashreplace").decode()
    return text
