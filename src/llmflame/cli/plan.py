"""The command `llmflame plan`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from llmflame.errors import UsageError

if TYPE_CHECKING:
    from llmflame.planning.devices import Device
    from llmflame.store.model import Fact

MODEL_HELP = (
    "demo, ORG/NAME on the Hugging Face hub, a checkpoint folder, a file.gguf, or dummy:NAME (a known shape)."
)
_PACKAGES = ("torch", "transformers")


def plan(  # noqa: PLR0913  each option is a parameter
    model: Annotated[str, typer.Argument(metavar="MODEL", help=MODEL_HELP, show_default=False)],
    batch: Annotated[int, typer.Option(metavar="N", help="Sequences at once.")] = 1,
    context: Annotated[
        int | None,
        typer.Option(metavar="N", help="Tokens of each prompt.", show_default="2048, or what the model has"),
    ] = None,
    new_tokens: Annotated[int, typer.Option(metavar="N", help="How many tokens follow each prompt.")] = 64,
    dtype: Annotated[
        str, typer.Option(metavar="TYPE", help="float32, bfloat16, float16, or auto: the checkpoint's.")
    ] = "auto",
    device: Annotated[
        str, typer.Option(metavar="NAME", help="cpu, cuda, a known device such as H100, or auto.")
    ] = "auto",
    memory: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="As much memory instead of the device's: 80GB, 79.6GiB, 24G."),
    ] = None,
    attention: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="sdpa or eager.", show_default="as transformers chooses"),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
) -> None:
    """Say whether a model fits into memory, and up to which batch and context.

    Nothing is loaded: the model is built from its config.json without weights, and the request is run on
    tensors without data, counting every allocation. That it doesn't fit is an answer too: the exit code is 0.
    """
    _check_packages()
    _check_attention(attention)
    target = _device(device, memory)
    from llmflame.cli.printing import print_json, print_view
    from llmflame.planning.document import document
    from llmflame.planning.plan import Asked, make_plan
    from llmflame.planning.quiet import quiet
    from llmflame.planning.subject import find
    from llmflame.subjects.progress import silent

    with quiet():
        asked = Asked(batch, context, new_tokens, dtype, attention)
        answer = make_plan(find(model, silent), asked, target)
    if json:
        print_json(document(answer))
        return
    from llmflame.views.plan import plan_view

    print_view(plan_view(document(answer)))


def _check_packages() -> None:
    from importlib.util import find_spec

    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise UsageError(f'{missing[0]} is missing, which a plan needs: pip install "llmflame[run]"')


def _check_attention(name: str | None) -> None:
    if name not in (None, "sdpa", "eager"):
        raise UsageError(f"--attention {name}: sdpa or eager")


def _device(name: str, memory: str | None) -> Device:
    """What --device and --memory name together. Raises UsageError."""
    from dataclasses import replace

    from llmflame.planning import devices
    from llmflame.planning.sizes import parse_size

    size = None if memory is None else parse_size(memory)
    word = name.strip().lower()
    if word == "auto" and size is not None:
        return devices.of_size(size, "cuda")
    if word == "cpu":
        return devices.of_size(size, "cpu") if size is not None else _host()
    if word == "auto" or word.partition(":")[0] == "cuda":
        found = devices.present_device("cuda" if word == "auto" else word)
        if found is None and word == "auto":
            return _host()
        if found is None and size is None:
            raise UsageError(f"--device {name}: torch sees no CUDA device here; name one, such as H100")
        found = found or devices.of_size(size or 0, "cuda")
    else:
        found = devices.named_device(name)
    return found if size is None else replace(found, total_bytes=size, source="--memory", estimated=False)


def _host() -> Device:
    """The machine's memory or the control group's limit, whichever is less. Raises UsageError."""
    from llmflame.cli.machine import cache_folder
    from llmflame.planning.devices import host
    from llmflame.probes.machine import read_machine

    facts = read_machine(cache_folder(), with_torch=False)
    known = [amount for name in ("RAM total", "memory limit") if (amount := _bytes(facts, name))]
    if not known:
        raise UsageError("how much memory this machine has can't be read: say it with --memory")
    total, source = min(known)
    return host(total, source)


def _bytes(facts: list[Fact], name: str) -> tuple[int, str] | None:
    for fact in facts:
        if fact.name == name and isinstance(fact.value, int | float) and not isinstance(fact.value, bool):
            return int(fact.value), fact.source
    return None
