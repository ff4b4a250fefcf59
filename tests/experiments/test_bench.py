"""The benchmarks: the textbook they compare with is right, and the commands leave their files."""

import dataclasses
import json
import time

import matplotlib.image
import pytest
import torch
from pyro import poutine
from torch.utils.flop_counter import FlopCounterMode

import pyro_priors as pp
from experiments.__main__ import main
from experiments.bench import factored, floors, joint_step, plain, tensor_ring
from experiments.bench.timing import interleaved, peak_memory
from pyro_priors.data.attributes import Attribute

both_boundaries = pytest.mark.parametrize("boundary", ["ring", "train"])


def problem(boundary, batch=6):
    torch.manual_seed(0)
    prior = pp.TRIP(5, 3, 4, boundary)
    value = prior().sample((batch,))
    return prior, value, (prior.log_cores.detach().exp(), prior.loc.detach(), prior.log_scale.detach())


@both_boundaries
def test_the_textbook_finds_the_same_densities(boundary):
    prior, value, parts = problem(boundary)
    torch.testing.assert_close(
        plain.log_prob(value, *parts, boundary == "ring"), prior().log_prob(value), rtol=1e-5, atol=1e-5
    )
    probs = plain.state_probs(value, *parts, boundary == "ring")
    torch.testing.assert_close(probs, prior().state_probs(value), rtol=1e-4, atol=1e-6)


@both_boundaries
def test_the_textbook_draws_from_the_same_law(boundary):
    """Means of 20,000 draws within 4.5 standard errors (failure rate 1e-5 a column), also given two entries."""
    prior, value, parts = problem(boundary, 1)
    half = torch.where(torch.tensor([True, False, False, True, False]), value, torch.nan)
    for observed, law in ((None, prior()), (half.expand(20_000, -1), prior())):
        draws = plain.sample(20_000, *parts, boundary == "ring", observed)
        expected = law.mean if observed is None else law.most_probable(half)[0]
        error = (draws.mean(0) - expected).abs() / (draws.std(0) / 20_000**0.5).clamp(min=1e-6)
        assert error.max() < 4.5


@pytest.mark.parametrize(
    ("ring", "products"), [(True, (480, 1440, 64)), (False, (160, 640, 16))], ids=["ring", "train"]
)
def test_the_bare_products_are_as_many_as_they_should_be(ring, products):
    """Multiplications a variable at N = 2, m = 4, batch 5: 5 N m^2 = 160 with the cores, 5 m^3 = 320 with a state.

    On the way back the first pair is not left again.
    """
    last = (0, 2 * (320 if ring else 160), 0)
    functions = floors.forward, floors.backward, floors.sample
    for columns in (4, 18):
        for floor, count, less in zip(functions, products, last, strict=True):
            counter = FlopCounterMode(display=False)
            with counter:
                floor(columns, 2, 4, 5, ring)()
            assert counter.get_total_flops() == 2 * (columns * count - less)


def test_turns_and_memory():
    calls = []
    wait = {"a": 0.002, "b": 0.01}
    timed = interleaved(
        {name: lambda name=name: (calls.append(name), time.sleep(wait[name])) for name in wait}, turns=3
    )
    assert calls == ["a", "b"] * 4
    assert 3 < timed.ratios["b"] < 7
    assert timed.seconds["a"] < timed.seconds["b"]

    asleep = interleaved({"a": lambda: time.sleep(0.05)}, turns=3, clock=time.process_time)
    assert asleep.seconds["a"] < 0.02

    def of_two_million_bytes():
        first = torch.zeros(250_000)
        second = first + 1
        del first
        return float(second.add_(1).sum())

    assert 2_000_000 <= peak_memory(of_two_million_bytes) < 2_100_000


REFERENCE = """
import torch
class LP:
    def __init__(self, distr_descr, tt_int, distr_init, tt_type):
        self.tt_cores = [torch.ones(2, requires_grad=True)]
        self.means = self.log_stds = []
        self.columns = len(distr_descr)
    def to(self, device):
        return self
    def log_prob(self, x):
        return x.sum(-1) * self.tt_cores[0].sum()
    def sample(self, count, descr):
        return torch.zeros(count, len(descr))
"""


def test_bench_tensor_ring(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tensor_ring, "BASE", (4, 2, 2, 4))
    (tmp_path / "gentrl").mkdir()
    (tmp_path / "gentrl" / "lp.py").write_text(REFERENCE)
    flags = ["--sizes", "6,2,3,4", "--turns", "1", "--threads", "1", "--reference", str(tmp_path)]
    assert main(["bench", "tensor-ring", *flags, "--results", str(tmp_path / "results")]) == 0
    values = json.loads((tmp_path / "results" / "bench-tensor-ring-cpu.json").read_text())
    assert [size["boundary"] for size in values["sizes"]] == ["ring", "train"]
    row = values["sizes"][1]["queries"]["forward + backward"]
    assert set(row["seconds"]) == {"ours", "plain", "floor", "reference"}
    assert values["sizes"][1]["float32_error"] < 1e-5
    assert values["enumeration"]["difference"] < 1e-2
    assert {*values["scaling"][0]["slopes"]} == {"D", "N", "m", "batch"}
    text = (tmp_path / "results" / "bench-tensor-ring-cpu.md").read_text()
    assert "## train, D = 6, N = 2, m = 3, batch 4" in text
    assert matplotlib.image.imread(tmp_path / "results" / "bench-tensor-ring-cpu.png").shape[1] > 500
    assert "| forward + backward |" in capsys.readouterr().out


def test_bench_factored(tmp_path, monkeypatch, capsys):
    small = {"m": ((3, 2, 2, 4), (3, 2, 3, 4)), "D": ((2, 2, 2, 4), (4, 2, 2, 4))}
    for name, value in {"SCALING": small, "POSTERIOR": (3, 2, 2, 4), "MEMORY": (3, 2, 2, 4)}.items():
        monkeypatch.setattr(factored, name, value)
    flags = ["--sizes", "4,2,3,5", "--turns", "1", "--threads", "1", "--results", str(tmp_path)]
    assert main(["bench", "factored", *flags]) == 0
    values = json.loads((tmp_path / "bench-factored-cpu.json").read_text())
    queries = values["sizes"][0]["queries"]
    assert list(queries) == ["forward", "forward + backward", "state_probs", "sample", "conditional sample"]
    assert all(row["ratios"]["full"] > 0 for row in queries.values())
    assert set(values["scaling"]["m"]["seconds"]) == {"2", "3"}
    assert values["posterior"]["ratio"] > 0
    assert values["memory"]["bytes"] > 0
    text = (tmp_path / "bench-factored-cpu.md").read_text()
    assert "## D = 4, N = 2, m = 3, batch 5" in text
    assert "| full / factored |" in capsys.readouterr().out


def test_bench_training_step(tmp_path, capsys):
    flags = ["--batch", "4", "--latent-dim", "3", "--rank", "2", "--channels", "2", "--turns", "1", "--threads", "1"]
    assert main(["bench", "training-step", *flags, "--results", str(tmp_path)]) == 0
    values = json.loads((tmp_path / "bench-training-step-cpu.json").read_text())["networks"]
    assert list(values) == ["dense", "convolutions"]
    assert values["dense"]["N(0, I)"]["over_normal"] == 1
    assert len((tmp_path / "bench-training-step-cpu.md").read_text().splitlines()) == 22


def test_bench_joint_step(tmp_path, capsys):
    flags = ["--tables", "ttlp-mnist", "--batch", "4", "--turns", "1", "--threads", "1"]
    assert main(["bench", "joint-step", *flags, "--results", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "bench-joint-step.json").read_text())["tables"]["ttlp-mnist"]["1"]
    assert list(rows) == ["N(0, I)", "joint", "vector"]
    normal, lattice, vector = rows.values()
    assert lattice["share"] == lattice["alone_share"] == 1
    assert vector["less"] == vector["step"] - normal["step"]
    assert vector["share"] == vector["less"] / lattice["less"]
    assert vector["alone_share"] == pytest.approx(vector["alone"] / lattice["alone"])  # of one turn
    text = (tmp_path / "bench-joint-step.md").read_text()
    assert f"| {vector['alone_share']:.2f} |" in text
    assert f"**Answer.** At the settings of `ttlp-mnist` by itself {vector['alone_share']:.2f} (one vector)" in text


def test_a_step_of_the_prior_is_that_of_the_program():
    """Its gradients are those of the loss of the joint VAE on the same codes, but for those of the codes' own law."""
    model = joint_step.setting("ttlp-faces", "weighted-vector")
    attributes = [Attribute(name, ("0", "1")) for name, _ in joint_step.ATTRIBUTES["ttlp-faces"]]
    program = dataclasses.replace(model, rank=4, local=1).make((3, 64, 64), attributes)
    program.prior.expect_rows()
    x, z, y = torch.rand(3, 3, 64, 64), torch.randn(3, 32), torch.randint(2, (3, 10)).float()
    y[0, 2:] = torch.nan
    trace = poutine.trace(poutine.condition(program.model, {"z": z})).get_trace(x, y)
    trace.compute_log_prob()
    of_prior = [trace.nodes[name]["log_prob_sum"] for name in ("y", "z", "y_given_z")]
    expected = torch.autograd.grad(-sum(of_prior) / 3, list(program.prior.parameters()))
    joint_step.prior_step(program, z, y)()
    for parameter, gradient in zip(program.prior.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-3, atol=1e-4)


def test_bench_training_loop(tmp_path, capsys):
    flags = ["--batch", "4", "--latent-dim", "3", "--rank", "2", "--channels", "2", "--turns", "1", "--threads", "1"]
    assert main(["bench", "training-loop", *flags, "--batches", "3", "--results", str(tmp_path)]) == 0
    values = json.loads((tmp_path / "bench-training-loop.json").read_text())["networks"]
    assert list(values) == ["dense", "convolutions"]
    for row in values.values():
        assert 0 < row["waiting"] < 1
        assert row["overhead"] > -1
        assert row["seconds"]["fit"] > 0
    assert len((tmp_path / "bench-training-loop.md").read_text().splitlines()) == 18


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("tensor-ring --sizes 1,2,3", "sizes: expected D,N,m,batch, got '1,2,3'"),
        ("tensor-ring --sizes 1,2,3,x", "sizes: expected D,N,m,batch, got '1,2,3,x'"),
        ("tensor-ring --boundaries loop", "boundaries: expected ring or train, got loop"),
        ("tensor-ring --turns 0", "turns: expected at least 1, got 0"),
        ("tensor-ring --device nowhere", "device: expected one that is there, got nowhere"),
        ("tensor-ring --reference /nowhere", "reference: expected a checkout with core/learnable_priors/trip.py or"),
        ("factored --sizes 1,2", "sizes: expected D,N,m,batch, got '1,2'"),
        ("training-step --rank 0", "rank: expected at least 1, got 0"),
        ("joint-step --threads 0", "threads: expected numbers of at least 1, got (0,)"),
        ("joint-step --tables some", "tables: expected some of ttlp-mnist, ttlp-faces, got some"),
        ("gaps --patterns 8 0", "patterns: expected numbers of at least 1, got (8, 0)"),
        ("training-loop --batches 0", "batches: expected at least 2, between whose ends time is read, got 0"),
        ("training-loop --networks some", "networks: expected some of dense, convolutions, got some"),
    ],
)
def test_mistakes(tmp_path, capsys, flags, message):
    assert main(["bench", *flags.split(), "--results", str(tmp_path / "results")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


def test_a_reference_that_cannot_be_imported(tmp_path, capsys):
    (tmp_path / "gentrl").mkdir()
    (tmp_path / "gentrl" / "lp.py").write_text("import there_is_no_such_module")
    assert main(["bench", "tensor-ring", "--reference", str(tmp_path), "--results", str(tmp_path / "results")]) == 2
    assert "reference: expected to import LP" in capsys.readouterr().err
