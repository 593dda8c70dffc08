"""The random state of this process, so that a request can be run again with the same draws."""

from __future__ import annotations

import random
import sys
from typing import Any


class RandomState:
    """As it was when this was made: Python's, NumPy's and torch's, on every CUDA device that is in use."""

    def __init__(self) -> None:
        self._python = random.getstate()
        numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
        self._numpy: Any = None if numpy is None else numpy.random.get_state()
        self._torch: Any = None if torch is None else torch.get_rng_state()
        self._devices: Any = None
        if torch is not None and torch.cuda.is_initialized():
            self._devices = torch.cuda.get_rng_state_all()

    def restore(self) -> None:
        """Put it back. May be called any number of times."""
        random.setstate(self._python)
        if self._numpy is not None:
            sys.modules["numpy"].random.set_state(self._numpy)
        if self._torch is not None:
            sys.modules["torch"].set_rng_state(self._torch)
        if self._devices is not None:
            sys.modules["torch"].cuda.set_rng_state_all(self._devices)
