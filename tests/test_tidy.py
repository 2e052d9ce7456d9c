"""The rules of CONTRIBUTING.md that a machine can hold: size, imports, global state.

A rule that is not executed is a wish. Code lines are lines with code on them: blank lines, comments,
docstrings and tables (constants whose value is a literal collection or a call with one) do not count.
"""

from __future__ import annotations

import ast
import functools
import io
import re
import sys
import tokenize
from pathlib import Path

import pytest

from tests.tree import COMPONENTS, ROOT, all_sources, name_of, sources

MODULE_CODE_LINES_MAX = 400
FUNCTION_CODE_LINES_MAX = 60

IMPURE = {
    "asyncio",
    "socket",
    "threading",
    "time",
    "logging",
    "subprocess",
    "multiprocessing",
    "select",
    "signal",
}
PROTOCOL_THIRD_PARTY = {"msgspec", "cryptography"}
SPEC_THIRD_PARTY_AT_IMPORT = {"numpy", "narwhals", "msgspec"}
NODE_LAZY = {"torch", "pandas", "scipy", "sklearn", "onnxruntime", "lightgbm"}

GLOBAL_DRAW = re.compile(
    r"random\.(?!Random$|SystemRandom$)\w+|(np|numpy)\.random\.(rand|randn|randint|choice|normal|random|shuffle)"
)

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def lines_with_code(text: str) -> set[int]:
    """Return the numbers of the lines that hold a token other than a comment or line break."""
    ignored = {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    }
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in ignored:
            lines.update(range(token.start[0], token.end[0] + 1))
    return lines


def span(node: ast.stmt | ast.expr) -> set[int]:
    return set(range(node.lineno, (node.end_lineno or node.lineno) + 1))


def docstring_lines(tree: ast.AST) -> set[int]:
    """Return the lines of every string that stands as a statement: docstrings and attribute documentation."""
    return {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        for line in span(node)
    }


def table_lines(tree: ast.Module) -> set[int]:
    """Return the lines of module-level tables."""
    tables = (ast.Dict, ast.List, ast.Tuple, ast.Set, ast.Call)
    return {
        line
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, tables)
        for line in span(node)
    }


@functools.cache
def code_lines(path: Path) -> set[int]:
    tree = parsed(path)
    return lines_with_code(path.read_text(encoding="utf-8")) - docstring_lines(tree) - table_lines(tree)


def imports(tree: ast.AST) -> set[str]:
    """Return the top names of all absolute imports below a node."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


def imports_at_import_time(tree: ast.Module) -> set[str]:
    """Return what importing the module imports: everything outside functions and TYPE_CHECKING."""
    names: set[str] = set()
    pending: list[ast.stmt] = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, FUNCTIONS) or (
            isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        ):
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= imports(ast.Module([node], []))
        pending.extend(child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt))
    return names


@pytest.mark.parametrize("path", all_sources(), ids=name_of)
def test_modules_and_functions_stay_small(path: Path) -> None:
    lines = code_lines(path)
    assert len(lines) <= MODULE_CODE_LINES_MAX
    long = {
        node.name: len(lines & span(node))
        for node in ast.walk(parsed(path))
        if isinstance(node, FUNCTIONS) and len(lines & span(node)) > FUNCTION_CODE_LINES_MAX
    }
    assert not long


@pytest.mark.parametrize("path", all_sources(), ids=name_of)
def test_every_module_says_what_it_is(path: Path) -> None:
    if "migrations/versions" in name_of(path) or path.read_text(encoding="utf-8").strip():
        assert ast.get_docstring(parsed(path))


@pytest.mark.parametrize("path", all_sources(), ids=name_of)
def test_broad_excepts_stand_at_supervision_points_only(path: Path) -> None:
    """One that cleans up and raises again hides nothing; any other says what it supervises."""
    text = path.read_text(encoding="utf-8").splitlines()
    broad = [
        text[node.lineno - 1]
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or re.search(r"\b(Base)?Exception\b", ast.unparse(node.type)))
        and ast.unparse(node.body[-1]) != "raise"
    ]
    assert all("supervision" in line for line in broad), broad


@pytest.mark.parametrize("path", all_sources(), ids=name_of)
def test_components_are_imported_by_their_full_name(path: Path) -> None:
    """`import spec` would load a second copy of the component where the repository is on the path."""
    assert not imports(parsed(path)) & set(COMPONENTS)


@pytest.mark.parametrize("path", [*sources("spec"), *sources("protocol")], ids=name_of)
def test_the_core_is_pure(path: Path) -> None:
    tree = parsed(path)
    assert not imports(tree) & IMPURE
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    if "extractors" not in path.parts:
        assert not calls & {"open", "io.open"}
    attributes = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not attributes & {"os.environ", "np.random.seed", "numpy.random.seed"}
    global_draws = {
        name for name in attributes if re.fullmatch(r"random\.(?!Random$|SystemRandom$)\w+", name)
    }
    assert not global_draws


@pytest.mark.parametrize("path", sources("protocol"), ids=name_of)
def test_protocol_needs_little(path: Path) -> None:
    allowed = set(sys.stdlib_module_names) | PROTOCOL_THIRD_PARTY | {"skerry"}
    assert imports(parsed(path)) <= allowed


@pytest.mark.parametrize("path", sources("spec"), ids=name_of)
def test_spec_imports_heavy_libraries_only_where_they_work(path: Path) -> None:
    tree = parsed(path)
    if "extractors" not in path.parts:
        allowed = set(sys.stdlib_module_names) | SPEC_THIRD_PARTY_AT_IMPORT | {"skerry"}
        extra = imports_at_import_time(tree) - allowed
        # An estimator must derive from scikit-learn's base class; its module is itself imported lazily.
        assert extra <= ({"sklearn"} if path.name == "transformer.py" else set())
    if path.name != "backend.py":
        assert "torch" not in imports(tree)


@pytest.mark.parametrize("path", sources("node"), ids=name_of)
def test_a_node_starts_light(path: Path) -> None:
    assert not imports_at_import_time(parsed(path)) & NODE_LAZY


def test_the_project_names_no_path_of_a_developers_machine() -> None:
    words = re.compile(r"\.\./shared|/work/(main|shared)|/root/|/\.library\b")
    texts = [*(ROOT / "bench").glob("*.py"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")]
    found = [
        name_of(path) for path in [*all_sources(), *texts] if words.search(path.read_text(encoding="utf-8"))
    ]
    assert found == []
