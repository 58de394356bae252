"""The house has one way through it: a room imports only from rooms above it in this list."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "advgen"
ROOMS = [
    "errors",
    "versions",
    "toml",
    "english",
    "records",
    "config",
    "registry",
    "catalogue",
    "store",
    "processes",
    "hub",
    "decisions",
    "seeds",
    "prompts",
    "imagesets",
    "chat",
    "models",
    "lens",
    "text",
    "mining",
    "generation",
    "scoring",
    "attack",
    "judging",
    "dataset",
    "exports",
    "hub_release",
    "heatmap_overlay",
    "review",
    "neurons",
    "experiments",
    "evaluate",
    "sandbox",
    "plan",
    "doctor",
    "plots",
    "experiment_plots",
    "evaluation_plots",
    "segmentation_plots",
    "page_templates",
    "gallery",
    "contact",
    "report_tables",
    "report",
    "neuron_page",
    "evaluation_page",
    "explanation_page",
    "publish",
    "cli",
    "__main__",
]
FILES = sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    rooms: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
            if node.module == "advgen":
                names = [f"advgen.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        rooms |= {name.split(".")[1] for name in names if name.startswith("advgen.")}
    return rooms - {"__version__"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_upwards_only(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        assert imported_rooms(path) == set()
        return
    allowed = set(ROOMS[: ROOMS.index(room) + 1])
    assert imported_rooms(path) <= allowed


def test_no_junk_drawers() -> None:
    names = {path.stem for path in FILES}
    assert not names & {"utils", "util", "helpers", "helper", "common", "misc"}


def test_relative_imports_are_not_used() -> None:
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.ImportFrom) and node.level), path
