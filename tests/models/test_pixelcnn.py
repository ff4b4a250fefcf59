"""`--network pixelcnn` from the command line to the files it leaves."""

import json

import pytest

from experiments.__main__ import main
from models.shared import runs

TINY = ["--data", "digits", "--epochs", "1", "--batch-size", "500", "--latent-dim", "2", "--hidden", "8"]
TINY += ["--channels", "2", "--pixel-layers", "2", "--particles", "2", "--no-progress", "--network", "pixelcnn"]


def test_a_vae_with_a_strong_decoder(tmp_path):
    flags = ["--prior", "gmm", "--components", "2", "--runs-dir", str(tmp_path)]
    assert main(["train", "vae", *TINY, *flags]) == 0
    (folder,) = tmp_path.glob("*/*/")
    assert json.loads((folder / "summary.json").read_text())["test"]["elbo"] < 0
    assert (folder / "samples.png").is_file()
    assert (folder / "reconstructions.png").is_file()
    assert runs.trained(folder).run.config.pixel_layers == 2
    assert main(["evaluate", str(folder), "--part", "validation"]) == 0
    assert main(["sample", str(folder), "--n", "4"]) == 0


@pytest.mark.slow
def test_a_joint_vae_with_a_strong_decoder(tmp_path):
    flags = ["--likelihood", "bernoulli", "--binarize", "dynamic", "--missing", "0.5", "--rank", "3"]
    assert main(["train", "joint-vae", *TINY, *flags, "--runs-dir", str(tmp_path)]) == 0
    (folder,) = tmp_path.glob("*/*/")
    assert json.loads((folder / "summary.json").read_text())["test"]["imputation"]
    assert main(["sample", str(folder), "--given", "digit=3", "--n", "4"]) == 0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["vae", "--network", "pixelcnn", "--binarize", "none"],
            "network: pixelcnn expected --likelihood bernoulli and --binarize dynamic, since it draws pixels of 0 and "
            "1, got bernoulli and none",
        ),
        (
            ["joint-vae", "--network", "pixelcnn"],
            "since it draws pixels of 0 and 1, got squared-error and none",
        ),
        (["vae", "--network", "pixelcnn", "--pixel-layers", "0"], "pixel_layers: expected 1 or more, got 0"),
        (["vae", "--pixel-layers", "2"], "pixel_layers: expected --network pixelcnn beside it, got --network mlp"),
        (["vae", "--network", "conv", "--hidden", "8"], "hidden: expected --network mlp or pixelcnn beside it, got"),
    ],
)
def test_mistakes(flags, message, capsys):
    assert main(["train", *flags]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
