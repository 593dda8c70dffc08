"""A profile that shows itself: its page in a notebook, one line in a console."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from llmflame.errors import UsageError
from llmflame.store.profile import Profile, read_profile


class ShownProfile(Profile):
    """A profile whose value in a notebook's cell is its page."""

    __slots__ = ()

    def __repr__(self) -> str:
        from llmflame.analysis.opening import opening
        from llmflame.views.one_line import one_line

        return one_line(opening(self))

    def _repr_html_(self) -> str:
        """The page for a notebook, of a bounded size. Asked for by what can show it, and by nobody else."""
        from llmflame.views.notebook_frame import notebook_html

        return notebook_html(self)

    def write_page(self, page: str | Path, *, force: bool = False) -> Path:
        """Write the page to a file and return its path. Raises UsageError where it exists, unless `force`."""
        from llmflame.atomic import check_writable, write_atomically
        from llmflame.views.page import page_data, render_page

        page = Path(page)
        check_writable(page, force=force)
        if page.exists() and self.path.exists() and page.samefile(self.path):
            raise UsageError(f"{page} is the profile itself: name another file")
        write_atomically(page, render_page(page_data(self)))
        return page


def shown(profile: Profile) -> ShownProfile:
    """The same profile, which shows itself."""
    return ShownProfile(**{field.name: getattr(profile, field.name) for field in dataclasses.fields(profile)})


def read_shown(path: Path | str) -> ShownProfile:
    """Read a profile file. Raises UnreadableProfileError."""
    return shown(read_profile(path))
