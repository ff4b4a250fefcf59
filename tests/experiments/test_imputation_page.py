"""The page of filled tables on tables that are made here: what methods fill, what is written, gone on with, refused."""

import json
import re
import sys
import types

import numpy as np
import pytest
from small_tables import linked, write_published

from experiments.__main__ import main
from experiments.imputation import command, compared, masks, mixed, page, rivals, sources
from experiments.imputation.encoding import Indicators
from experiments.imputation.filled import Filled, scored
from experiments.imputation.methods import METHODS, Method
from experiments.imputation.miss_forest import miss_forest
from experiments.imputation.rivals import mean_mode
from pyro_priors.checks import UserError

TABLE = linked()
MASK = masks.hidden("mcar", TABLE, 30, 1)
VALUES = np.where(MASK, np.nan, TABLE.values)


SLOW = [pytest.param("miceforest", marks=pytest.mark.slow)]


@pytest.mark.parametrize("name", ["ridge", "forest", "neighbours", "missforest", *SLOW])
def test_a_rival_tells_more_than_the_mean(name):
    if name == "miceforest":
        try:
            rivals._miceforest()
        except UserError as error:
            pytest.skip(str(error))
    small = {"draws": 2, "rounds": 2, "trees": 8}
    method = METHODS[name]
    settings = {key: small.get(key, value) for key, value in method.of(len(VALUES)).items()}
    filled = method.fill(TABLE, VALUES, 0, **settings)
    by_column, means = scored(TABLE, MASK, filled)
    least = scored(TABLE, MASK, mean_mode(TABLE, VALUES, 0))[1]
    assert means["nrmse"] < 0.7 * least["nrmse"]
    assert means["error"] < 0.8 * least["error"]
    assert means["crps"] < 0.7 * least["crps"]
    assert ("log_score" in means) == (name not in ("ridge", "forest"))
    assert means.get("log_score", 0) < 0.7 * least["log_score"]
    assert ("coverage" in means) == (name in ("ridge", "miceforest"))
    assert (filled.draws is not None) == (name in ("ridge", "miceforest"))
    again = method.fill(TABLE, VALUES, 0, **settings).point
    assert (again == filled.point).all() or name == "miceforest"  # LightGBM's threads
    assert set(by_column["nrmse"]) == {"pos1", "count2"}


def test_what_miceforest_needs_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "miceforest", types.SimpleNamespace())
    monkeypatch.setitem(sys.modules, "lightgbm", types.SimpleNamespace(__version__="4.10.1"))
    with pytest.raises(UserError, match=r"expected LightGBM below 4\.7 beside miceforest, got 4\.10\.1"):
        rivals._miceforest()
    monkeypatch.setitem(sys.modules, "miceforest", None)
    with pytest.raises(UserError, match="expected miceforest, got none"):
        rivals._miceforest()


def test_the_mean_and_the_mode():
    filled = mean_mode(TABLE, VALUES, 0)
    assert filled.point[MASK[:, 0], 0] == pytest.approx(np.nanmean(VALUES[:, 0]))
    counts = np.bincount(VALUES[~MASK[:, 3], 3].astype(int))
    assert (filled.point[MASK[:, 3], 3] == counts.argmax()).all()
    assert filled.probs[3][0] == pytest.approx((counts + 1) / (counts + 1).sum())


@pytest.mark.parametrize("drop", [False, True])
def test_indicators_and_back(drop):
    coded = Indicators(TABLE, VALUES, drop=drop)
    assert coded.matrix.shape == (120, 2 + 2 + 4 - 2 * drop)
    assert np.isnan(coded.matrix[MASK[:, 3]][:, coded.places[3]]).all()
    assert np.allclose(coded.values(coded.matrix)[~MASK], VALUES[~MASK])
    assert np.nanmean(coded.matrix[:, 0]) == pytest.approx(0, abs=1e-9)
    assert np.nanstd(coded.matrix[:, 0]) == pytest.approx(1)


def test_a_miss_forest_stops_where_it_no_longer_settles(monkeypatch):
    """Changes 1, .5, .7: what the second round gave is kept, the third is not."""
    from experiments.imputation import miss_forest as module

    rounds = iter([(1.0, 1.0), (0.5, 0.5), (0.7, 0.5), (0.1, 0.1)])
    seen = []

    def change(table, missing, last, now):
        seen.append(now)
        return next(rounds)

    monkeypatch.setattr(module, "_change", change)
    filled = miss_forest(TABLE, VALUES, 0, trees=2, rounds=10)
    assert len(seen) == 3
    assert (filled.point == seen[1]).all()


def test_ours_gives_whatever_is_scored(monkeypatch):
    """By an imputer that knows as much as `mean_mode`, in the words of ours."""
    pd = pytest.importorskip("pandas")
    usual = mean_mode(TABLE, VALUES, 0)

    class TableImputer:
        def __init__(self, kinds, random_state):
            assert kinds == {"pos1": "continuous", "count2": "count"}
            assert random_state == 3

        def fit(self, data):
            assert isinstance(data["cat3"].dtype, pd.CategoricalDtype)
            assert np.isnan(data["pos1"]).sum() == MASK[:, 0].sum()
            return self

        def transform(self, data):
            return mixed.frame(TABLE, usual.point)

        def sample(self, data, n):
            return [self.transform(data)] * n

        def interval(self, data, level):
            assert level == 0.9
            ends = np.where(MASK, np.nan, usual.point)
            ends[:, TABLE.numbers] = usual.point[:, TABLE.numbers]
            return mixed.frame(TABLE, ends), mixed.frame(TABLE, ends)

        def proba(self, data, column):
            labels = next(field.labels for field in TABLE.columns if field.name == column)[1:]
            return pd.DataFrame({label: np.full(len(data), 1 / len(labels)) for label in labels})

    monkeypatch.setitem(sys.modules, "pyro_priors.tables", types.SimpleNamespace(TableImputer=TableImputer))
    filled = METHODS["ours"].fill(TABLE, VALUES, 3, draws=4)
    assert filled.draws.shape == (4, *VALUES.shape)
    assert (filled.probs[3][:, 0] > 0).all()  # a label that it does not know
    means = scored(TABLE, MASK, filled)[1]
    assert set(means) == {"nrmse", "crps", "coverage", "even", "width", "error", "shift", "log_score"}
    assert means["width"] == 0


@pytest.fixture
def made_up(tmp_path, monkeypatch):
    """Two methods on small tables of the layout, and what they were asked to fill; a third fails."""
    calls = []

    def fill(table, values, seed, error):
        calls.append((table.name, int(np.isnan(values).sum()), seed))
        point = np.where(np.isnan(values) & [True, True, False, False], table.values + error, table.values)
        return Filled(point, np.stack([point - 1, point, point + 1]))

    def broken(table, values, seed):
        raise UserError("luck: expected some, got none")

    rows = {
        "ours": Method("ours", fill, {"error": 0.1}, {"error": 0.0}, ()),
        "other": Method("theirs", fill, {"error": 0.3}, packages=("scikit-learn",)),
        "broken": Method("broken", broken),
    }
    monkeypatch.setattr(page, "METHODS", rows)
    monkeypatch.setattr(command, "METHODS", rows)
    monkeypatch.setattr(compared, "METHODS", rows)
    for module in (sources, page):
        monkeypatch.setattr(module, "SETS", ("Wine", "Adult"))
    monkeypatch.setattr("experiments.imputation.downstream.accuracy", lambda *_: 0.5)
    monkeypatch.setattr("experiments.imputation.cell.accuracy", lambda *_: 0.75)
    return write_published(tmp_path / "data"), calls, rows


def flags(root, *more):
    return ["table", "tables", "--data-root", str(root), "--results", str(root.parent / "results"), *more]


def test_cells_are_made_once_and_the_page_of_all(made_up, capsys):
    root, calls, _ = made_up
    chosen = ("--sets", "Wine", "--shares", "30", "--rows", "ours", "other")
    assert main(flags(root, *chosen, "--copies", "1", "2")) == 0
    assert [call[::2] for call in calls] == [("Wine", 1), ("Wine", 1), ("Wine", 2), ("Wine", 2)]
    results = root.parent / "results"
    names = sorted(path.stem for path in (results / "tables").glob("*.json"))
    assert names == [f"wine-published-30-{copy}-{name}" for copy in (1, 2) for name in ("other", "ours")]
    cell = json.loads((results / "tables" / "wine-published-30-2-other.json").read_text())
    assert cell["settings"] == {"error": 0.3}
    assert cell["seed"] == 2
    assert cell["hidden"] == calls[2][1]
    assert cell["downstream"] == {"target": "cat3", "accuracy": 0.75, "whole": 0.5}
    extent = np.ptp(sources.Sources(root).table("Wine").values[:, :2], 0)
    assert cell["scores"]["nrmse"] == pytest.approx((0.3 / extent).mean())
    assert cell["scores"]["coverage"] == 1
    alone = ["--sets", "Wine", "--masks", "published", "--shares", "30", "--copies", "2", "--rows", "other"]
    assert cell["provenance"]["command"] == ["python", "-m", "experiments", "table", "tables", *alone]
    assert "scikit-learn" in cell["provenance"]["versions"]
    assert str(root) not in json.dumps(cell)
    assert main(flags(root, *chosen)) == 0  # goes on with the third mask
    assert [call[2] for call in calls] == [1, 1, 2, 2, 3, 3]
    assert main(flags(root, *chosen, "--sets", "Wine", "Adult", "--copies", "1")) == 0
    said = capsys.readouterr().out
    assert "| 30 %, published | theirs | 0." in said
    own, other = (f"{(error / extent).mean():.4f}" for error in (0.1, 0.3))
    assert f"| Wine | 30 %, published | {own} | {other} (theirs) | 0.0000 | 0.0000 (theirs) |" in said
    each = r"over \d+ kinds? of masks"
    assert re.search(rf"Lowest mean rank: NRMSE ours \(1.00 of 2 {each}\), errors ours \(1.50 of 2 {each}\)", said)
    assert "120 rows; columns: 2 number, 1 ordinal, 1 category. Accuracy is for cat3: 50.0 with nothing" in said
    assert said.index("## Wine") < said.index("## Adult")
    assert len(calls) == 8
    text = (results / "tables.md").read_text()
    assert main(["table", "tables", "--results", str(results)]) == 0
    assert (results / "tables.md").read_text() == text
    assert main(["table", "tables", "--check", "--results", str(results)]) == 0
    path = results / "tables" / "wine-published-30-2-other.json"
    del cell["scores"]["even"]  # as versions of before wrote it
    path.write_text(json.dumps(cell))
    assert main(["table", "tables", "--results", str(results)]) == 0
    assert "by parts" in (results / "tables.md").read_text()
    (results / "tables.md").write_text(text + "\n")
    with pytest.raises(SystemExit):
        main(["table", "tables", "--check", "--results", str(results)])


def test_another_folder_and_other_masks(made_up, capsys):
    root, calls, _ = made_up
    (root / "tables" / "Adult").rename(root / "tables" / "Bread")
    assert main(flags(root, "--sets", "Bread", "--masks", "mnar", "--shares", "20", "--rows", "other")) == 0
    assert [call[::2] for call in calls] == [("Bread", 1), ("Bread", 2), ("Bread", 3)]
    assert "| 20 %, mnar | theirs |" in capsys.readouterr().out
    assert main(flags(root, "--sets", "Bread", "--shares", "50", "--copies", "2", "--rows", "other")) == 0
    results = root.parent / "results" / "tables"
    assert (results / "bread-published-50-2-other.json").is_file()
    assert len(list(results.iterdir())) == 4


def test_what_fails_is_named_and_the_others_go_on(made_up, capsys):
    root, calls, _ = made_up
    assert main(flags(root, "--sets", "Wine", "--shares", "10", "--copies", "1", "--rows", "all")) == 2
    assert len(calls) == 2
    said = capsys.readouterr().err
    assert "luck: expected some, got none" in said
    assert "expected all 3 to end well, got 1 that failed" in said


def test_a_result_of_other_settings_or_data_is_not_lost(made_up, capsys):
    root, calls, rows = made_up
    chosen = flags(root, "--sets", "Wine", "--shares", "10", "--copies", "1", "--rows", "ours")
    assert main(chosen) == 0
    rows["ours"] = rows["ours"]._replace(settings={"error": 0.2})
    assert main(chosen) == 2
    assert "wine-published-10-1-ours.json of the same settings, got another" in capsys.readouterr().err
    (root / "tables" / "Wine" / "Missing10_1.csv").write_text("1,1\n")
    assert main([*chosen[:-1], "other"]) == 2
    assert "expected the same mask as in" in capsys.readouterr().err
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("--rows nothing", "rows: expected some of ours, other, broken, all, got nothing"),
        ("--sets Wine Water", "Water/data.csv, got none"),
        ("--shares 40", "shares: expected one that is published for Wine: 10, 30, 50, got 40"),
        ("--sets Water --masks published --shares 30", "expected one that is published for Water: none, got 30"),
        ("--shares 100 --masks mar", "shares: expected per cent between 0 and 100, got 100"),
        ("--masks often", "masks: expected some of published, mcar, mar, mnar, got often"),
        ("--copies 0", "copies: expected at least 1, got 0"),
        ("--copies 4 --sets Wine", "Missing10_4.csv, got none"),
        ("", "data_root: expected its default without rows, sets, masks, shares or copies, got another"),
        ("--check", "data_root: expected its default beside --check, got another"),
    ],
)
def test_mistakes_come_out_before_any_work(made_up, more, said, capsys):
    root, calls, _ = made_up
    assert main(flags(root, *more.split())) == 2
    assert said in capsys.readouterr().err
    assert not calls


def test_a_table_that_is_not_there_comes_out_before_any_work(made_up, capsys):
    root, calls, _ = made_up
    (root / "tables" / "Adult" / "data.csv").unlink()
    assert main(flags(root, "--rows", "ours")) == 2
    assert "Adult/data.csv, got none" in capsys.readouterr().err
    assert not calls


def test_large_tables_are_cut():
    assert METHODS["neighbours"].of(9_999)["donors"] is None
    assert METHODS["neighbours"].of(10_000)["donors"] == 5000
