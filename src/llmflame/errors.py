"""The errors that a person can act on. Each carries the exit code that the command line ends with."""


class LlmflameError(Exception):
    """One clear line about what was found, what was wanted and what to do next; no traceback."""

    exit_code = 2


class UsageError(LlmflameError):
    """An argument or an input can't be used: exit code 2, nothing is left behind."""


class UnreadableProfileError(LlmflameError):
    """A profile file is missing, damaged, no profile at all, or of a newer schema: exit code 2."""


class ProgramFailedError(LlmflameError):
    """The profiled program failed or was stopped; its profile is kept and readable: exit code 1."""

    exit_code = 1


class StallsRefusedError(LlmflameError):
    """The device, its driver or another tool doesn't allow sampling; the message says how to."""
