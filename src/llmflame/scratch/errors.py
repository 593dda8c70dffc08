"""What was given can't be used: each message is one line."""


class ScratchError(Exception):
    """Something that a person can put right."""


class CheckpointError(ScratchError):
    """A checkpoint folder can't be used; the message names the file and what is wrong with it."""


class SettingError(ScratchError):
    """A setting means nothing, or this machine can't do it."""
