"""Amounts of memory and names of devices, as people write them."""

from __future__ import annotations

import pytest

from llmflame.errors import UsageError
from llmflame.planning.devices import NAMED, named_device, of_size
from llmflame.planning.process import workspace
from llmflame.planning.sizes import parse_size

MIB = 2**20


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("80GB", 80_000_000_000),
        ("79.6GiB", int(79.6 * 2**30)),
        ("24G", 24 * 2**30),
        ("24 g", 24 * 2**30),
        ("512mib", 512 * MIB),
        ("1.5T", int(1.5 * 2**40)),
        ("1000", 1000),
        (".5k", 512),
    ],
)
def test_sizes(text: str, amount: int) -> None:
    assert parse_size(text) == amount


@pytest.mark.parametrize(
    "text", ["", "lots", "-3GB", "0", "0GB", "8 potatoes", "1e9", "9" * 60, "nan", "8GiBs"]
)
def test_no_sizes(text: str) -> None:
    with pytest.raises(UsageError, match="no amount of memory"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("h200", "H200 141GB"),
        ("NVIDIA H200", "H200 141GB"),
        ("H100", "H100 80GB"),
        ("h100-nvl", "H100 NVL 94GB"),
        ("a100 80gb", "A100 80GB"),
        ("A100-SXM-40 GB", "A100 40GB"),
        ("GeForce RTX 4090", "RTX 4090 24GB"),
        ("4090", "RTX 4090 24GB"),
        ("Tesla T4", "T4 16GB"),
        ("l4", "L4 24GB"),
        ("L40S", "L40S 48GB"),
    ],
)
def test_names_are_words(text: str, name: str) -> None:
    assert named_device(text).name == name


def test_names_that_say_too_little_or_too_much() -> None:
    with pytest.raises(UsageError, match=r"names several devices: A100 40GB, A100 80GB$"):
        named_device("A100")
    for text in ("L40", "H10", "", "nvidia", "RTX 4090 Laptop"):
        with pytest.raises(UsageError):
            named_device(text)


def test_the_table_is_sound() -> None:
    assert len({device.name for device in NAMED}) == len(NAMED)
    for device in NAMED:
        assert device.source and device.kind == "cuda" and device.capability >= (7, 0)
        printed = int(device.name.rpartition(" ")[2].removesuffix("GB")) * 1e9
        assert 0.9 * printed < device.total_bytes < 1.08 * printed
        assert named_device(device.name) == device


def test_workspaces() -> None:
    assert workspace((9, 0)).bytes == 32 * MIB
    assert workspace((8, 0)).bytes == workspace((12, 0)).bytes == 8.125 * MIB
    assert of_size(5, "cuda").kind == "cuda" and of_size(5, "cpu").total_bytes == 5
