"""`python -m experiments`: the list of commands, and their dispatch."""

import contextlib
import importlib
import io
import sys

import tyro

from pyro_priors.checks import UserError

# Words of the command -> module with `main(config)`, name of its configuration, one line of help.
COMMANDS = {
    "quickstart": (
        "quickstart",
        "QuickstartConfig",
        "digits with hidden labels: train, impute, generate (no download)",
    ),
    "train vae": ("train", "TrainConfig", "train a variational autoencoder with a prior of your choice"),
    "train cp-vae": ("train", "CategoricalConfig", "train a VAE that finds categories without labels (CP-VAE)"),
    "train hierarchical-vae": ("train", "HierarchicalConfig", "train a VAE with two levels of latents (HVAE, HVP)"),
    "train joint-vae": ("train", "JointConfig", "train on pictures and attributes, some missing (VAE-TTLP)"),
    "train cvae": ("train", "CVAEConfig", "train the conditional VAE, its baseline"),
    "train gan": ("train", "GanConfig", "train a GAN with a prior of your choice, fixed or learnable"),
    "train wgan": ("train", "WganConfig", "train a Wasserstein GAN with clipped weights"),
    "train wgan-gp": ("train", "WganGpConfig", "train a Wasserstein GAN with gradient penalty"),
    "train sn-gan": ("train", "SnGanConfig", "train a GAN with spectral normalisation"),
    "train info-gan": ("train", "InfoGanConfig", "train an InfoGAN, whose code a network recognises"),
    "train eb-gan": ("train", "EbGanConfig", "train an energy-based GAN"),
    "train vae-gan": ("train", "VaeGanConfig", "train a VAE whose pictures a critic compares"),
    "train aae": ("train", "AaeConfig", "train an adversarial autoencoder"),
    "train classifier": ("train", "ClassifierConfig", "train a classifier of the attributes, to judge others"),
    "train --resume": ("resume", "ResumeConfig", "go on with a training in RUN that was cut off"),
    "evaluate": ("evaluate", "EvaluateConfig", "bounds, imputations and conditions of a trained RUN"),
    "sample": ("sample", "SampleConfig", "pictures drawn from a trained RUN, given attributes or not"),
    "impute": ("impute", "ImputeConfig", "fill the empty cells of a CSV file by a trained RUN"),
    "figure cp-vae": ("papers.cp_vae", "CpVaeFiguresConfig", "trained runs side by side, CP-VAE Figures 5 to 9"),
    "figure cp-vae-toy": ("papers.cp_vae_toy", "CpVaeToyConfig", "two Gaussians on a line, CP-VAE Figures 3 and 4"),
    "figure dpvae": (
        "papers.dpvae",
        "DpvaeFiguresConfig",
        "ways through the latents of trained runs, dpVAE Figures 5, 6",
    ),
    "figure dpvae-moons": ("papers.dpvae_moons", "DpvaeMoonsConfig", "pockets and leaks on moons, dpVAE Figures 1, 3"),
    "figure mode-hopping": ("papers.mode_hopping", "ModeHoppingConfig", "some latents drawn anew, TRIP Figure 5"),
    "figure estimators": ("papers.estimators", "EstimatorsConfig", "variance of a sampled prior's gradients"),
    "bench tensor-ring": (
        "bench.tensor_ring",
        "BenchTensorRingConfig",
        "speed of the contraction against the textbook",
    ),
    "bench training-step": ("bench.training_step", "BenchTrainingStepConfig", "what a prior costs in training"),
    "bench training-loop": ("bench.training_loop", "BenchTrainingLoopConfig", "what `fit` adds to a bare torch loop"),
    "table category-gradients": (
        "papers.category_gradients",
        "CategoryGradientsConfig",
        "bias and variance of CP-VAE's gradients",
    ),
    "table": (
        "tables.runner",
        "TableConfig",
        "the papers' tables; alone: a list of them; --check: are pages as they should",
    ),
}


def main(arguments):
    """Run the command that `arguments` name -> exit status."""
    for words in COMMANDS:
        count = len(words.split())
        if arguments[:count] == words.split():
            module_name, config_name, _ = COMMANDS[words]
            module = importlib.import_module(f"experiments.{module_name}")
            try:
                module.main(parse(getattr(module, config_name), words, arguments[count:]))
            # A mistake of the caller, a training that diverged, a file that the system refuses.
            except (UserError, FloatingPointError, OSError) as error:
                print(f"error: {error}", file=sys.stderr)
                return 2
            except KeyboardInterrupt as stopped:  # with a message where it left a checkpoint
                return _stopped(stopped, 130)
            except SystemExit as stopped:
                from pyro_priors.training import Terminated

                if not isinstance(stopped, Terminated):
                    raise
                return _stopped(stopped, stopped.code)
            return 0
    asked = " ".join(arguments)
    if asked in ("", "-h", "--help", "help"):
        print(usage())
        return 0
    print(f"error: expected one of the commands below, got {asked!r}\n\n{usage()}", file=sys.stderr)
    return 2


def _stopped(error, status):
    """Say so, after the line of a progress bar."""
    print(f"\n{error or 'stopped by Ctrl-C'}", file=sys.stderr)
    return status


def parse(config, words, flags):
    """The configuration that the flags of a command make; `UserError` if it refuses them."""
    shown = io.StringIO()
    try:
        with contextlib.redirect_stderr(shown):
            return tyro.cli(config, prog=f"python -m experiments {words}", args=flags)
    except SystemExit as ended:
        # tyro (some versions) draws a box of several lines around a ValueError and exits: the error stands behind.
        error = ended
        while error := error.__context__:
            if isinstance(error, UserError):
                raise error from None
        sys.stderr.write(shown.getvalue())
        raise


def usage():
    """The list of commands."""
    lines = [f"  {words:<26}{line}" for words, (_, _, line) in COMMANDS.items()]
    return "\n".join(["usage: python -m experiments COMMAND [--help] [flags]", "", *lines])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
