"""What the Python blocks of README and guide need: the wheel, the extras that they name, nothing of a checkout."""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SHOWN = (ROOT / "README.md").read_text() + (ROOT / "docs" / "guide.md").read_text()
BASE = ""
OF_EXTRAS = (
    "arviz",
    "lightning_fabric",
    "matplotlib",
    "safetensors",
    "tyro",
    "torchvision",
    "submitit",
    "tensorboardX",
)
RUN = """
import sys
sys.modules.update(dict.fromkeys(sys.argv[2:]))  # not to be imported
exec(compile(open(sys.argv[1]).read(), sys.argv[1], "exec"), {"__name__": "__main__"})
"""


def blocks():
    """Every Python block and the extra that the text between it and the one before (or its heading) names."""
    shown, before = [], ""
    for text, language, block in re.findall(r"(.*?)```(\w*)\n(.*?)```", SHOWN, re.DOTALL):
        before = (before + text).rpartition("\n#")[2]
        if language == "python":
            extras = re.findall(r"pip install -e '\.\[(\w+)\]'", before)
            assert len(extras) <= 1, before
            shown.append((block, extras[0] if extras else BASE))
            before = ""
    return shown


BLOCKS = blocks()


def test_blocks_name_their_extras():
    assert {extra for _, extra in BLOCKS} == {BASE, "train", "tables"}
    for block, extra in BLOCKS:
        rooms = set(re.findall(r"from pyro_priors\.(\w+) import", block))
        assert rooms <= {"networks", "programs", "objectives", "training", "queries", "metrics", "tables"}
        assert not re.search(r"^(from|import) (models|inference|experiments)", block, re.MULTILINE)
        assert extra == "train" or not rooms & {"training", "metrics"}, block
        assert (extra == "tables") == ("tables" in rooms), block


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)], folder)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """The interpreter of a fresh environment with the wheel and all extras that blocks name."""
    folder = tmp_path_factory.mktemp("environment")
    run([sys.executable, "-m", "venv", str(folder)], folder)
    python = folder / "bin" / "python"
    extras = ",".join(sorted({extra for _, extra in BLOCKS} - {BASE}))
    run([str(python), "-m", "pip", "install", "--quiet", f"{wheel}[{extras}]"], folder)
    return python


def run(command, folder):
    """In a folder outside the checkout, which nothing else makes importable."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.mark.slow
def test_the_wheel_holds_the_library_alone(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names} == {"pyro_priors", f"{wheel.name.rsplit('-', 3)[0]}.dist-info"}
    assert "pyro_priors/py.typed" in names
    here = {str(path.relative_to(ROOT)) for path in (ROOT / "pyro_priors").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == here


@pytest.mark.slow
def test_the_command_fills_a_table_from_the_wheel(python, tmp_path):
    command = python.with_name("pyro-priors")
    (tmp_path / "table.csv").write_text("a,b\n" + "".join(f"{k},{k % 7 or ''}\n" for k in range(3, 99)))
    run([str(command), "describe", "table.csv"], tmp_path)
    run([str(command), "impute", "table.csv", "--out", "filled.csv", "--budget", "5"], tmp_path)
    assert all(re.fullmatch(r"\w+,\w+", line) for line in (tmp_path / "filled.csv").read_text().splitlines())


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_a_block_runs_from_the_wheel(python, tmp_path, number):
    block, extra = BLOCKS[number]
    (tmp_path / "block.py").write_text(block)
    absent = OF_EXTRAS if extra == BASE else ()
    run([str(python), "-I", "-W", "error", "-c", RUN, "block.py", *absent], tmp_path)


@pytest.mark.slow
def test_types_of_the_blocks(python, tmp_path):
    for number, (block, _) in enumerate(BLOCKS):
        (tmp_path / f"block_{number}.py").write_text(block)
    (tmp_path / "pyrightconfig.json").write_text(json.dumps({"typeCheckingMode": "standard"}))
    command = [sys.executable, "-m", "pyright", "--pythonpath", str(python), "--outputjson"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    report = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] == len(BLOCKS)
    assert report["summary"]["errorCount"] == 0, done.stdout[:3000]
