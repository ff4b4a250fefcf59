"""The table of strong decoders, without training: what its page says, and how a run is read."""

from pathlib import Path
from types import SimpleNamespace

import torch

import pyro_priors as pp
from experiments.tables import catalogue, strong_decoder
from experiments.tables.runner import Plan, TableConfig
from experiments.tables.spec import Row
from inference import judges
from models.shared import runs
from pyro_priors.data.images import Images
from pyro_priors.networks import GatedMLPEncoder, PixelCNNDecoder
from pyro_priors.programs import VAE


def rows(table, leave_out=0):
    """-ELBO is 100 (dense) or 80 under N(0, I), under the mixture 3 or 0.5 less; KL is 25 or 5, under it 1 more."""
    judge = {"extractor": "e", "weights": "w", "accuracy": 0.98}
    made = []
    for cell in table.cells[: len(table.cells) - leave_out]:
        decoder, prior = cell.key
        gain = {"normal": 0.0, "gmm": 3.0 if decoder == "mlp" else 0.5, "trip": -1.0}[prior]
        elbo = gain - (100 if decoder == "mlp" else 80)
        test = {"elbo": elbo, "iwae": elbo + 2, "kl": (25 if decoder == "mlp" else 5) + (prior == "gmm")}
        result = {"test": test, "frechet": 10.0, "frechet_drawn": 20.0, "seconds": 60.0}
        made.append(Row(cell, {0: result | {"parameters": {"all": 1234}, "beside": {"count": 10, "judge": judge}}}))
    return made


def test_the_page_answers_its_question_from_its_rows():
    table = catalogue.table("strong-decoder")
    parts = table.page(table, rows(table))
    assert table.head.answer(rows(table)) == (
        "Mixture of 100 Gaussians has a -ELBO 3.00 nats below N(0, I) where pixels are independent given the "
        "latents, and 0.50 nats below it under the PixelCNN, whose latents carry 6.0 nats of an image instead of 26.0 "
        "(one seed)."
    )
    assert (
        "| PixelCNN | mixture of 100 Gaussians | 79.50 | 77.50 | 6.00 | 20.00 | 10.00 | 1,234 | 1.0 | 1 |" in parts[-1]
    )
    assert table.head.answer(rows(table, leave_out=1)) == ""


def test_rows_differ_in_decoder_and_prior_alone():
    plan = Plan(TableConfig("strong-decoder", classifier="JUDGE"), catalogue.table("strong-decoder"))
    trained = {cell.name: plan.train(cell, seed) for _, cell, seed in plan.wanted}
    assert len(trained) == 6
    assert {(t.epochs, t.latent_dim, t.hidden, t.binarize) for t in trained.values()} == {
        (4, 16, (300, 300), "dynamic")
    }
    assert trained["pixelcnn-trip"].pixel_layers == 3
    assert trained["mlp-trip"].block_size == 16
    assert plan.reading(plan.wanted[-1].cell).config.binarize == "none"  # as the judge saw its images


def test_draws_are_compared_with_draws_and_grey_images_with_grey_ones(monkeypatch):
    torch.manual_seed(0)
    shape = (1, 4, 4)
    vae = VAE(GatedMLPEncoder(shape, 2, (8,)), PixelCNNDecoder(2, shape, 2, 2, (8,)), pp.StandardNormal(2))
    test, seen = Images(torch.rand(40, *shape)), []

    def features(judge, images):
        seen.append(images.first() if isinstance(images, Images) else images)
        return seen[-1].flatten(1)

    def likeness(model, judge, images, seed, real):
        assert real is not None
        return {"frechet": 1.5}

    monkeypatch.setattr(judges, "features", features)
    monkeypatch.setattr(judges, "likeness", likeness)
    monkeypatch.setattr(runs, "trained", lambda folder: (SimpleNamespace(folder=folder), vae))
    monkeypatch.setattr(runs, "read_json", lambda path: {"test": {}})
    plan = Plan(TableConfig("strong-decoder"), catalogue.table("strong-decoder"))
    reading = strong_decoder.Drawn(plan, None)
    reading.data, reading.judge = SimpleNamespace(test=test), object()
    result = reading.read(SimpleNamespace(seed=3), Path("RUN"))
    assert result["frechet"] == 1.5
    assert result["frechet_drawn"] > 0
    grey, drawn, binary = seen
    assert torch.equal(grey, test.pixels)
    for images in (drawn, binary):
        assert images.shape == (40, *shape)
        assert set(images.unique().tolist()) == {0.0, 1.0}
