"""An option that may be given alone or with a value: `--stalls`, `--stalls=exact`."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

ALONE = {"--stalls": "continuous"}
"""What such an option means without a value; the parser knows only options with one, and flags."""


class OptionalValueCommand(TyperCommand):
    """Gives these options the value that they have when they stand alone."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse as ever, but for these options."""
        end = args.index("--") if "--" in args else len(args)
        spelled = [f"{word}={ALONE[word]}" if word in ALONE else word for word in args[:end]]
        return list(super().parse_args(ctx, spelled + args[end:]))
