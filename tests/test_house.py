"""The shape of the house: imports run one way, importing changes nothing, the wheel holds the library alone."""

import ast
import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "pyro_priors": {"pyro_priors"},
    "models": {"models", "pyro_priors"},
    "inference": {"inference", "models", "pyro_priors"},
    "experiments": {"experiments", "inference", "models", "pyro_priors"},
}
# Each room of the library imports only those that stand before it.
ROOMS = (
    *("ops", "distributions", "modules", "networks", "programs"),
    *("objectives", "training", "queries", "metrics", "data", "tables", "explore"),
)
# Files of more than 300 lines, and why they are not two.
LONG: dict[str, str] = {}


def imported_modules(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(p): p for room in MAY_IMPORT for p in sorted((ROOT / room).rglob("*.py"))}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_run_one_way(room):
    rooms = {
        name.split(".")[0]
        for module, path in FILES.items()
        if module.split(".")[0] == room
        for name in imported_modules(path)
    }
    assert rooms & (set(MAY_IMPORT) | {"tests"}) <= MAY_IMPORT[room]


def test_every_room_of_the_library_stands_in_the_order():
    assert {path.name for path in (ROOT / "pyro_priors").iterdir() if (path / "__init__.py").exists()} == set(ROOMS)


def rooms_imported(start, above):
    """Names of what stands below a package, of all that modules import whose names start so."""
    return {
        name.removeprefix(f"{above}.").split(".")[0]
        for module, path in FILES.items()
        if module.startswith(start)
        for name in imported_modules(path)
        if name.startswith(f"{above}.")
    }


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_those_before_them(room):
    seen = rooms_imported(f"pyro_priors.{room}", "pyro_priors")
    assert seen & set(ROOMS) <= set(ROOMS[: ROOMS.index(room) + 1])


@pytest.mark.parametrize(
    ("room", "others"),
    [("starting", {"bonds"}), ("ordering", set()), ("em", {"starting", "factors"})],
)
def test_rooms_below_the_priors_know_none_of_them(room, others):
    seen = rooms_imported(f"pyro_priors.modules.{room}.", "pyro_priors.modules")
    assert seen <= {room, *others}


def test_the_first_rooms_need_only_base_dependencies():
    first = tuple(f"pyro_priors.{room}" for room in ROOMS[: ROOMS.index("objectives")])
    outside = {n.split(".")[0] for m, path in FILES.items() if m.startswith(first) for n in imported_modules(path)}
    assert outside - set(sys.stdlib_module_names) <= {"pyro_priors", "pyro", "torch", "numpy", "sklearn"}


def test_no_circular_imports():
    graph = {
        module: {n for n in imported_modules(path) if n in FILES and n != module} for module, path in FILES.items()
    }
    done: set[str] = set()

    def visit(module, above):
        assert module not in above, f"circle: {' -> '.join([*above, module])}"
        if module not in done:
            for other in graph[module]:
                # A package's __init__ that gathers its modules is not a circle with them.
                if not module.startswith(f"{other}."):
                    visit(other, [*above, module])
            done.add(module)

    for module in graph:
        visit(module, [])


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_no_module_is_shadowed_by_a_function_of_its_name(room):
    """`import package.module as m` gives what stands at `package.module`, which must be the module."""
    inner = [name for name in FILES if name.startswith(f"{room}.") and not name.endswith(".__main__")]
    for name in inner:
        importlib.import_module(name)
    at = {name: vars(sys.modules[name.rpartition(".")[0]])[name.rpartition(".")[2]] for name in inner}
    assert not [name for name, value in at.items() if value is not sys.modules[name]]


def test_only_these_files_are_long():
    files = [*FILES.values(), *(ROOT / "tests").rglob("*.py")]
    long = {path.relative_to(ROOT).as_posix() for path in files if len(path.read_text().splitlines()) > 300}
    assert long == LONG.keys()


def test_importing_changes_no_global_state():
    script = """
import random, sys, warnings
import numpy, pyro, torch

def state():
    return (
        torch.distributions.Distribution._validate_args, pyro.settings.get(), torch.get_default_dtype(),
        torch.get_num_threads(), torch.random.get_rng_state().tolist(), random.getstate(),
        numpy.random.get_state()[1].tolist(), list(warnings.filters), torch.is_grad_enabled(),
        len(pyro.get_param_store()),
    )

before = state()
import pyro_priors
assert state() == before
assert not {"torchvision", "sklearn", "arviz", "matplotlib", "lightning_fabric"} & set(sys.modules)
assert not {"models", "inference", "experiments"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)


def test_the_wheel_ships_the_library_only():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == ["pyro_priors"]
    assert (ROOT / "pyro_priors" / "py.typed").exists()


def test_contributing_is_short():
    prose = (ROOT / "CONTRIBUTING.md").read_text().split("```")[::2]
    assert len(" ".join(prose).split()) <= 220
