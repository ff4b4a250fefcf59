"""Starting and stopping: the command, the signals, ports, extras, and what folders may hold."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import explored
import numpy as np
import pytest
import torch

from pyro_priors.explore import open_subject, serve
from pyro_priors.explore.png import png
from pyro_priors.tables.command import main
from pyro_priors.training import save

ROOT = Path(__file__).parent.parent.parent


def test_a_folder_with_a_law_is_opened(tmp_path):
    save(explored.program().prior, tmp_path / "prior")
    explored.imputer().save(tmp_path / "table")
    save(explored.program(), tmp_path / "program")
    assert [open_subject(tmp_path / name).kind for name in ("prior", "table", "program")] == ["law", "table", "images"]
    answer = open_subject(tmp_path / "program").answer({"digit": 1})["variables"]["slant"]["mean"]
    law = explored.program().prior()
    assert answer == pytest.approx(float(law.condition(digit=1.0).marginal("slant").mean[0]), abs=1e-6)


def test_other_folders_are_refused(tmp_path, capsys):
    pytest.importorskip("tyro")
    assert main(["explore", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: model: expected a folder with imputer.json")
    assert main(["explore", str(tmp_path), "--port", "x"]) == 2


def test_the_extra_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(
        ValueError, match=r"the extra 'explore', got no uvicorn \(pip install 'pyro-priors\[explore\]'\)"
    ):
        serve(explored.law(), block=False)


def test_a_port_is_checked():
    pytest.importorskip("starlette")
    with pytest.raises(ValueError, match="port: expected 0 to 65535, got 70000"):
        serve(explored.law(), 70_000, block=False)
    with serve(explored.law(), block=False) as served:
        taken = int(served.address.split(":")[2].partition("/")[0])
        with pytest.raises(OSError, match=f"port: expected one that is free, got {taken}"):
            serve(explored.law(), taken, block=False)
        assert served.address.startswith("http://127.0.0.1:")
        assert len(served.token) >= 20
        assert explored.Client(served).get(f"/{served.token}/api/model").status_code == 200
    with pytest.raises(OSError):  # noqa: PT011 (whatever the system says)
        explored.Client(served).get("/")


def test_tokens_differ():
    pytest.importorskip("starlette")
    with serve(explored.law(), block=False) as one, serve(explored.law(), block=False) as other:
        assert one.token != other.token


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "status", "line"), [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")]
)
def test_the_command_stops_cleanly(tmp_path, number, status, line):
    pytest.importorskip("starlette")
    explored.imputer().save(tmp_path)
    words = [sys.executable, "-m", "pyro_priors.tables.command", "explore", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    running = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    assert running.stdout is not None
    try:
        address = running.stdout.readline().split()[-1]
        running.stdout.readline()
        while True:  # its socket listens before it answers
            served = type("Served", (), {"address": address})()
            if explored.Client(served).get(f"/{address.split('/')[3]}/").status_code == 200:
                break
        running.send_signal(number)
        _, said = running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode == status
    assert said.strip() == f"stopped by {line}"


@pytest.mark.slow
def test_nothing_of_a_server_is_imported_before_it_is_served():
    code = "import sys, pyro_priors.explore; print([m for m in ('starlette', 'uvicorn', 'PIL') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


@pytest.mark.parametrize("channels", [1, 3])
def test_a_png_is_read_back(channels):
    Image = pytest.importorskip("PIL.Image")
    import io

    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, channels)).astype(np.uint8)
    back = np.array(Image.open(io.BytesIO(png(pixels)))).reshape(pixels.shape)
    np.testing.assert_array_equal(back, pixels)
    with pytest.raises(ValueError, match="pixels: expected bytes of shape"):
        png(pixels.astype(float))


def test_latents_keep_their_quantiles():
    """z is one Gaussian for each category of a: the map is the affine one between them."""
    from pyro_priors import Discrete, distributions
    from pyro_priors.distributions.diagonal_gaussians import DiagonalGaussians
    from pyro_priors.explore.evidence import codes_of
    from pyro_priors.explore.places import LawPlaces
    from pyro_priors.explore.subject import Given
    from pyro_priors.explore.what_if import moved

    loc, scale = torch.tensor([[0.0, 1.0], [3.0, -2.0]]), torch.tensor([[1.0, 2.0], [0.5, 1.0]])
    gaussians = [DiagonalGaussians(loc, scale)]
    variables = distributions.Variables({"z": distributions.Vector(2), "a": Discrete(2)}, vectors=gaussians)
    law = distributions.FactoredTrain(torch.tensor([0.5, 0.5]), [None, torch.eye(2)], torch.eye(2)[None], variables)
    places = LawPlaces(law)
    kinds = [None, None, Discrete(2)]
    before, after = (Given({"a": k}, *codes_of(places.names, kinds, {}, {"a": k})) for k in (0, 1))
    z = torch.tensor([0.7, -1.5])
    expected = loc[1] + scale[1] * (z - loc[0]) / scale[0]
    np.testing.assert_allclose(moved(places, [0, 1], z, before, after), expected, atol=1e-6)
    np.testing.assert_allclose(moved(places, [0, 1], z, before, before), z, atol=1e-6)
