"""Measures the structure of the code by its import graph: ``python docs/structure.py``.

Rooms are what stands at the top of a package; layers are those of the import contracts in ``pyproject.toml``. Imports
that are there for type checking alone count like all others.
"""

from __future__ import annotations

import graphlib
import statistics
import sys
import tomllib
from pathlib import Path
from typing import Final

import grimp

ROOT: Final = Path(__file__).parents[1]
PACKAGES: Final = ("ir", "eqsat", "rl")


def main() -> int:
    """Print the table."""
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    rows = [
        *((f"rooms at the top of {name}", len(rooms(name))) for name in ("eqsat", "rl")),
        *((f"layers of {name}", count) for name, count in layers().items()),
        ("modules", len(graph.modules)),
        ("imports", graph.count_imports()),
        ("circle of modules", circle(graph) or "none"),
    ]
    sizes = {path: lines(path) for name in (*PACKAGES, "bench") for path in sorted((ROOT / name).rglob("*.py"))}
    longest = max(sizes, key=lambda path: sizes[path])
    rows += [
        ("lines of ir, eqsat, rl and bench", sum(sizes.values())),
        ("longest module", f"{longest.relative_to(ROOT)}, {sizes[longest]} lines"),
        ("modules of over 500 lines", sum(size > 500 for size in sizes.values())),
        ("median module", f"{statistics.median(sizes.values()):.0f} lines"),
    ]
    for name, value in rows:
        print(f"{name:36} {value}")
    return 0


def rooms(package: str) -> list[str]:
    """Return the names of the modules and packages at the top of a package, but for those that begin with ``__``."""
    found = {
        path.stem for path in (ROOT / package).iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    return sorted(name for name in found if not name.startswith("__"))


def layers() -> dict[str, int]:
    """Return how many layers the contract of each package has."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    return {each["containers"][0]: len(each["layers"]) for each in contracts if "containers" in each}


def circle(graph: grimp.ImportGraph) -> str:
    """Return modules that import each other in a circle, as words; empty where there are none."""
    imported = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    try:
        graphlib.TopologicalSorter(imported).prepare()
    except graphlib.CycleError as error:
        return " <- ".join(error.args[1])
    return ""


def lines(path: Path) -> int:
    """Return the number of lines of a file."""
    return len(path.read_text(encoding="utf-8").splitlines())


if __name__ == "__main__":
    sys.exit(main())
