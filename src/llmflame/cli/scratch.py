"""The command `llmflame scratch`."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from llmflame.errors import UsageError

MODEL_HELP = "demo, a checkpoint folder, a file.gguf, dummy:NAME, or ORG/NAME on the Hugging Face hub."
_LARGEST_SEED = 2**63 - 1
_PACKAGES = ("torch", "safetensors", "tokenizers")


def scratch(  # noqa: PLR0913  each option is a parameter
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What the text begins with.")],
    model: Annotated[str, typer.Option(metavar="MODEL", help=MODEL_HELP)] = "demo",
    new_tokens: Annotated[int, typer.Option(metavar="N", min=1, help="At most as many tokens follow.")] = 64,
    dtype: Annotated[
        str, typer.Option(metavar="TYPE", help="float32, bfloat16, float16, or auto: the checkpoint's.")
    ] = "auto",
    device: Annotated[
        str, typer.Option(metavar="NAME", help="cpu, cuda, cuda:1; auto: a GPU if any.")
    ] = "auto",
    temperature: Annotated[
        float, typer.Option(metavar="X", help="0: always the most probable token; else draw at random.")
    ] = 0.0,
    top_p: Annotated[
        float, typer.Option(metavar="P", help="Draw from the tokens that have this share together.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(metavar="N", min=0, max=_LARGEST_SEED, help="Of what is drawn.")] = 0,
    naive: Annotated[
        bool, typer.Option("--naive", help="Without a KV cache: each step computes all tokens anew.")
    ] = False,
) -> None:
    """Continue a text with the decoder in src/llmflame/scratch, which is there to be read.

    It is plain PyTorch: Llama, SmolLM2 and Qwen3 checkpoints as safetensors. The text is written as it grows.
    """
    _check_packages()
    with _as_usage():
        for piece in _text(model, prompt, new_tokens, (dtype, device), (temperature, top_p, seed), naive):
            typer.echo(_shown(piece), nl=False)
    typer.echo()


def _shown(piece: str) -> str:
    """What a model writes is data: it may break lines, and nothing else on a terminal."""
    from llmflame.views.safe import safe_text

    longest = 6 * len(piece) + 1
    return "".join(
        part if part in ("\n", "\t") else safe_text(part, longest) for part in re.split(r"([\n\t])", piece)
    )


def _check_packages() -> None:
    from importlib.util import find_spec

    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise UsageError(f'{missing[0]} is missing, which this needs: pip install "llmflame[run]"')


@contextlib.contextmanager
def _as_usage() -> Iterator[None]:
    """What scratch finds wrong as this program's own error: it knows nothing of llmflame."""
    from llmflame.scratch.errors import ScratchError

    try:
        yield
    except ScratchError as error:
        raise UsageError(str(error)) from error


def _folder(model: str) -> Path:
    """The checkpoint folder of MODEL. A folder is taken as it is: scratch checks it by its own needs."""
    from llmflame.cli.progress import shown_progress
    from llmflame.subjects.resolve import resolve

    path = Path(model).expanduser()
    if model and path.is_dir():
        return path
    with shown_progress() as progress:
        return resolve(model, progress=progress).folder


def _text(
    model: str,
    prompt: str,
    new_tokens: int,
    place: tuple[str, str],
    drawing: tuple[float, float, int],
    naive: bool,
) -> Iterator[str]:
    """The prompt, and what follows it piece by piece; what can't be used is an error before the first piece.

    `place`: dtype and device; `drawing`: temperature, top-p, seed.
    """
    from llmflame.scratch import generate
    from llmflame.scratch.checkpoint import load
    from llmflame.scratch.config import read_config, read_stop_ids
    from llmflame.scratch.device import named_device
    from llmflame.scratch.sampling import sampler
    from llmflame.scratch.tokenizer import TextStream, Tokenizer, pad

    device = named_device(place[1])
    sample = sampler(*drawing, device)
    # What is quick to find wrong is found before weights are read.
    folder = _folder(model)
    context = read_config(folder).context
    tokenizer = Tokenizer(folder)
    batch = pad([tokenizer.encode(prompt)], device)
    if (given := batch.tokens.shape[1]) + new_tokens > context:
        raise UsageError(
            f"{given:,} prompt tokens and {new_tokens:,} new ones are more than the {context:,} that "
            "the model can look at"
        )
    stop_ids = read_stop_ids(folder)
    step = generate.naive if naive else generate.cached
    steps = step(load(folder, place[0], device), batch, new_tokens, sample)
    text = TextStream(tokenizer)
    yield prompt
    for (token,) in generate.stream(steps, stop_ids):
        if token is not None and token not in stop_ids:
            yield text.push(token)
    yield text.finish()
