"""What the demo is asked, here and in benchmarks/scratch_check.py."""

from __future__ import annotations

PROMPTS = (
    "The capital of France is",
    "Once upon a time, in a small village by the sea, there lived",
    "def fibonacci(n):",
    "Water boils at",
    "The three laws of motion were first written down by Isaac Newton, who",
    "List five fruits:\n1.",
    "Ünïcödé, 東京 and 🙂 are",
    "In 1969",
)
