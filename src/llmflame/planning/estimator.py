"""What a request holds, by simulation where the model's code allows it and in closed form where not."""

from __future__ import annotations

from typing import Any

from llmflame.planning import formula
from llmflame.planning.activations import simulate
from llmflame.planning.architecture import Architecture, torch_dtype
from llmflame.planning.attention import Kernels
from llmflame.planning.request import Footprint, Request
from llmflame.planning.shape import Shape


class Estimator:
    """Answers for one model on one device; asks each request once."""

    def __init__(
        self,
        architecture: Architecture | None,
        shape: Shape | None,
        dtype: str,
        kernels: Kernels,
        reserved_bytes: int | None = None,
    ) -> None:
        self.shape = shape
        self.failure: str | None = None
        """Why the simulation could not be had, in one line."""
        self._model: Any = architecture.model if architecture else None
        self._attention = architecture.attention if architecture else "sdpa"
        self._element_bytes = torch_dtype(dtype).itemsize
        self._kernels, self._reserved_bytes = kernels, reserved_bytes
        self._known: dict[Request, Footprint] = {}

    def footprint(self, request: Request) -> Footprint:
        """What the request holds beyond the weights. Raises ValueError where neither way is open."""
        if request not in self._known:
            self._known[request] = self._simulated(request) or self._computed(request)
        return self._known[request]

    def _simulated(self, request: Request) -> Footprint | None:
        if self._model is None or self.failure is not None:
            return None
        try:
            return simulate(self._model, request, self._kernels, self._reserved_bytes)
        except Exception as error:
            # A model's code may do anything, read values that aren't there for example.
            self.failure = f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0]}"
            return None

    def _computed(self, request: Request) -> Footprint:
        if self.shape is None:
            raise ValueError(self.failure or "its config names no layers, heads and sizes")
        return formula.footprint(self.shape, request, self._element_bytes, self._attention)
