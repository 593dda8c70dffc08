"""What is wrong with a checkpoint, in one line."""


class CheckpointError(Exception):
    """A checkpoint folder can't be used; the message names the file and what is wrong with it."""
