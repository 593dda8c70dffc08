"""llmflame: where every nanosecond and every byte of a language model's run went.

    profile = llmflame.profile("demo")                       # by name, in fresh processes
    profile = llmflame.profile(pipeline, "Once upon a time") # a live object, in this process
    profile = llmflame.open("run.llmflame")                  # a file, without torch

In a notebook each of these shows its page, and `%load_ext llmflame` brings `%%llmflame` for a cell.
Importing this package imports nothing heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from llmflame.notebook.recorder import Recorder
    from llmflame.notebook.shown import ShownProfile
    from llmflame.progress import Progress
    from llmflame.store.model import Fact
    from llmflame.store.profile import Profile

__all__ = ["Recorder", "machine", "open", "profile", "summary"]


def profile(  # noqa: PLR0913  each option is a parameter
    subject: Any,
    prompt: str | None = None,
    *,
    tokenizer: Any = None,
    output: str | Path | None = None,
    force: bool = False,
    trust_remote_code: bool = False,
    allow_pickle: bool = False,
    stalls: str | None = None,
    progress: Progress | bool | None = None,
    **workload: Any,
) -> ShownProfile:
    """Profile a text generation and return the profile, which shows itself in a notebook.

    `subject` is MODEL as on the command line (`demo`, a hub id, a folder, a `.gguf` file, `dummy:NAME`),
    run in fresh processes; or a live `transformers` pipeline, or a model with its `tokenizer`, run in this
    one: a warm-up, the clean requests, and three more for the anatomy. `workload` takes the fields of
    `llmflame.recording.workload.Workload`: new_tokens, batch_size, repetitions, prompt_tokens, sample,
    seed, and for a name also dtype and device. The file goes to `output`, or is read and removed where
    none is given.

    `stalls`: `continuous` samples in one pass more why the GPU's warps wait, `exact` also launch by launch
    in one decode step (about 50 times as long as that step); the profile says where that was refused.

    `progress`: None shows in a notebook how far it is and how long it still takes; True in a terminal too,
    False nowhere. It is drawn between requests, never inside one that is measured in this process.

    Raises UsageError for what can't be run, ProgramFailedError where a child process failed; an exception
    of a live model passes through unchanged.
    """
    from llmflame.notebook.shown import shown
    from llmflame.recording.profile_live import profile_anything
    from llmflame.views.watching import progress_for

    if prompt is not None:
        workload["prompt"] = prompt
    trust = {"trust_remote_code": trust_remote_code, "allow_pickle": allow_pickle}
    return shown(
        profile_anything(
            subject,
            tokenizer=tokenizer,
            output=output,
            force=force,
            trust=trust,
            workload=workload,
            stalls=stalls,
            progress=progress_for(progress, alone=True),
        )
    )


def open(path: str | Path) -> ShownProfile:
    """Read a profile file into typed tables, which show themselves in a notebook. Needs no torch.

    Raises UnreadableProfileError.
    """
    from llmflame.notebook.shown import read_shown

    return read_shown(path)


def summary(profile: Profile) -> dict[str, Any]:
    """The document that `llmflame show --json` prints."""
    from llmflame.analysis.summary import summarise

    return summarise(profile)


def machine() -> list[Fact]:
    """What this machine is, each fact with its source, and what it reaches, if that was measured before."""
    from llmflame.probes.ceilings.kept import with_kept
    from llmflame.probes.machine import read_machine
    from llmflame.subjects import cache

    return with_kept(cache.folder(), read_machine(cache.folder()))


def load_ipython_extension(shell: Any) -> None:
    """What `%load_ext llmflame` calls: brings the magics `%llmflame` and `%%llmflame`."""
    from llmflame.notebook.magics import LlmflameMagics

    shell.register_magics(LlmflameMagics)


def __getattr__(name: str) -> Any:
    if name == "Recorder":
        from llmflame.notebook.recorder import Recorder

        return Recorder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
