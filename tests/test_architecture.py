"""The shape of the code: what imports what, how long things are, where state lives."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import llmflame

REPOSITORY = Path(__file__).parents[1]
SOURCE = REPOSITORY / "src" / "llmflame"
FILES = sorted(SOURCE.rglob("*.py"))
MAX_LINES = 400
MAX_FUNCTION_LINES = 60

ALL = {
    "analysis",
    "cli",
    "exports",
    "importing",
    "lab",
    "notebook",
    "planning",
    "probes",
    "recording",
    "scratch",
    "store",
    "subjects",
    "views",
}
MAY_IMPORT: dict[str, set[str]] = {
    "store": {"errors"},
    "probes": {"store", "errors"},
    "subjects": {"errors", "store"},
    "analysis": {"store", "errors", "units"},
    "views": {"analysis", "store", "units", "errors", "progress"},
    "exports": {"analysis", "store", "units", "errors"},
    "importing": {"store", "errors"},
    "planning": {"store", "subjects", "errors"},
    "scratch": set(),
    "lab": {"analysis", "recording", "scratch", "planning", "probes", "subjects", "store"}
    | {"errors", "units", "atomic", "progress"},
    "recording": {"planning", "probes", "store", "subjects", "errors", "atomic", "progress"},
    "notebook": {"views", "recording", "analysis", "store", "errors", "atomic", "progress"},
    "cli": (ALL - {"cli"}) | {"errors", "units", "atomic", "progress"},
    "__main__": {"cli"},
    "errors": set(),
    "units": set(),
    "atomic": {"errors"},
    "progress": set(),
    "__init__": ALL | {"progress"},
}
"""By package or top module: which others it may import, at its top or lazily, itself apart."""
TORCH_ALLOWED = {"lab", "planning", "probes", "recording", "scratch", "subjects"}
TORCH = {
    "torch",
    "transformers",
    "numpy",
    "safetensors",
    "tokenizers",
    "accelerate",
    "gguf",
    "huggingface_hub",
}


def module_name(file: Path) -> str:
    parts = file.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def package_of(name: str) -> str:
    """`llmflame.store.writer` is of `store`, `llmflame` itself `__init__`."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


@cache
def syntax(file: Path) -> ast.Module:
    return ast.parse(file.read_text("utf-8"), str(file))


NAMES = {module_name(file): file for file in FILES}


def _targets(node: ast.AST, name: str, *, is_package: bool) -> Iterator[str]:
    """The dotted names that an import asks for; of `from a import b` the module b, where it is one."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            above = name.split(".")[: None if is_package and node.level == 1 else -node.level + is_package]
            base = ".".join([*above, *([node.module] if node.module else [])])
        for alias in node.names:
            full = f"{base}.{alias.name}"
            yield full if full in NAMES else base


def imports_of(file: Path, *, lazy: bool = True) -> set[str]:
    """Everything imported; without `lazy`, only what importing the module itself imports."""
    name, is_package = module_name(file), file.name == "__init__.py"
    found: set[str] = set()
    stack: list[ast.AST] = [syntax(file)]
    while stack:
        node = stack.pop()
        found.update(_targets(node, name, is_package=is_package))
        for child in ast.iter_child_nodes(node):
            function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            typing = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
            if lazy or not (function or typing):
                stack.append(child)
    return found


def ids(files: list[Path]) -> list[str]:
    return [str(file.relative_to(SOURCE)) for file in files]


every_file = pytest.mark.parametrize("file", FILES, ids=ids(FILES))


def test_the_table_names_every_package() -> None:
    assert {package_of(name) for name in NAMES} == set(MAY_IMPORT)


def test_the_table_points_one_way() -> None:
    """Whatever a package may import, it may not be imported by, directly or over others."""

    def reach(start: str) -> set[str]:
        seen: set[str] = set()
        stack = [start]
        while stack:
            for other in MAY_IMPORT[stack.pop()] - seen:
                seen.add(other)
                stack.append(other)
        return seen

    assert not [name for name in MAY_IMPORT if name in reach(name)]


@every_file
def test_imports_point_one_way(file: Path) -> None:
    package = package_of(module_name(file))
    wrong = set()
    for target in imports_of(file):
        parts = target.split(".")
        if parts[0] != "llmflame":
            continue
        other = package_of(target)
        if target == "llmflame" and str(file.relative_to(SOURCE)) in (
            "probes/eventtree.py",
            "probes/sampler.py",
        ):
            continue  # asks where its own code lies
        if other != package and other not in MAY_IMPORT[package]:
            wrong.add(other)
    assert wrong == set()


@every_file
def test_only_what_runs_models_imports_torch(file: Path) -> None:
    heavy = {target.split(".")[0] for target in imports_of(file)} & TORCH
    assert not heavy or package_of(module_name(file)) in TORCH_ALLOWED, heavy


def test_the_front_door_imports_lazily() -> None:
    assert not {
        name for name in imports_of(SOURCE / "__init__.py", lazy=False) if name.startswith("llmflame")
    }


def test_the_store_is_standard_library_alone() -> None:
    for file in FILES:
        if package_of(module_name(file)) == "store":
            others = {target.split(".")[0] for target in imports_of(file)} - {"llmflame"}
            assert others <= set(sys.stdlib_module_names), file


def test_no_import_cycles() -> None:
    """Not even lazily: a module that needs what needs it is cut in the wrong place."""
    graph = {
        name: {target for target in imports_of(file) if target in NAMES and target not in (name, "llmflame")}
        for name, file in NAMES.items()
        if name != "llmflame"
    }
    done: set[str] = set()
    while ready := [name for name in graph if name not in done and graph[name] <= done]:
        done.update(ready)
    assert sorted(set(graph) - done) == []


@every_file
def test_a_file_holds_one_noun(file: Path) -> None:
    assert len(file.read_text("utf-8").splitlines()) <= MAX_LINES


@every_file
def test_a_function_fits_a_screen(file: Path) -> None:
    long = [
        node.name
        for node in ast.walk(syntax(file))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > MAX_FUNCTION_LINES
    ]
    assert long == []


@every_file
def test_a_module_says_what_it_is(file: Path) -> None:
    assert (ast.get_docstring(syntax(file)) or "").strip()


_CONSTANT = re.compile(r"_?[A-Z][A-Z0-9_]*$")
_MUTABLE_CALLS = {"list", "dict", "set", "defaultdict", "OrderedDict", "deque", "Counter", "bytearray"}


def _is_mutable(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Call):
        called = value.func
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        return name in _MUTABLE_CALLS
    return isinstance(value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp)


@every_file
def test_modules_keep_no_state(file: Path) -> None:
    """A list or dict at module level is a table that nobody writes to, and is named like one."""
    wrong = []
    for node in syntax(file).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if not isinstance(node, ast.Assign | ast.AnnAssign) or not _is_mutable(node.value):
            continue
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        wrong += [name for name in names if name != "__all__" and not _CONSTANT.match(name)]
    changed = [
        ast.unparse(node)
        for node in ast.walk(syntax(file))
        if isinstance(node, ast.Global)
        or (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("append", "add", "update", "setdefault", "extend", "clear", "pop")
            and isinstance(node.func.value, ast.Name)
            and _CONSTANT.match(node.func.value.id)
        )
    ]
    assert wrong == [] and changed == []


@pytest.mark.parametrize(
    "statement",
    [
        "import llmflame",
        "import llmflame.store.profile, llmflame.store.writer, llmflame.analysis.summary",
        "import llmflame.cli.app, llmflame.views.summary, llmflame.views.page",
        "import llmflame.cli.export, llmflame.exports.formats",
        "import llmflame.cli.scratch",
        "import llmflame.notebook.shown, llmflame.views.notebook_frame",
        "import llmflame.views.interactive.source, llmflame.views.interactive.start",
        "import llmflame.cli.lab, llmflame.analysis.experiment.experiment, llmflame.views.lab",
        "import llmflame.recording.session, llmflame.recording.cold_start, llmflame.recording.pass_in_child",
    ],
)
def test_importing_needs_no_torch(statement: str) -> None:
    program = f"import sys\n{statement}\nprint(sorted({TORCH!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_decoder_to_be_read_is_short() -> None:
    sizes = {
        file.name: len(file.read_text("utf-8").splitlines()) for file in (SOURCE / "scratch").glob("*.py")
    }
    assert sum(sizes.values()) <= 900 and sizes["model.py"] <= 250


BROWSER = {f"views/interactive/{name}.py" for name in
           ("app", "chooser", "rows", "table_pane", "tabs", "text_pane", "tree_pane")}  # fmt: skip


@every_file
def test_only_the_browsers_screens_import_textual(file: Path) -> None:
    """What they show can be computed, and tested, without it; it is an extra that may be missing."""
    wants = "textual" in {target.split(".")[0] for target in imports_of(file)}
    assert wants == (str(file.relative_to(SOURCE)) in BROWSER)


def test_importing_the_package_imports_nothing_of_it() -> None:
    program = "import sys, llmflame\nprint(sorted(n for n in sys.modules if n.startswith('llmflame.')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_front_doors_names_exist_in_order() -> None:
    assert llmflame.__all__ == sorted(llmflame.__all__)
    assert len(set(llmflame.__all__)) == len(llmflame.__all__)
    for name in llmflame.__all__:
        assert getattr(llmflame, name).__doc__
    with pytest.raises(AttributeError, match="no_such_name"):
        llmflame.no_such_name  # noqa: B018


@pytest.mark.parametrize(
    "file",
    [f for f in FILES if "__all__" in f.read_text("utf-8")],
    ids=lambda file: str(file.relative_to(SOURCE)),
)
def test_every_public_name_exists_where_it_is_listed(file: Path) -> None:
    tree = syntax(file)
    (listed,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    bound = {"Recorder"} if file == SOURCE / "__init__.py" else set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            bound.update((alias.asname or alias.name) for alias in node.names)
        elif isinstance(node, ast.Assign):
            bound.update(target.id for target in node.targets if isinstance(target, ast.Name))
    assert listed == sorted(listed) and set(listed) <= bound


_PATH = re.compile(r"`([A-Za-z0-9_.*-]+(?:/[A-Za-z0-9_.*-]*)+)`")


def test_the_paths_of_the_architecture_section_exist() -> None:
    text = (REPOSITORY / "CONTRIBUTING.md").read_text("utf-8")
    sections = re.split(r"^#+ ", text, flags=re.MULTILINE)
    (section,) = (part for part in sections if part.lower().startswith("architecture"))
    paths = _PATH.findall(section)
    assert paths, "the section names no path"
    roots = (REPOSITORY, SOURCE.parent, SOURCE)
    missing = [path for path in paths if not any(list(root.glob(path.rstrip("/"))) for root in roots)]
    assert missing == []
