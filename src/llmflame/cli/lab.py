"""The command `llmflame lab`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from llmflame.cli.profile import MODEL_HELP
from llmflame.errors import ProgramFailedError, UsageError

if TYPE_CHECKING:
    from llmflame.lab.order import LabOrder
    from llmflame.lab.run import Means
    from llmflame.lab.trial import Engine
    from llmflame.store.profile import Profile

DEFAULT_OUTPUT = Path("lab.llmflame")
NEEDED = ("torch", "transformers", "numpy", "tokenizers")
VARIANTS_HELP = "The rows: variants, joined by + where they go together. --list has all."

Model = Annotated[str | None, typer.Argument(metavar="MODEL", help=MODEL_HELP, show_default=False)]
Variants = Annotated[str | None, typer.Option(metavar="A,B,A+C", help=VARIANTS_HELP)]
EngineName = Annotated[
    str, typer.Option(metavar="NAME", help="What rows run on: transformers, or llmflame's own scratch.")
]
Device = Annotated[str, typer.Option(metavar="NAME", help="cpu or cuda; auto: a GPU if any.")]
Dtype = Annotated[str, typer.Option(metavar="TYPE", help="float32, bfloat16 or float16.")]
Batch = Annotated[str, typer.Option(metavar="N,N", help="Batch sizes; each row runs at each.")]
PromptTokens = Annotated[int, typer.Option(metavar="N", help="Of each prompt.")]
NewTokens = Annotated[int, typer.Option(metavar="N", help="How many tokens follow.")]
Rounds = Annotated[int, typer.Option(metavar="N", help="Fresh processes of each row.")]
Repetitions = Annotated[int, typer.Option(metavar="N", help="Timed requests of a process.")]
Threads = Annotated[int | None, typer.Option(metavar="N", help="Of torch on the CPU.")]
Seed = Annotated[int, typer.Option(metavar="N", help="Of the prompt and of the rows' order.")]
TimeLimit = Annotated[float, typer.Option(metavar="S", help="Seconds that a process may take.")]
Ladder = Annotated[
    bool, typer.Option("--ladder", help="Add variants one after the other, keeping what pays.")
]
FromFile = Annotated[
    Path | None,
    typer.Option("--from", metavar="FILE", help="Test what the findings of a profile propose, on its model."),
]
ListVariants = Annotated[
    bool, typer.Option("--list", help="List the variants, and whether they can be done here.")
]
Output = Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Default: lab.llmflame.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
Markdown = Annotated[bool, typer.Option("--markdown", help="Print a table for a README instead.")]
NoProfiles = Annotated[
    bool, typer.Option("--no-profiles", help="Record no profile of the rows, which takes a while.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")]


def lab(  # noqa: PLR0913  each option is a parameter
    model: Model = None,
    variants: Variants = None,
    engine: EngineName = "transformers",
    device: Device = "auto",
    dtype: Dtype = "float32",
    batch: Batch = "1",
    prompt_tokens: PromptTokens = 16,
    new_tokens: NewTokens = 128,
    rounds: Rounds = 5,
    repetitions: Repetitions = 3,
    threads: Threads = None,
    seed: Seed = 0,
    time_limit: TimeLimit = 600.0,
    ladder: Ladder = False,
    from_file: FromFile = None,
    list_variants: ListVariants = False,
    output: Output = None,
    json: Json = False,
    markdown: Markdown = False,
    no_profiles: NoProfiles = False,
    force: Force = False,
) -> None:
    """Measure which change helps: rows of variants against the stock model, outputs compared first.

    Every row runs in fresh processes, in rounds of random order. A row whose outputs disagree gets no speed.
    """
    from llmflame.atomic import check_writable

    _check_installed()
    engine_name = _engine(engine)
    if list_variants:
        _list(engine_name, _device(device), dtype, as_json=json)
        return
    target = output or DEFAULT_OUTPUT
    check_writable(target, force=force)
    if json and markdown:
        raise UsageError("--json and --markdown exclude each other: give one")
    order = _order(
        model, variants, from_file, engine_name,
        ladder=ladder, device=_device(device), dtype=dtype, batches=_batches(batch),
        prompt_tokens=prompt_tokens, new_tokens=new_tokens, rounds=rounds, repetitions=repetitions,
        threads=threads, seed=seed, time_limit_s=time_limit, profiles=not no_profiles,
    )  # fmt: skip
    order.check(None)
    _run(order, target, _means(), force=force, quiet=json or markdown)
    _tell(target, as_json=json, as_markdown=markdown)


def _check_installed() -> None:
    from importlib.util import find_spec

    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        words = f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"
        raise UsageError(f'{words}, which the lab needs: pip install "llmflame[run]"')


def _engine(name: str) -> Engine:
    if name == "transformers":
        return "transformers"
    if name == "scratch":
        return "scratch"
    raise UsageError(f"--engine {name}: there are transformers and scratch")


def _device(name: str) -> Literal["cpu", "cuda"]:
    """`auto` is CUDA where there is a GPU and torch is built for it."""
    if name == "cpu":
        return "cpu"
    if name == "cuda":
        return "cuda"
    if name != "auto":
        raise UsageError(f"--device {name}: there are cpu, cuda and auto")
    from llmflame.probes.machine.gpu import gpu_facts
    from llmflame.recording.gauge_feed import device_of

    count = next((fact.value for fact in gpu_facts() if fact.name == "GPUs"), None)
    return "cuda" if count and device_of("auto") is not None else "cpu"


def _list(engine: Engine, device: Literal["cpu", "cuda"], dtype: str, *, as_json: bool) -> None:
    from llmflame.cli.printing import print_json, print_view
    from llmflame.lab.listing import listing

    found = listing(engine, device, dtype)
    if as_json:
        print_json(found)
        return
    from llmflame.views.variants import variants_view

    print_view(variants_view(found))


def _batches(text: str) -> tuple[int, ...]:
    try:
        return tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError as error:
        raise UsageError(f"--batch {text}: whole numbers, with commas between them") from error


def _means() -> Means:
    from llmflame.lab.run import Means
    from llmflame.lab.variants import registry

    return Means(registry)


def _order(
    model: str | None, variants: str | None, from_file: Path | None, engine: Engine, **options: Any
) -> LabOrder:
    """What the options ask for. Raises UsageError where they leave the model or the rows open."""
    from llmflame.lab.order import LabOrder
    from llmflame.lab.rows import BATCH, Combination, read_rows
    from llmflame.lab.variants import registry

    if from_file is not None and variants is not None:
        raise UsageError("--from and --variants exclude each other: a profile's findings name the variants")
    if from_file is not None and options["ladder"]:
        raise UsageError("--from and --ladder exclude each other: what a profile proposes are whole rows")
    rows: tuple[Combination, ...]
    if from_file is not None:
        from llmflame.store.profile import read_profile

        profile = read_profile(from_file, timelines=False)
        model = model or str(profile.subject.get("spec") or "")
        rows = read_rows(_proposed(profile, from_file), "transformers")
    elif variants is not None:
        rows = read_rows(variants, engine)
    elif options["ladder"]:
        # What computes with other numbers is added only where somebody names it.
        every = registry.of_engine(engine)
        pool = [one for one in every if one.slot != BATCH and one.equality != "approximate"]
        rows = tuple((engine, (variant.name,)) for variant in pool)
    else:
        raise UsageError("name the rows by --variants (see --list), or give --ladder or --from")
    if not model:
        raise UsageError("name a MODEL")
    return LabOrder(model, rows, engine, **options)


def _proposed(profile: Profile, file: Path) -> str:
    """The rows that the findings of a profile name."""
    from llmflame.analysis.findings import find
    from llmflame.analysis.findings.experiments import experiments_of
    from llmflame.analysis.run_tree import build_run_tree

    found = find(profile, build_run_tree(profile))
    rows = dict.fromkeys(row for one in found for row in experiments_of(one))
    if not rows:
        raise UsageError(f"{file}: none of its findings is tested by a variant")
    return ",".join(rows)


def _run(order: LabOrder, target: Path, means: Means, *, force: bool, quiet: bool) -> None:
    from llmflame.cli.progress import shown_progress
    from llmflame.lab.run import run_experiment
    from llmflame.subjects.resolve import resolve

    with shown_progress(quiet=quiet) as progress:
        checkpoint = resolve(order.model, progress=progress)
        try:
            run_experiment(checkpoint, order, target, means, force=force, progress=progress)
        except ProgramFailedError as error:
            raise ProgramFailedError(f"{error}. What was measured is kept: {target}") from error
        except KeyboardInterrupt as error:
            raise ProgramFailedError(f"interrupted. What was measured is kept: {target}") from error


def _tell(target: Path, *, as_json: bool, as_markdown: bool) -> None:
    from llmflame.cli.printing import print_lab
    from llmflame.store.profile import read_profile
    from llmflame.views.safe import safe_text

    profile = read_profile(target, timelines=False)
    if as_markdown:
        from llmflame.exports.lab_markdown import lab_markdown

        typer.echo(lab_markdown(profile), nl=False)
    else:
        print_lab(profile, as_json=as_json)
    typer.echo(f"wrote {safe_text(str(target), 4_096)}", err=as_json or as_markdown)
