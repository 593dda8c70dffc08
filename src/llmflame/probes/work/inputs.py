"""The inputs of one call, asked for by position; what isn't as expected makes the work unknown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llmflame.probes.work.amount import UnknownWorkError
from llmflame.probes.work.tensor import ITEM_BYTES, SCALAR_TYPES, Argument, Tensor


@dataclass(frozen=True, slots=True)
class Inputs:
    """One call's arguments in the order of the operator's schema."""

    arguments: Sequence[Argument]
    in_place: bool = False
    """The operator's name ends in `_`: it writes its first input."""

    def __len__(self) -> int:
        return len(self.arguments)

    def at(self, position: int) -> Argument:
        """The argument there, None where there are fewer."""
        return self.arguments[position] if position < len(self.arguments) else None

    def tensor(self, position: int) -> Tensor:
        """The tensor there. Raises UnknownWorkError where there is none."""
        found = self.at(position)
        if not isinstance(found, Tensor):
            raise UnknownWorkError
        return found

    def optional(self, position: int) -> Tensor | None:
        """The tensor there, or None."""
        found = self.at(position)
        return found if isinstance(found, Tensor) else None

    def tensors(self, position: int) -> list[Tensor]:
        """The list of tensors there. Raises UnknownWorkError where there is none."""
        found = self.at(position)
        if not isinstance(found, list) or not found:
            raise UnknownWorkError
        tensors = [item for item in found if isinstance(item, Tensor)]
        if len(tensors) != len(found):
            raise UnknownWorkError
        return tensors

    def integer(self, position: int) -> int:
        """The integer there. Raises UnknownWorkError where there is none."""
        found = self.at(position)
        if not isinstance(found, int) or isinstance(found, bool):
            raise UnknownWorkError
        return found

    def integers(self, position: int, length: int) -> tuple[int, ...]:
        """The list of `length` integers there; one stands for all. Raises UnknownWorkError."""
        found = self.at(position)
        if not isinstance(found, list):
            raise UnknownWorkError
        numbers = [item for item in found if isinstance(item, int)]
        if len(numbers) != len(found) or len(numbers) not in (1, length):
            raise UnknownWorkError
        return tuple(numbers) if len(numbers) == length else (numbers[0],) * length

    def flag(self, position: int) -> bool:
        """Whether True is there."""
        return self.at(position) is True

    def dtype(self, position: int) -> str | None:
        """The type that an argument `dtype` names. Raises UnknownWorkError for one that isn't known."""
        code = self.at(position)
        if code is None:
            return None
        name = SCALAR_TYPES.get(code) if isinstance(code, int) and not isinstance(code, bool) else None
        if name is None:
            raise UnknownWorkError
        return name

    def out(self, operands: int) -> Tensor | None:
        """What an out variant writes: its last argument, where that is a tensor behind the operands.

        The tracer gives both variants one name: only the extra tensor tells them apart.
        """
        last = len(self.arguments) - 1
        return self.optional(last) if last >= operands else None

    def check(self) -> None:
        """Raises UnknownWorkError where a tensor is of a type or size that can't be counted."""
        for argument in self.arguments:
            for item in argument if isinstance(argument, list) else [argument]:
                if isinstance(item, Tensor) and (
                    item.dtype not in ITEM_BYTES or min(item.sizes, default=0) < 0
                ):
                    raise UnknownWorkError
