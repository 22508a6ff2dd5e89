"""The house of `tools/datarepo`: arrows between its rooms lead down, and what its docstrings name exists.

cli → commands → pipeline → azure, archives → the ground

Nothing is imported here: the modules are read as text.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter

import pytest

from tests.azurite import ROOT

GROUND = "the ground"  # whatever lies directly in datarepo/
BELOW = {
    "cli": {"commands", "pipeline", "azure", "archives", GROUND},
    "commands": {"pipeline", "azure", "archives", GROUND},
    "pipeline": {"azure", "archives", GROUND},
    "azure": {GROUND},
    "archives": {GROUND},
    GROUND: set[str](),
}
KNOW_DVC_AND_GIT = {"cli", "commands", "pipeline"}
DVC_OR_GIT = re.compile(r"dvc|git\b|scmrepo")  # how the names of their packages begin
APART = "datarepo.environment"  # it runs before anything is installed, and then calls the doorways


@dataclass
class Module:
    """What the text of a module says."""

    name: str
    doc: str
    imports: set[str] = field(default_factory=set)  # modules, wherever and for whatever
    runs: set[str] = field(default_factory=set)  # those that are not for types alone
    names: set[str] = field(default_factory=set)  # its own, those it imports, and those of its classes
    members: dict[str, set[str]] = field(default_factory=dict)  # by class


def read() -> dict[str, Module]:
    """All modules of datarepo, by name; a package is the module of its `__init__.py`."""
    tools = ROOT / "tools"
    trees = {}
    for path in sorted(tools.glob("datarepo/**/*.py")):
        parts = path.relative_to(tools).with_suffix("").parts
        trees[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = ast.parse(path.read_text())
    modules = {name: Module(name, ast.get_docstring(tree) or "") for name, tree in trees.items()}
    for name, tree in trees.items():
        _read_names(tree.body, modules[name])
        _read_imports(tree, modules[name], set(modules), for_types=False)
    return modules


def _read_names(body: list[ast.stmt], module: Module) -> None:
    """What a module defines, also below `if` and `try`."""
    for node in body:
        match node:
            case ast.ClassDef():
                own = {name for statement in node.body for name in _defined(statement)}
                module.members[node.name] = own
                module.names |= {node.name, *own}
            case ast.Import() | ast.ImportFrom():
                module.names |= {alias.asname or alias.name for alias in node.names}
            case ast.If() | ast.Try():
                _read_names([*node.body, *node.orelse], module)
            case _:
                module.names |= _defined(node)


def _defined(node: ast.stmt) -> set[str]:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return {node.name}
        case ast.Assign():
            return {target.id for target in node.targets if isinstance(target, ast.Name)}
        case ast.AnnAssign(target=ast.Name(id=name)):
            return {name}
    return set()


def _read_imports(node: ast.AST, module: Module, known: set[str], *, for_types: bool) -> None:
    """Every import below a node, also in functions and for types."""
    targets: set[str] = set()
    match node:
        case ast.Import():
            targets = {alias.name for alias in node.names}
        case ast.ImportFrom(module=str(source), level=0):
            names = {f"{source}.{alias.name}" for alias in node.names}
            targets = names & known if names <= known else names & known | {source}
        case ast.ImportFrom():
            raise AssertionError(f"{module.name}: imports are written out, from datarepo on")
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            for statement in node.body:
                _read_imports(statement, module, known, for_types=True)
            return
    module.imports |= targets
    if not for_types:
        module.runs |= targets
    for child in ast.iter_child_nodes(node):
        _read_imports(child, module, known, for_types=for_types)


MODULES = read()


def room(name: str) -> str:
    """The room a module of datarepo is in."""
    parts = name.split(".")
    return parts[1] if parts[1:] and parts[1] in BELOW else GROUND


def wrong(source: str, target: str) -> str:
    """The rule that an import breaks; empty if it breaks none."""
    here = room(source)
    if target.partition(".")[0] != "datarepo":
        strange = DVC_OR_GIT.match(target) and here not in KNOW_DVC_AND_GIT
        return f"{here} knows neither DVC nor git" if strange else ""
    if APART in (source, target):
        return "" if (source, target) == (APART, "datarepo.cli") else f"{APART} is apart"
    there = room(target)
    return "" if there == here or there in BELOW[here] else f"no arrow leads from {here} to {there}"


@pytest.mark.parametrize(
    ("source", "target", "rule"),
    [
        ("datarepo.cli", "datarepo.azure.sas", ""),
        ("datarepo.commands.add", "datarepo.commands.add_plan", ""),
        ("datarepo.pipeline.state", "dvc.repo", ""),
        ("datarepo.azure.sas", "datarepo.errors", ""),
        ("datarepo.azure.sas", "obstore", ""),
        ("datarepo.commands.add", "datarepo.cli", "no arrow leads from commands to cli"),
        ("datarepo.azure.sas", "datarepo.archives.zip", "no arrow leads from azure to archives"),
        ("datarepo.archives.zip", "datarepo.azure.sas", "no arrow leads from archives to azure"),
        ("datarepo.errors", "datarepo.azure.sas", "no arrow leads from the ground to azure"),
        ("datarepo.archives.zip", "dvc_data.hashfile.state", "archives knows neither DVC nor git"),
        ("datarepo.azure.sas", "git", "azure knows neither DVC nor git"),
        ("datarepo.environment", "datarepo.cli", ""),
        ("datarepo.environment", "datarepo.errors", "datarepo.environment is apart"),
    ],
)
def test_the_rules(source: str, target: str, rule: str) -> None:
    """Down and within a room; DVC and git from the pipeline up."""
    assert wrong(source, target) == rule


def test_all_arrows_lead_down() -> None:
    """Imports in functions and for types count as well."""
    broken = {
        (module.name, target): rule
        for module in MODULES.values()
        for target in module.imports
        if (rule := wrong(module.name, target))
    }
    assert broken == {}


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports in functions count as well, those for types do not."""
    arrows = {name: module.runs & set(MODULES) for name, module in MODULES.items()}
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1][::-1]))


# The maps in docstrings.

NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
BRANCH = re.compile(r"[├└┬]─+ ")  # of a tree; the frames of other pictures have no space there


def cells(line: str) -> list[str]:
    """The columns of a line, the branches of a tree taken off."""
    branches = r"^[│├└─┬ ]+" if BRANCH.search(line) else ""
    return re.split(r" {2,}", re.sub(branches, "", line).strip())


def names_in(cell: str) -> set[str]:
    """The names that a first column consists of: `a`, `a, b` or `a ─┬─ b`; none if it is anything else."""
    names = re.split(r", | [─┬]+ ", cell)
    return set(names) if all(NAME.fullmatch(name) for name in names) else set()


def maps(doc: str) -> list[list[str]]:
    """The trees and the tables of a docstring, as lines; those that begin with a path are of files."""
    blocks = [block.splitlines() for block in re.split(r"\n\s*\n", doc)[1:]]
    return [
        lines
        for lines in blocks
        if "/" not in cells(lines[0])[0]
        and any(BRANCH.search(line) or (len(cells(line)) == 2 and names_in(cells(line)[0])) for line in lines)
    ]


def claims(doc: str) -> set[str]:
    """The names a docstring says there are.

    The first columns of its maps, columns that are a call `like_this()`, and `datarepo.…` anywhere.
    """
    claimed = set(re.findall(r"`(datarepo\.[\w.]+)`", doc))
    columns = {cell for line in doc.splitlines() for cell in cells(line)}
    claimed |= {cell.removesuffix("()") for cell in columns if re.fullmatch(r"[\w.]+\(\)", cell)}
    for lines in maps(doc):
        margin = min(len(line) - len(line.lstrip()) for line in lines)
        for line in lines:
            first, *others = cells(line)
            branch = BRANCH.search(line)
            if not branch and line[margin] == " ":
                continue  # a sentence that goes on
            names = names_in(first)
            if not names and (branch or not others):
                names = names_in(first.partition(" ")[0])  # it fills its column: one space to the sentence
            claimed |= names
    return claimed


def exists(name: str, module: Module) -> bool:
    """Whether a name in a module's docstring is something.

    By itself: in that module. With a dot: in a module or a class that is called so, wherever it is; from
    `datarepo.` on: exactly there.
    """
    owner, _, last = name.rpartition(".")
    if not owner:
        return name in module.names
    return name in MODULES or any(
        last in other.members.get(owner, ())
        or (f".{other.name}".endswith(f".{owner}") and last in other.names)
        for other in MODULES.values()
    )


@pytest.mark.parametrize("name", [name for name, module in MODULES.items() if claims(module.doc)])
def test_what_a_docstring_names_exists(name: str) -> None:
    """Functions, classes, methods and constants; with a dot, those of another module or of a class."""
    assert {claim for claim in claims(MODULES[name].doc) if not exists(claim, MODULES[name])} == set()


@pytest.mark.parametrize(
    ("doc", "claimed"),
    [
        ("A sentence.\n\nfind   the root\nWriting one writer at a time", {"find", "Writing"}),
        ("A sentence.\n\n    find    the root\n            of\n             all  told\n    a, b    two", {"find", "a", "b"}),
        ("A sentence.\n\nadd\n├── task.named    the names\n│   └── _ask      one\n└── (later)", {"add", "task.named", "_ask"}),
        ("A sentence.\n\n    run ─┬─ a, b    first\n         └─ _c ── _d    then", {"run", "a", "b", "_c", "_d"}),
        ("A sentence.\n\nadd\n├── _a   one\n└── _long two, three", {"add", "_a", "_long"}),
        ("A sentence.\n\n    make all    build()   it", {"build"}),
        ("The doorway to `datarepo.commands.add`.", {"datarepo.commands.add"}),
        ("A sentence.\n\n.dvc/tmp/\n├── lock    held\n└── part    bytes", set()),
        ("A sentence.\n\nsize: 9    bytes\n'sp=r&sig=…    and so on'", set()),
        ("A sentence.\n\nsp=r&se=…&sig=…\npermissions  expiry  secret", set()),
        ("A sentence.\n\n    ┌ data ┐ start\n    │ end    │ more\n    └────────┘", set()),
        ("A sentence.\n\nProse that goes on,\nline after line.", set()),
    ],
)  # fmt: skip
def test_the_names_of_a_docstring_are_found(doc: str, claimed: set[str]) -> None:
    """In trees of code and in tables, not in other pictures, in trees of files, nor in prose."""
    assert claims(doc) == claimed
