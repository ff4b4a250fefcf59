"""The command line, configurations, run folders, tables and figures, without training."""

import dataclasses
import json

import matplotlib.image
import pyro.distributions as dist
import pytest
import torch
import tyro
from fake_runs import parsed, replace_processes, write_run

import pyro_priors as pp
from experiments import build, figures, runs
from experiments.__main__ import COMMANDS, main
from experiments.config import TrainConfig, from_json, to_flags, to_json
from experiments.config_gan import GanConfig
from experiments.configure import ELSEWHERE
from experiments.tables import results, trip_elbo
from experiments.tables.runner import Plan, TableConfig
from experiments.tables.runner import parsed as value_of
from pyro_priors.checks import UserError

CONFIGS = [
    TrainConfig(),
    TrainConfig(prior="gmm", fixed=True, progress=False, hidden=(7, 5), reinit_first=None, patience=3, lr=3e-4),
    TrainConfig(data_root="/some where", likelihood="gaussian", binarize="none", clip_norm=1.0, name="a-b"),
]


@pytest.mark.parametrize("config", CONFIGS)
def test_configuration_survives_flags_and_json(config):
    assert from_json(json.loads(json.dumps(to_json(config)))) == from_json(to_json(config))
    assert tyro.cli(TrainConfig, args=to_flags(config)) == from_json(to_json(config))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rank": 0}, "rank: expected at least 1, got 0"),
        ({"epochs": -1}, "epochs: expected at least 1, got -1"),
        ({"reinit_every": 0}, "reinit_every: expected at least 1, got 0"),
        ({"hidden": ()}, r"hidden: expected one width or more, each at least 1, got \(\)"),
        ({"hidden": (3, 0)}, r"hidden: .*got \(3, 0\)"),
        ({"lr": 0.0}, "lr: expected a positive number, got 0.0"),
        ({"prior_lr": float("nan")}, "prior_lr: expected a positive number, got nan"),
        ({"warmup_epochs": -1}, "warmup_epochs: expected 0 or more, got -1"),
        ({"seed": -1}, "seed: expected 0 to 2147483647, got -1"),
        ({"seed": 2**31}, "seed: expected 0 to 2147483647, got 2147483648"),
        ({"name": "../../evil"}, r"name: expected the name of one folder, got '../../evil'"),
        ({"name": "a\\b"}, r"name: expected the name of one folder"),
        ({"name": ".."}, r"name: expected the name of one folder, got '..'"),
        ({"name": ""}, r"name: expected the name of one folder, got ''"),
        ({"likelihood": "gaussian"}, "binarize: expected 'none' with likelihood 'gaussian', got 'dynamic'"),
    ],
)
def test_bad_configurations(values, message):
    with pytest.raises(UserError, match=message):
        TrainConfig(**values)


def test_without_arguments_the_commands_are_listed(capsys):
    assert main([]) == 0
    listed = capsys.readouterr().out
    assert all(words in listed and line in listed for words, (_, _, line) in COMMANDS.items())


def test_unknown_command(capsys):
    assert main(["train", "diffusion"]) == 2
    assert "got 'train diffusion'" in capsys.readouterr().err


@pytest.mark.parametrize("words", COMMANDS)
def test_help_explains_every_flag_and_unknown_flags_are_errors(words, capsys):
    of_runs = ("evaluate", "sample", "impute", "train --resume", "figure mode-hopping")
    with pytest.raises(SystemExit, match="0"):
        main([*words.split(), "--help"])
    assert "options" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        main([*words.split(), *(["a-run"] if words in of_runs else []), "--no-such-flag"])
    assert "no-such-flag" in capsys.readouterr().err


def test_every_knob_has_a_line_of_help(capsys):
    with pytest.raises(SystemExit):
        main(["train", "vae", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for field in dataclasses.fields(TrainConfig):
        after = text.split(f"--{field.name.replace('_', '-')}", 1)[1].split("(default", 1)[0]
        assert len(after.split()) >= 4, field.name


@pytest.mark.parametrize("command", ["evaluate", "sample"])
def test_no_run_there(tmp_path, capsys, command):
    assert main([command, str(tmp_path / "nowhere")]) == 2
    assert "error: run: expected config.json in" in capsys.readouterr().err


def test_run_without_a_model(tmp_path):
    run = runs.start(TrainConfig(runs_dir=tmp_path), (1, 8, 8))
    with pytest.raises(UserError, match=r"run: expected model.safetensors in .*mnist-trip"):
        runs.read(run.folder)


def test_run_of_another_version(tmp_path):
    run = runs.start(TrainConfig(runs_dir=tmp_path), (1, 8, 8))
    (run.folder / "model.safetensors").touch()
    assert runs.read(run.folder) == run
    written = json.loads((run.folder / "config.json").read_text())
    runs.write_json(run.folder / "config.json", {**written, "format": 0})
    with pytest.raises(UserError, match=r"run: expected format 2 in .*config.json, got 0"):
        runs.read(run.folder)
    runs.write_json(run.folder / "config.json", {**written, "config": {**written["config"], "depth": 3}})
    with pytest.raises(UserError, match="config: expected the keys of this version, got also depth"):
        runs.read(run.folder)


def test_runs_of_the_same_second_have_folders_of_their_own(tmp_path):
    assert len({runs.new_folder(tmp_path, "name") for _ in range(3)}) == 3


def test_runs_of_tables_are_processes_with_a_log(tmp_path):
    results.run(["--help"], tmp_path / "logs" / "help.log", "help")
    assert "usage: python -m experiments COMMAND" in (tmp_path / "logs" / "help.log").read_text()
    with pytest.raises(UserError, match=r"a-run: train ended with status 2; .*\.log ends:\n(.*\n)*  table  "):
        results.run(["train", "diffusion"], tmp_path / "logs" / "gan.log", "a-run")


def test_json_is_written_whole_or_not_at_all(tmp_path):
    runs.write_json(tmp_path / "a.json", {"a": 1})
    with pytest.raises(TypeError):
        runs.write_json(tmp_path / "a.json", {"a": object()})
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": 1}


@pytest.fixture
def fake_training(monkeypatch):
    """`results.run` starts no process; a run's ELBO is -(100 + its seed), its commit that of its seed."""
    started = []

    def process(command, stdout, stderr):
        train = parsed(TrainConfig, command[command.index("vae") + 1 :])
        started.append(train.name)
        commit = {0: "0123456789", 2: "abcdef0123", 3: None}[train.seed]
        provenance = {"versions": {"torch": "2"}, "commit": commit, "uncommitted_changes": train.seed == 2}
        test = {"elbo": -100.0 - train.seed, "iwae": -90.0, "particles": 100}
        write_run(train, test, provenance)
        stdout.write("line\n")
        return type("Finished", (), {"returncode": 1 if train.rank == 13 else 0})

    replace_processes(monkeypatch, process)
    return started


def test_table_runs_what_is_missing_and_averages_over_seeds(tmp_path, fake_training, capsys):
    flags = ["--results", str(tmp_path / "results"), "--runs-dir", str(tmp_path / "runs"), "--jobs", "2"]
    rows = ["--rows", "normal", "trip", "--seeds", "0", "2"]
    assert main(["table", "trip-elbo", *flags, *rows]) == 0
    assert sorted(fake_training) == ["normal-seed0", "normal-seed2", "trip-seed0", "trip-seed2"]
    text = capsys.readouterr().out
    assert text.strip() == (tmp_path / "results" / "trip-elbo.md").read_text().strip()
    assert "| N(0, I) | 101.00 +- 1.00 | 90.00 +- 0.00 |  | 194.16 | 185.09 |" in text
    written = [path.read_text() for path in (tmp_path / "results" / "trip-elbo").iterdir()]
    assert len(written) == 4
    assert not any(str(tmp_path) in text for text in written)
    assert all(
        json.loads(text)["provenance"]["command"][:5] == ["python", "-m", "experiments", "train", "vae"]
        for text in written
    )
    assert "\nMeasured with torch 2 at different commits (0123456, abcdef0 with changes); every run's" in text
    fake_training.clear()
    assert main(["table", "trip-elbo", *flags, *rows, "--set", "threads=2"]) == 0
    assert fake_training == []
    before = {path: path.read_text() for path in (tmp_path / "results").rglob("*.json")}
    assert main(["table", "trip-elbo", *flags, *rows, "--set", "epochs=7"]) == 2  # what is kept must not be lost
    assert "results: expected a result of this configuration in" in capsys.readouterr().err
    assert {path: path.read_text() for path in (tmp_path / "results").rglob("*.json")} == before
    flags[1] = str(tmp_path / "others")
    assert main(["table", "trip-elbo", *flags, *rows, "--set", "epochs=7"]) == 0
    assert len(fake_training) == 4
    assert "table trip-elbo --set epochs=7" in capsys.readouterr().out


@pytest.mark.parametrize("field", ["rows", "seeds"])
def test_a_table_of_nothing_is_refused(field, capsys):
    assert main(["table", "trip-elbo", f"--{field}"]) == 2
    assert f"{field}: expected at least one" in capsys.readouterr().err


@pytest.mark.parametrize(("seed", "commit"), [("0", "commit 0123456;"), ("3", "commit unknown;")])
def test_table_names_its_commit(tmp_path, fake_training, seed, commit):
    flags = ["--results", str(tmp_path / "results"), "--runs-dir", str(tmp_path / "runs"), "--seeds", seed]
    assert main(["table", "trip-elbo", *flags]) == 0
    assert f"Measured with torch 2 at {commit}" in (tmp_path / "results" / "trip-elbo.md").read_text()


def test_rows_differ_and_nothing_that_they_set_can_be_set_for_all():
    (table,) = trip_elbo.TABLES
    assert len({table.config(cell.model, **cell.values) for cell in table.cells}) == len(table.cells)
    for text in ("prior=gmm", "fixed=True", "init=noise", "gmm_components=7", "seed=1", "name=a", "depth=3"):
        with pytest.raises(UserError, match="set: expected KNOB=VALUE of what rows share"):
            Plan(TableConfig("trip-elbo", set=(text,)), table)


def test_knobs_that_are_set_for_all_rows_for_a_model_or_for_a_row():
    plan = Plan(TableConfig("trip-elbo", set=("hidden=8", "epochs=3", "trip.lr=1e-2")), trip_elbo.TABLES[0])
    runs = {cell.key[0]: plan.train(cell, 0) for cell in plan.table.cells}
    assert {(run.hidden, run.epochs) for run in runs.values()} == {((8,), 3)}
    assert {row for row, run in runs.items() if run.lr == 1e-2} == {"trip"}
    assert [value_of(text) for text in ("1", "a,b", "None")] == [1, "a,b", None]


def test_table_says_which_run_failed(tmp_path, fake_training, capsys):
    flags = ["--results", str(tmp_path / "results"), "--runs-dir", str(tmp_path / "runs"), "--set", "rank=13"]
    assert main(["table", "trip-elbo", *flags, "--rows", "normal"]) == 2
    assert "normal-seed0: train ended with status 1" in capsys.readouterr().err
    assert list((tmp_path / "results" / "trip-elbo").iterdir()) == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rows": ("vamp",)}, "rows: expected some of normal, .*got vamp"),
        ({"jobs": 0}, "jobs: expected at least 1, got 0"),
        ({"classifier": "RUN"}, "classifier: expected none for table trip-elbo, got RUN"),
    ],
)
def test_bad_tables(values, message):
    with pytest.raises(UserError, match=message):
        Plan(TableConfig("trip-elbo", **values), trip_elbo.TABLES[0])


def test_tile_puts_pictures_in_reading_order():
    grid = figures.tile(torch.arange(3.0).view(3, 1, 1, 1) / 4, columns=2)[..., 0]
    white = 1.0
    expected = [
        [white] * 5,
        [white, 0.0, white, 0.25, white],
        [white] * 5,
        [white, 0.5, white, white, white],
        [white] * 5,
    ]
    assert grid.tolist() == expected


@pytest.mark.parametrize(
    "prior",
    [pp.StandardNormal(4), pp.GaussianMixture(4, 3), pp.TRIP(4, components=3, rank=2)],
    ids=lambda prior: type(prior).__name__,
)
def test_first_two_is_the_marginal(prior):
    torch.manual_seed(0)
    law = prior()
    plane = figures.first_two(law)
    # E over the other two dimensions of p(z1, z2 given them) would need the law itself: compare moments of samples.
    # 20,000 draws: 6 standard errors of a mean.
    drawn = law.sample((20_000,))[:, :2]
    scale = drawn.std(0)
    assert ((drawn.mean(0) - plane.sample((20_000,)).mean(0)).abs() < 6 * scale * (2 / 20_000) ** 0.5).all()
    # and the density integrates to one over a wide square
    side = torch.linspace(-12, 12, 401)
    grid = torch.stack(torch.meshgrid(side, side, indexing="xy"), -1)
    with torch.no_grad():
        assert abs(plane.log_prob(grid).exp().sum() * (24 / 400) ** 2 - 1) < 0.02


def test_figures_are_png(tmp_path):
    z = torch.randn(50, 3)
    figures.prior_density(tmp_path / "prior.png", {"normal": (pp.StandardNormal(3)(), z), "x": (mixture(), z)})
    figures.samples(tmp_path / "samples.png", {"normal": torch.rand(7, 3, 8, 8)})
    figures.reconstructions(tmp_path / "rows.png", torch.rand(4, 1, 8, 8), {"normal": torch.rand(4, 1, 8, 8)})
    figures.points(tmp_path / "one.png", torch.rand(9, 1, 1, 1), {"normal": torch.rand(9, 1, 1, 1)})
    figures.points(tmp_path / "two.png", torch.rand(9, 1, 1, 2), {"normal": torch.rand(9, 1, 1, 2)})
    shapes = [matplotlib.image.imread(path).shape for path in tmp_path.iterdir()]
    assert len(shapes) == 5
    assert all(min(shape[:2]) > 50 for shape in shapes)


def mixture():
    components = dist.Normal(torch.zeros(2, 3), torch.ones(2, 3)).to_event(1)
    return dist.MixtureSameFamily(dist.Categorical(logits=torch.zeros(2)), components)


def test_runs_from_before_there_was_a_choice_of_crops_had_148(tmp_path):
    written = to_json(GanConfig(data="celeba"))
    assert from_json(written, GanConfig).crop == written.pop("crop") == 160
    assert from_json(written, GanConfig).crop == 148
    result = {"config": {key: value for key, value in written.items() if key not in ELSEWHERE}}
    (tmp_path / "one.json").write_text(json.dumps(result))
    for crop in (148, 160):
        config = GanConfig(data="celeba", crop=crop, name="one")
        assert (results.result(tmp_path, config, strict=False) is not None) is (crop == 148)


@pytest.mark.parametrize("prior", ["trip", "gmm", "vamp", "flow"])
def test_a_fixed_prior_does_not_learn(prior):
    for fixed in (False, True):
        model = build.model(TrainConfig(data="digits", prior=prior, fixed=fixed, latent_dim=4, hidden=(8,)), (1, 8, 8))
        assert any(parameter.requires_grad for parameter in model.prior.parameters()) is not fixed
