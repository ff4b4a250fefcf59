"""Figures that pages show, read from the pages of results: `python docs/ext/measured.py` writes them anew into `PAGES`.

Pages of results are made of their files by the commands that stand in them, which the tests hold. What is known only
where the site is built stands as `{{ name }}` in its pages.
"""

import os
import re
from importlib.metadata import distributions, version
from pathlib import Path

RESULTS = Path(__file__).parents[2] / "experiments" / "results"

# Name in our pages -> page of results, heading that it stands under ("": the first table), cells that the row begins
# with, column.
FIGURES = {
    "elbo_normal": ("trip-elbo", "", ("N(0, I)",), "-ELBO"),
    "elbo_gmm": ("trip-elbo", "", ("GMM of 100, learnable",), "-ELBO"),
    "elbo_gmm_full": ("trip-elbo", "", ("GMM of 100, full covariances",), "-ELBO"),
    "elbo_trip": ("trip-elbo", "", ("TRIP, learnable",), "-ELBO"),
    "elbo_vector": ("trip-elbo", "", ("TRIP of one vector, full covariances, rank 100",), "-ELBO"),
    "vae_normal": ("trip-mnist", "", ("VAE", "N(0, I)"), "Frechet distance"),
    "vae_trip": ("trip-mnist", "", ("VAE", "TRIP, learnable"), "Frechet distance"),
    "vae_gmm": ("trip-mnist", "", ("VAE", "GMM, learnable"), "Frechet distance"),
    "vae_full": ("trip-mnist", "", ("VAE", "GMM, full covariances, learnable"), "Frechet distance"),
    "vae_vector": ("trip-mnist", "", ("VAE", "TRIP of one vector, learnable"), "Frechet distance"),
    "wgan_normal": ("trip-mnist", "", ("WGAN-GP", "N(0, I)"), "Frechet distance"),
    "wgan_trip": ("trip-mnist", "", ("WGAN-GP", "TRIP, learnable"), "Frechet distance"),
    "equal_normal": ("trip-mnist-equal-starts", "", ("WGAN-GP", "N(0, I)"), "Frechet distance"),
    "equal_vector": ("trip-mnist-equal-starts", "", ("WGAN-GP", "TRIP of one vector, learnable"), "Frechet distance"),
    "flow_none": ("dpvae-mnist", "", ("VAE", "N(0, I)"), "Frechet distance"),
    "flow": ("dpvae-mnist", "", ("VAE", "flow"), "Frechet distance"),
    "flow_skl_none": ("dpvae-mnist", "", ("VAE", "N(0, I)"), "sKL"),
    "flow_skl": ("dpvae-mnist", "", ("VAE", "flow"), "sKL"),
    "imputed_vector": (
        "ttlp-mnist",
        "",
        ("VAE-TTLP, latents one vector of full covariance", "70%"),
        "imputation accuracy, %",
    ),
    "obeyed_vector": (
        "ttlp-mnist",
        "",
        ("VAE-TTLP, latents one vector of full covariance", "70%"),
        "condition accuracy, %",
    ),
    "imputed_vector_few": (
        "ttlp-mnist",
        "",
        ("VAE-TTLP, latents one vector of full covariance", "99%"),
        "imputation accuracy, %",
    ),
    "imputed_classifier_few": (
        "ttlp-mnist",
        "",
        ("classifier trained on the same labels", "99%"),
        "imputation accuracy, %",
    ),
    "imputed_cvae": ("ttlp-mnist", "", ("CVAE, labels predicted", "70%"), "imputation accuracy, %"),
    "obeyed_cvae": ("ttlp-mnist", "", ("CVAE, labels predicted", "70%"), "condition accuracy, %"),
    "nrmse_ours": ("tables", "Mean ranks", ("TableImputer",), "NRMSE"),
    "nrmse_ridge": ("tables", "Mean ranks", ("IterativeImputer, BayesianRidge",), "NRMSE"),
    "nrmse_forest": ("tables", "Mean ranks", ("MissForest",), "NRMSE"),
    "errors_ours": ("tables", "Mean ranks", ("TableImputer",), "errors"),
    "errors_forest": ("tables", "Mean ranks", ("MissForest",), "errors"),
    "crps_ours": ("tables", "Mean ranks", ("TableImputer",), "CRPS"),
    "crps_miceforest": ("tables", "Mean ranks", ("miceforest",), "CRPS"),
    "crps_forest": ("tables", "Mean ranks", ("MissForest",), "CRPS"),
    "log_ours": ("tables", "Mean ranks", ("TableImputer",), "log score"),
    "log_forest": ("tables", "Mean ranks", ("MissForest",), "log score"),
    "plants_chain": ("density", "", ("chain, order and size by default",), "plants"),
    "plants_mixture": ("density", "", ("mixture of product laws, at most of equal size",), "plants"),
    "plants_spflow": ("density", "", ("SPFlow",), "plants"),
    "dna_chain": ("density", "", ("chain, order and size by default",), "dna"),
    "dna_hclt": ("density", "", ("HCLT, regularised (Liu, Van den Broeck 2021)",), "dna"),
    "clusters": (
        "cp-vae-mnist",
        "",
        ("CP-VAE, sum over the 2 most probable c, categories from epoch 13 on", "10"),
        "cluster accuracy, %",
    ),
    "vamp": ("cp-vae-mnist", "", ("VAE, VampPrior of K", "10"), "-ELBO"),
    "vamp_normal": ("cp-vae-mnist", "", ("VAE, N(0, I)",), "-ELBO"),
    "pathwise_gan": ("conditional-gan-mnist", "", ("pathwise",), "accuracy"),
    "reinforce_gan": ("conditional-gan-mnist", "", ("REINFORCE (batch mean)",), "accuracy"),
    "ring_normal": ("gan-points", "ring", ("GAN", "N(0, I)"), "good points"),
    "ring_trip": ("gan-points", "ring", ("GAN", "TRIP, learnable"), "good points"),
    "ring_modes_normal": ("gan-points", "ring", ("GAN", "N(0, I)"), "modes"),
    "ring_modes_trip": ("gan-points", "ring", ("GAN", "TRIP, learnable"), "modes"),
}

# Page -> names of its figures, in the order in which they stand there.
# fmt: off
ORDER = {
    "which_prior": [
        "elbo_gmm_full", "elbo_gmm", "elbo_normal", "elbo_vector", "elbo_trip", "imputed_vector",
        "obeyed_vector", "nrmse_ours", "errors_ours", "crps_ours", "plants_chain", "plants_mixture",
        "plants_spflow", "clusters", "flow_skl", "flow_skl_none", "flow", "flow_none", "ring_trip",
        "ring_normal", "ring_modes_trip", "ring_modes_normal", "pathwise_gan", "vae_gmm", "vae_trip",
        "vae_normal", "vae_full", "vae_vector", "flow_none", "flow", "wgan_normal", "wgan_trip",
        "equal_vector", "equal_normal",
        "imputed_cvae", "imputed_vector", "obeyed_vector", "obeyed_cvae", "nrmse_ridge", "nrmse_ours",
        "nrmse_forest", "errors_forest", "errors_ours", "crps_miceforest", "crps_ours", "crps_forest", "log_ours",
        "log_forest", "dna_hclt", "dna_chain",
    ],
}
# fmt: on
FIGURE = re.compile(r"-?\b\d+\.\d+(?: ± \d+\.\d+)?")


def cells(line):
    """`| a | b |` -> `["a", "b"]`"""
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def read(page, heading, row, column):
    """One cell of a page's table, with its uncertainty, without what stands in brackets.

    `LookupError` where there is no such cell, or several.
    """
    text = (RESULTS / f"{page}.md").read_text()
    if heading:
        start = rf"^#+ [^\n]*\b{re.escape(heading)}\b[^\n]*\n"
        (text,) = re.findall(rf"{start}(.*?)(?=^#|\Z)", text, re.DOTALL | re.MULTILINE)
    table = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    lines = [cells(line) for line in table[0].splitlines()] if table else []
    found = [line for line in lines[2:] if line[: len(row)] == list(row)]
    if len(found) != 1 or lines[0].count(column) != 1:
        raise LookupError(f"{page}.md: expected one row {row} with one column {column!r}, got {len(found)} rows")
    return found[0][lines[0].index(column)].partition(" (")[0].replace("+-", "±")


def installed(names):
    """Gigabytes (of 10^9 bytes) that installed packages of such names take, where the site is built."""
    of_name = {package.metadata["Name"].lower(): package for package in distributions()}  # a name may be found twice
    files = {
        path
        for name, package in of_name.items()
        if re.fullmatch(names, name)
        for path in map(package.locate_file, package.files or ())
    }
    return sum(os.stat(path).st_size for path in files if os.path.exists(path)) / 1e9


def renewed(page, text):
    """The text of a page with its figures as they are in the results.

    `ValueError` where the page has another number of them than `ORDER` names.
    """
    shown, names = FIGURE.findall(text), ORDER[page]
    if len(shown) != len(names):
        raise ValueError(f"{page}: expected {len(names)} figures, one for each name in ORDER, got {len(shown)}")
    values = iter([read(*FIGURES[name]).removesuffix(" %") for name in names])
    return FIGURE.sub(lambda _: next(values), text)


def figures():
    """`{name: text}` of what is measured where the site is built."""
    sizes = {"torch_size": installed("torch"), "cuda_size": installed("(nvidia|cuda|triton).*")}
    return {"torch_version": version("torch"), **{name: f"{size:.1f}" for name, size in sizes.items()}}


if __name__ == "__main__":
    for name in ORDER:
        path = Path(__file__).parents[1] / f"{name}.md"
        path.write_text(renewed(name, path.read_text()))
