"""The frames above a node, in words."""

from __future__ import annotations

from llmflame.store.profile import Profile


def stack_of(profile: Profile, node: int) -> list[str]:
    """The frames down to a node of the profile, the outermost first; without the phase."""
    path: list[str] = []
    here: int | None = node
    while here is not None:
        frame = profile.frames[profile.nodes[here].frame]
        place = (
            f" ({frame.file}:{frame.line})" if frame.file else f" ({frame.module})" if frame.module else ""
        )
        path.append(frame.name + place)
        here = profile.nodes[here].parent
    return path[-2::-1]
