"""Times, sizes and shares as a person reads them: three digits that matter and a unit."""

from __future__ import annotations

_BYTE_STEPS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_TIME_STEPS = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"))
_RATE_STEPS = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_MINUTE_S = 60
LONG_S = 600
"""From here on minutes say more than seconds."""


def human_bytes(amount: float) -> str:
    """Bytes in the largest binary unit that keeps the number at 1 or more: `23.5 GiB`, `1.14 GiB`, `64 B`."""
    step = 0
    while abs(amount) >= 1024 and step < len(_BYTE_STEPS) - 1:
        amount /= 1024
        step += 1
    digits = three_digits(amount)
    return (digits.rstrip("0").rstrip(".") if "." in digits else digits) + f" {_BYTE_STEPS[step]}"


def human_time_ns(time_ns: float) -> str:
    """A time in three digits: `3.60 s`, `77.0 ms`, `446 µs`, `60 ns`; from ten minutes on `12 min 05 s`."""
    if time_ns < 0:
        return "-" + human_time_ns(-time_ns)
    if time_ns >= LONG_S * 1e9:
        minutes, seconds = divmod(round(time_ns / 1e9), _MINUTE_S)
        return f"{minutes} min {seconds:02d} s"
    for size, unit in _TIME_STEPS:
        # What would be rounded up to 1000 of a unit is 1.00 of the next one.
        if time_ns >= size * 0.9995:
            return f"{three_digits(time_ns / size)} {unit}"
    return f"{time_ns:.0f} ns"


def human_rate(amount: float, unit: str) -> str:
    """A rate in three digits and decimal steps, as data sheets have it: `4.80 TB/s`, `789 TFLOP/s`.

    `unit` is `bytes/s` or `FLOP/s`.
    """
    short = "B/s" if unit == "bytes/s" else unit
    for size, prefix in _RATE_STEPS:
        if abs(amount) >= size * 0.9995:
            return f"{three_digits(amount / size)} {prefix}{short}"
    return f"{amount:.0f} {short}"


def three_digits(value: float) -> str:
    """Three significant digits of what is at least 1, all digits before the point of more: `1.70`, `1023`."""
    if abs(value) < 9.995:
        return f"{value:.2f}"
    if abs(value) < 99.95:
        return f"{value:.1f}"
    return f"{value:.0f}"


def percent(share: float) -> str:
    """A share of 1: `36.9 %`. Nothing that is not all is shown as 100 %, nothing that is not 0 as 0 %."""
    if share < 0:
        return "-" + percent(-share)
    if share == 0:
        return "0 %"
    if share < 0.0005:
        return "<0.1 %"
    if 0.9995 <= share < 1:
        return f"{share * 100:.2f} %" if share < 0.99995 else ">99.99 %"
    return f"{share * 100:.1f}".removesuffix(".0") + " %" if share == 1 else f"{share * 100:.1f} %"
