"""The one-file HTML report: everything a profile says, with nothing fetched from anywhere."""

from llmflame.views.page.memory import PageMemory, page_memory
from llmflame.views.page.page import PageData, render_page
from llmflame.views.page.sections import page_sections

__all__ = ["PageData", "PageMemory", "page_memory", "page_sections", "render_page"]
