"""Amounts as people read them."""

from __future__ import annotations

import pytest

from llmflame.units import human_bytes, human_time_ns, percent


def test_amounts_of_bytes() -> None:
    amounts = [0, 64, 1023, 1024, 1536, 1_222_348_800, 355_184_640, 25_276_510_208, 2**62, -1536]
    assert [human_bytes(amount) for amount in amounts] == [
        "0 B", "64 B", "1023 B", "1 KiB", "1.5 KiB", "1.14 GiB", "339 MiB", "23.5 GiB", "4096 PiB", "-1.5 KiB"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [
        (0, "0 ns"),
        (60, "60 ns"),
        (999, "999 ns"),
        (999.6, "1.00 µs"),
        (1_700_000, "1.70 ms"),
        (74_576_329, "74.6 ms"),
        (859_936_510, "860 ms"),
        (999_600_000, "1.00 s"),
        (9_996_000_000, "10.0 s"),
        (184e9, "184 s"),
        (725e9, "12 min 05 s"),
        (-1_500, "-1.50 µs"),
    ],
)
def test_times(time_ns: float, text: str) -> None:
    assert human_time_ns(time_ns) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0 %"),
        (1e-9, "<0.1 %"),
        (0.0005, "0.1 %"),
        (0.369, "36.9 %"),
        (0.9994, "99.9 %"),
        (0.99969, "99.97 %"),
        (0.999999, ">99.99 %"),
        (1, "100 %"),
        (1.25, "125.0 %"),
        (-0.0597, "-6.0 %"),
    ],
)
def test_shares(share: float, text: str) -> None:
    assert percent(share) == text
