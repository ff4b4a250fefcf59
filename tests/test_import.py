"""What `import pyro_priors` brings along: nothing slow that Pyro does not bring itself."""

import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SLOW = {
    "sklearn",
    "scipy",
    "safetensors",
    "matplotlib",
    "lightning_fabric",
    "lightning",
    "torchvision",
    "arviz",
    "tyro",
}


@cache
def imported_by(statement: str) -> set[str]:
    script = f"import sys\n{statement}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT, capture_output=True, text=True)
    return set(done.stdout.split())


def test_importing_the_library_imports_nothing_slow():
    assert not SLOW & imported_by("import pyro_priors")


def test_importing_the_library_imports_what_pyro_imports_and_no_more():
    more = imported_by("import pyro_priors") - imported_by("import pyro") - {"pyro_priors"}
    assert more <= set(sys.stdlib_module_names), more


@pytest.mark.slow
def test_an_import_would_be_seen():
    assert "safetensors" in SLOW & imported_by("import pyro_priors, safetensors")
