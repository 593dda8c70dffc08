"""What of the documents a test doesn't run, and why. A line that no document has any more fails the tests.

An author of documents adds here what can't be run on any machine in a second or two: the command as it is
written, without its comment. Its arguments are still parsed. Everything else in `sh`, `console`, unnamed and
indented blocks, and in `python` and `sql` blocks, is run; so are commands within a sentence that name a
profile. Of others there the options must exist. The tests provide every profile that a command names.
"""

from __future__ import annotations

from collections.abc import Mapping

RECORDS = "records for minutes: tests/integration does it"
NEEDS_CUDA = "needs a CUDA device: tests/gpu does it"
BUILDS = "builds a model without data in a process of its own: tests/planning does it"
MEASURES = "measures this machine: tests/cli/test_machine_measure.py does it on a small scale"
GENERATES = "needs a model: tests/scratch/test_demo.py and tests/cli/test_scratch.py do it"
SERVES = "starts a server for a browser"
INSTALLS = "installs packages; that the extras exist is checked"
MAKES = "runs for minutes; that the target exists is checked"
BENCHMARK = "runs for minutes; that the file and its options exist is checked"
NODE = "needs npm's packages; that the script exists is checked"
EXPERIMENTS = "runs processes for minutes: tests/lab does it"
BROWSES = "opens a screen: tests/cli/test_show_interactive.py does it"

ONLY_PARSED: Mapping[str, str] = {
    "llmflame profile demo": RECORDS,
    "llmflame profile demo --dtype float32 --device cpu -o demo.llmflame": RECORDS,
    "llmflame profile meta-llama/Llama-3.2-1B --device cuda --dtype bfloat16": NEEDS_CUDA,
    "llmflame profile dummy:llama-3.2-1b --dtype bfloat16 --stalls": NEEDS_CUDA,
    "llmflame profile dummy:llama-3.2-1b --dtype bfloat16 --stalls=exact": NEEDS_CUDA,
    "llmflame profile ./checkpoint --prompt-file question.txt --new-tokens 200 --report run.html": RECORDS,
    "llmflame profile dummy:llama-3.1-8b": RECORDS,
    "llmflame plan dummy:llama-3.1-8b --device H100 --batch 8 --context 4096": BUILDS,
    "llmflame plan dummy:llama-3.1-8b --device H100": BUILDS,
    "llmflame plan ./my-checkpoint --memory 24GB --dtype float16": BUILDS,
    "llmflame plan demo --device cpu --json": BUILDS,
    "llmflame machine --measure": MEASURES,
    "llmflame show run.llmflame --interactive": BROWSES,
    "llmflame show FILE --interactive": BROWSES,
    'llmflame scratch "The capital of France is"': GENERATES,
    'llmflame scratch "The capital of France is" --temperature 0.8 --top-p 0.9 --seed 3': GENERATES,
    'llmflame scratch "The capital of France is" --naive': GENERATES,
    'llmflame scratch "Once upon a time" --model ./checkpoint --dtype float32 --new-tokens 200': GENERATES,
    "llmflame lab demo --variants sdpa,static-cache,static-cache+compile": EXPERIMENTS,
    "llmflame lab demo --variants static-cache --engine scratch --batch 1,4,16": EXPERIMENTS,
    "llmflame lab demo --ladder --engine scratch": EXPERIMENTS,
    "llmflame lab demo --variants eager-attention,static-cache,bf16,scratch": EXPERIMENTS,
    "llmflame lab --from run.llmflame": EXPERIMENTS,
    "llmflame lab --list": "imports torch: tests/cli/test_lab.py does it",
    "go tool pprof -http=: run.pb.gz": SERVES,
}
"""By command."""
PREFIXES: Mapping[str, str] = {
    "pip install": INSTALLS,
    "make ": MAKES,
    "python benchmarks/": BENCHMARK,
    "npm ": NODE,
}
"""By how a command begins."""
ONLY_COMPILED: Mapping[str, str] = {
    "docs/scratch.md: folder = Path(": "needs a checkpoint: tests/scratch does it",
    "README.md: profile = llmflame.profile(pipeline": "needs a model: tests/integration/test_live.py does it",
    "docs/notebook.md: import llmflame": "records for minutes: tests/notebook does it",
}
"""Python, by document and how a line of it begins: compiled, and what it uses of llmflame is looked up."""
EXIT_CODES: Mapping[str, int] = {}
"""Commands that are shown to fail, with the code that they end with; others end with 0."""
PLACEHOLDERS: Mapping[str, str] = {
    "FILE": "run.llmflame",
    "A": "a.llmflame",
    "B": "b.llmflame",
    "MODEL": "demo",
    "VIEW": "functions",
    "FORMAT": "speedscope",
    "METRIC": "wall",
    "OUT": "out",
}
"""What stands for a word in capitals."""
