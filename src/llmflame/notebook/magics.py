"""`%llmflame` on a line and `%%llmflame` on a cell. The one module that needs IPython to be imported."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from IPython.core import magic
from IPython.core.error import UsageError as MagicUsageError
from IPython.display import display

from llmflame.errors import LlmflameError, UsageError
from llmflame.notebook.code import CellCode
from llmflame.notebook.options import MagicOptions, parse_line
from llmflame.notebook.recorder import Recorder
from llmflame.notebook.repetition import Repetition
from llmflame.notebook.shown import ShownProfile
from llmflame.notebook.watched import watched_model
from llmflame.recording.live import DEFAULT_REPETITIONS, runs_of
from llmflame.views.notebook_notes import note_generations, note_runs

# As Any: not all of IPython says its types.
_ipython: Any = magic
_show: Any = display


@magic.magics_class
class LlmflameMagics(magic.Magics):
    """The magics of `%load_ext llmflame`."""

    shell: Any

    @_ipython.no_var_expand  # type: ignore[untyped-decorator]
    @_ipython.line_cell_magic  # type: ignore[untyped-decorator]
    def llmflame(self, line: str, cell: str | None = None) -> Any:
        """Profile a cell, or a statement, that generates with a model that is loaded already.

            %%llmflame [options]            %llmflame [options] statement
            out = pipe(prompt)

        Shows the profile's page. The value is that of the last line, and an exception passes through
        unchanged, as without the magic. The code should run one generation.

        THE CODE RUNS 8 TIMES: a warm-up, three times timed undisturbed, once with memory counted, three times
        for the call tree. Between runs variables are bound again as they were before, and random draws
        repeat, so that `n += 1` counts once and sampling gives the same text. What the code changes inside
        objects, in files or elsewhere, each run changes. With --once it runs one time, timed only: phases
        and steps without a call tree.

        Options, before the statement (`--` ends them; {expressions} in values are expanded):
          -o, --output FILE     keep the profile as FILE.llmflame
          --force               replace FILE where it exists
          --name NAME           bind the profile to the variable NAME
          --model EXPRESSION    the model or pipeline to watch, where the code doesn't name it
          -r, --repetitions N   time N runs instead of 3
          --once                run the code one time only
        """
        with _told_in_a_line():
            options, statement = parse_line(line)
            if cell is not None and statement:
                raise UsageError(f"behind %%llmflame stand options only, not {statement[:60]!r}")
            source = statement if cell is None else cell
            if not source.strip():
                raise UsageError("there is nothing to run: %llmflame STATEMENT, or code below %%llmflame")
        code = CellCode(self.shell, source)
        with _told_in_a_line():
            model = self._model(options, code)
        with contextlib.ExitStack() as stack:
            output = self._output(options, stack)
            value, profile = self._record(code, model, output, options)
        if options.name is not None:
            self.shell.user_ns[options.name] = profile
        _show(profile)
        note_generations(profile, repeated=not options.once)
        return value

    def _model(self, options: MagicOptions, code: CellCode) -> Any:
        if options.model is None:
            return watched_model(self.shell.user_ns, code.names)
        try:
            return eval(self.shell.var_expand(options.model), self.shell.user_ns)
        except Exception as error:
            raise UsageError(f"--model {options.model}: {type(error).__name__}: {error}") from error

    def _output(self, options: MagicOptions, stack: contextlib.ExitStack) -> Path:
        if options.output is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="llmflame-"))
            return Path(folder) / "cell.llmflame"
        return Path(self.shell.var_expand(options.output)).expanduser()

    def _record(
        self, code: CellCode, model: Any, output: Path, options: MagicOptions
    ) -> tuple[Any, ShownProfile]:
        repetitions = options.repetitions or DEFAULT_REPETITIONS
        with contextlib.ExitStack() as stack:
            with _told_in_a_line():
                recorder = Recorder(model, output, force=options.force, repetitions=repetitions)
                stack.enter_context(recorder)
            if options.once:
                value = code.run()
            else:
                note_runs(runs_of(repetitions))
                repetition = stack.enter_context(Repetition(self.shell.user_ns))
                value = None
                for _ in recorder.passes(between=repetition.again):
                    value = None  # nothing of the run before is kept alive
                    value = code.run()
        return value, recorder.profile


@contextlib.contextmanager
def _told_in_a_line() -> Iterator[None]:
    """What a person can act on is one line, as other magics' mistakes are; the code itself isn't run here."""
    try:
        yield
    except LlmflameError as error:
        raise MagicUsageError(str(error)) from None
