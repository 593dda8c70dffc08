"""What is guessed from a text."""

from __future__ import annotations

from llmflame.lab.variants.prompt_lookup import PromptLookup


def test_the_longest_ending_decides() -> None:
    drafter = PromptLookup(count=3, longest=2)
    drafter.begin([])
    # After 2 stood 9 last, after 1 2 stood 3.
    assert drafter.draft([1, 2, 3, 4, 5, 2, 9, 8, 1, 2]) == [3, 4, 5]


def test_the_last_place_counts() -> None:
    drafter = PromptLookup(count=1, longest=1)
    assert drafter.draft([7, 1, 7, 2, 7]) == [2]


def test_nothing_stood_before() -> None:
    assert PromptLookup().draft([1, 2, 3]) == []


def test_a_guess_has_one_length() -> None:
    assert PromptLookup(count=4, longest=1).draft([5, 6, 5]) == [6, 5, 5, 5]


def test_a_text_that_grows_is_the_same_text() -> None:
    text = [1, 2, 3, 1, 2, 4, 1, 2, 3, 1, 2]
    growing = PromptLookup(count=2)
    found = [growing.draft(text[:end]) for end in range(1, len(text) + 1)]
    assert found == [PromptLookup(count=2).draft(text[:end]) for end in range(1, len(text) + 1)]


def test_a_request_forgets_the_last() -> None:
    drafter = PromptLookup(count=1, longest=1)
    drafter.draft([1, 2, 1])
    drafter.begin([])
    assert drafter.draft([1]) == []
