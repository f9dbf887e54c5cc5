"""The house: who may import whom. The edges make no circle, and the heavy rooms know nothing of each other."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "osler"

# The small vocabulary that every room may use.
WORDS = {"errors", "registry", "records"}
# What each room may import besides itself; a file of the top floor is a room of its own.
MAY_IMPORT = {
    "errors": set(),
    "records": set(),
    "registry": {"errors"},
    "nn": WORDS,
    "optim": WORDS,
    "data": WORDS,
    "metrics": WORDS,
    "models": WORDS | {"nn"},
    "objectives": WORDS | {"nn", "metrics"},
    "training": WORDS | {"objectives", "metrics"},
    "doctor": WORDS,
    "explain": WORDS,
    "tuning": WORDS,
    "report": WORDS,
    "yamltext": set(),
    "recipe": WORDS | {"yamltext"},
    "published": WORDS | {"models"},
    "weights": WORDS | {"models", "published"},
    "remedies": WORDS | {"recipe"},
    "folder": WORDS,
    "shelltext": WORDS | {"folder", "yamltext"},
    "names": WORDS | {"nn", "optim", "metrics", "models"},
    "advice": WORDS | {"recipe", "metrics"},
    "evaluation": WORDS | {"data", "objectives", "training"},
    "build": WORDS
    | {"recipe", "folder", "nn", "optim", "metrics", "models", "data", "objectives", "training", "weights"},
    "drawing": WORDS | {"folder", "models", "nn", "report"},
}
# Where the parts meet.
TOP = {
    "explaining",
    "generating",
    "translating",
    "explainpage",
    "looking",
    "run",
    "forecasting",
    "job",
    "checkup",
    "consultation",
    "heal",
    "telling",
    "cli",
    "__init__",
    "__main__",
    "show",
}
FILES = sorted(ROOT.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """The dotted names of ours that a file imports, those for type checkers only left out."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return {name for name in found if name == "osler" or name.startswith("osler.")}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_only_what_its_room_may(path: Path) -> None:
    home = room(path)
    if home in TOP:
        assert home in ("cli", "__main__") or not any(name.startswith("osler.cli") for name in imports(path))
        return
    assert home in MAY_IMPORT, f"{home} is a new room: say in MAY_IMPORT whom it may import"
    for name in imports(path):
        other = name.split(".")[1] if "." in name else name
        assert other == home or other in MAY_IMPORT[home], f"{path} imports {name}"


@pytest.mark.parametrize("path", [p for p in FILES if p.name != "__init__.py"], ids=lambda p: str(p.relative_to(ROOT)))
def test_no_file_imports_its_own_package(path: Path) -> None:
    package = ".".join(["osler", *path.relative_to(ROOT).parent.parts])
    if package != "osler":
        assert package not in imports(path)


def test_edges_make_no_circle() -> None:
    edges = {home: {name.split(".")[1] for p in FILES if room(p) == home for name in imports(p) if "." in name} - {home}
             for home in {room(p) for p in FILES} - {"__init__"}}  # fmt: skip
    while edges:
        free = {home for home, others in edges.items() if not others & edges.keys()}
        assert free, f"a circle among {sorted(edges)}"
        edges = {home: others for home, others in edges.items() if home not in free}


@pytest.mark.parametrize(("module", "never"), [
    ("osler", ("torch", "pandas", "numpy", "sklearn", "matplotlib", "pydantic")),
    ("osler.cli", ("torch", "pandas", "numpy", "sklearn", "matplotlib", "pydantic")),
    ("osler.records", ("torch",)),
    ("osler.report", ("torch",)),
    ("osler.job", ("sklearn", "matplotlib", "pandas", "torchmetrics")),
])  # fmt: skip
def test_importing_stays_light(module: str, never: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print([m for m in {never!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
