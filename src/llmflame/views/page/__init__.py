"""The one-file HTML report: everything a profile says, with nothing fetched from anywhere."""

from llmflame.views.page.build import page_data
from llmflame.views.page.compare import PageCompare, page_compare
from llmflame.views.page.memory import PageMemory, page_memory
from llmflame.views.page.page import PageData, render_page
from llmflame.views.page.sections import page_sections

__all__ = [
    "PageCompare",
    "PageData",
    "PageMemory",
    "page_compare",
    "page_data",
    "page_memory",
    "page_sections",
    "render_page",
]
