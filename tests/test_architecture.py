"""The house rules that a reader could break without noticing."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = [*ROOT.glob("profiler/**/*.py"), *ROOT.glob("pages/*.py"), ROOT / "app.py"]

# room → the rooms it may import
ALLOWED = {
    "spec": set(),
    "catalog": {"spec"},
    "theory": {"spec"},
    "validation": {"spec", "catalog", "theory"},
    "record": {"spec"},
    "analysis": {"spec", "theory", "record"},
    "figures": {"spec", "record", "analysis"},
    "worker": {"spec", "record.events"},
    "terminal": {"spec", "record", "analysis"},
    "cli": {"spec", "catalog", "theory", "record", "analysis", "terminal"},
}


def imports(file: Path) -> list[tuple[str, bool]]:
    """(module, at the top level) of every import of a file."""
    tree = ast.parse(file.read_text("utf-8"))
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, node in tree.body) for alias in node.names]
        if isinstance(node, ast.ImportFrom) and node.module:
            found += [(f"{node.module}.{alias.name}", node in tree.body) for alias in node.names]
    return found


def room(module: str) -> str:
    return module.split(".")[1]


@pytest.mark.parametrize("file", sorted(ROOT.glob("profiler/*/**/*.py")), ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_rooms_import_in_one_direction(file):
    """A room of profiler/ imports only itself and the rooms listed for it."""
    here = file.relative_to(ROOT / "profiler").parts[0]
    for module, _ in imports(file):
        if module.startswith("profiler.") and room(module) != here:
            assert any(module.removeprefix("profiler.").startswith(rule) for rule in ALLOWED[here]), f"{here} imports {module}"


def test_torch_is_only_in_the_worker():
    """No file outside profiler/worker imports torch or transformers."""
    for file in SOURCES:
        if ROOT / "profiler" / "worker" not in file.parents:
            assert not [module for module, _ in imports(file) if module.split(".")[0] in ("torch", "transformers")], file


def test_streamlit_is_only_in_the_pages():
    """No file of profiler/ imports streamlit."""
    for file in ROOT.glob("profiler/**/*.py"):
        assert not [module for module, _ in imports(file) if module.split(".")[0] == "streamlit"], file


def test_no_import_hides_in_a_function():
    """Every import stands at the top of its file; a heavy optional one may not, and says so beside it."""
    for file in SOURCES:
        text = file.read_text("utf-8")
        functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
        inside = [node for function in functions for node in ast.walk(function) if isinstance(node, ast.Import | ast.ImportFrom)]
        assert not [node for node in inside if "# heavy:" not in text.splitlines()[node.lineno - 1]], file


def test_files_and_functions_stay_small():
    """No file over 300 lines, no function over 60."""
    for file in SOURCES:
        text = file.read_text("utf-8")
        assert text.count("\n") <= 300, file
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 60, f"{file}: {node.name}"


def test_page_modules_have_stems_of_their_own():
    """A shared module pages/_x.py beside a page pages/x.py would stop the whole app, and a page must not hide a standard module."""
    stems = [file.stem for file in ROOT.glob("pages/*.py")]

    assert len({stem.lstrip("_") for stem in stems}) == len(stems)
    assert not set(stems) & set(sys.stdlib_module_names)


def test_the_server_never_imports_torch():
    """app.py and every page run without torch or transformers in the process."""
    code = (
        "import sys\n"
        "from streamlit.testing.v1 import AppTest\n"
        "at = AppTest.from_file('app.py', default_timeout=60).run()\n"
        "for page in ('compute', 'memory', 'compression', 'libraries', 'machine', 'runs'):\n"
        "    at.switch_page(f'pages/{page}.py').run()\n"
        "assert not at.exception, at.exception\n"
        "bad = {'torch', 'transformers', 'scipy'} & set(sys.modules)\n"
        "assert not bad, bad\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT, capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stderr[-2000:]


def test_every_public_function_says_what_it_does():
    """Public functions, classes and modules of the program have a docstring."""
    for file in SOURCES:
        tree = ast.parse(file.read_text("utf-8"))
        nodes = [tree, *(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef))]
        inner = {id(child) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) for child in ast.walk(node) if child is not node}
        for node in nodes:
            name = getattr(node, "name", "module")
            if not name.startswith("_") and id(node) not in inner:
                assert ast.get_docstring(node), f"{file}: {name}"


def test_no_path_of_a_machine_is_in_the_repository():
    """Nothing that is kept names a folder of the machine it was written on."""
    files = subprocess.run(["git", "ls-files"], check=False, cwd=ROOT, capture_output=True, text=True).stdout.split()
    for name in files:
        file = ROOT / name
        if file.suffix in (".py", ".md", ".toml", ".txt", ".json", ".js", "") and file.is_file() and file != Path(__file__):
            assert not re.search(r"/(home|root|work|Users)/\w", file.read_text("utf-8", errors="ignore")), name
