"""What all tests share: the same examples on every run, one thread, and the same llmflame in every child."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

# Before anything imports torch: OpenMP's threads spin for each other and stall on a busy machine.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

# Programs that a test starts in another folder import the llmflame that is tested: a relative path would mean
# nothing there, and an installed llmflame would be taken.
if _given := os.environ.get("PYTHONPATH"):
    os.environ["PYTHONPATH"] = os.pathsep.join(str(Path(one).absolute()) for one in _given.split(os.pathsep))

# A gate that a shell started in the background ignores Ctrl-C, and so would every program that it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

settings.register_profile(
    "llmflame",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("llmflame")


@pytest.fixture(autouse=True)
def one_torch_thread() -> None:
    """A test that lets torch set its own number of threads doesn't change the next one's."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != 1:
        torch.set_num_threads(1)
