"""`python -m experiments`: the list of commands, and their dispatch."""

import importlib
import io
import sys

import models  # which imports no torch: the list comes at once

# Words of the command -> module with `main(config)`, name of its configuration, one line of help.
COMMANDS = {
    "quickstart": ("inference.quickstart", "Quickstart", "digits with hidden labels: train, impute, generate"),
    "train --resume": ("inference.resume", "Resume", "go on with a training in RUN that was cut off"),
    "evaluate": ("inference.evaluate", "Evaluate", "bounds, imputations and conditions of a trained RUN"),
    "sample": ("inference.sample", "Sample", "images drawn from a trained RUN, given attributes or not"),
    "impute": ("inference.impute", "Impute", "fill the empty cells of a CSV file by a trained RUN"),
    "figure cp-vae": (
        "experiments.papers.cp_vae",
        "CpVaeFiguresConfig",
        "trained runs side by side, CP-VAE Figures 5 to 9",
    ),
    "figure cp-vae-toy": (
        "experiments.papers.cp_vae_toy",
        "CpVaeToyConfig",
        "two Gaussians on a line, CP-VAE Figures 3 and 4",
    ),
    "figure dpvae": (
        "experiments.papers.dpvae",
        "DpvaeFiguresConfig",
        "ways through the latents of trained runs, dpVAE Figures 5, 6",
    ),
    "figure dpvae-moons": (
        "experiments.papers.dpvae_moons",
        "DpvaeMoonsConfig",
        "pockets and leaks on moons, dpVAE Figures 1, 3",
    ),
    "figure mode-hopping": (
        "experiments.papers.mode_hopping",
        "ModeHoppingConfig",
        "some latents drawn anew, TRIP Figure 5",
    ),
    "figure estimators": (
        "experiments.papers.estimators",
        "EstimatorsConfig",
        "variance of a sampled prior's gradients",
    ),
    "figure category-gradients": (
        "experiments.papers.category_gradients",
        "CategoryGradientsConfig",
        "bias and variance of CP-VAE's gradients",
    ),
    "figure chain-forms": (
        "experiments.density.forms",
        "ChainFormsConfig",
        "cores, order and size of the chain on tables and codes",
    ),
    "figure front-page": (
        "experiments.front_page",
        "FrontPageConfig",
        "README's picture: digits given any subset of their attributes, and back",
    ),
    "bench tensor-ring": (
        "experiments.bench.tensor_ring",
        "BenchTensorRingConfig",
        "speed of the contraction against the textbook",
    ),
    "bench factored": (
        "experiments.bench.factored",
        "BenchFactoredConfig",
        "speed of the factored chain against the full one",
    ),
    "bench training-step": (
        "experiments.bench.training_step",
        "BenchTrainingStepConfig",
        "what a prior costs in training",
    ),
    "bench joint-step": (
        "experiments.bench.joint_step",
        "BenchJointStepConfig",
        "what the prior takes of a step of the joint VAE",
    ),
    "bench training-loop": (
        "experiments.bench.training_loop",
        "BenchTrainingLoopConfig",
        "what `fit` adds to a bare torch loop",
    ),
    "bench table-pieces": (
        "experiments.bench.table_pieces",
        "BenchTablePiecesConfig",
        "time and memory of tables that outgrow it",
    ),
    "bench explore": (
        "experiments.bench.explore",
        "BenchExploreConfig",
        "answers of the explorer beside the law's own calls, and many clients",
    ),
    "bench gaps": ("experiments.bench.gaps", "BenchGapsConfig", "gaps inside a vector, by how many patterns there are"),
    "bench start": ("experiments.bench.start", "BenchStartConfig", "imports and --help beside `import pyro`"),
    "table density": (
        "experiments.density.command",
        "DensityConfig",
        "binary tables under our chain, and rivals on the same rows",
    ),
    "table tables": (
        "experiments.imputation.command",
        "TablesConfig",
        "gaps of mixed tables filled by ours and by rivals",
    ),
    "table": (
        "experiments.tables.runner",
        "TableConfig",
        "the papers' tables; alone: a list of all pages; --check: are these as they should",
    ),
}


def main(arguments):
    """Run the command that `arguments` name -> exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # paths may have any bytes
    line = " ".join(arguments)
    if line in ("", "-h", "--help", "help"):
        print(usage())
        return 0
    if (run := _command(arguments)) is None:
        print(f"error: expected one of the commands below, got {line!r}\n\n{usage()}", file=sys.stderr)
        return 2
    from pyro_priors.command_line import status_of  # here, since it brings torch

    return status_of(run)


def _command(arguments):
    """What does what the arguments name, None where that is no command."""
    for words, (module, config, _) in COMMANDS.items():
        count = len(words.split())
        if arguments[:count] == words.split():
            return lambda: _run(module, config, words, arguments[count:])
    if arguments[0] == "train" and arguments[1:2] and arguments[1] in models.names():
        return lambda: _train(arguments[1], arguments[2:])
    return None


def _run(module, config, words, flags):
    from models.shared.flags import read

    command = importlib.import_module(module)
    command.main(read(getattr(command, config), flags, f"python -m experiments {words}"))


def _train(name, flags):
    from models.shared.flags import parse

    config = parse(name, flags, f"python -m experiments train {name}")
    importlib.import_module("inference.train").main(config)


def usage():
    """The list of commands."""
    lines = {f"train {name}": models.summary(name).rstrip(".") for name in models.names()}
    lines |= {words: line for words, (_, _, line) in COMMANDS.items()}
    return "\n".join(
        ["usage: python -m experiments COMMAND [--help] [flags]", "", *(f"  {w:<26}{s}" for w, s in lines.items())]
    )


def _leave_group():
    """Leave the group of processes, if this is one of several: its threads may abort a Python that ends before them."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    status = main(sys.argv[1:])
    _leave_group()
    sys.exit(status)
