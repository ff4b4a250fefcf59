"""What experiments/results/README.md says is in the results."""

import json
import re
import statistics
from pathlib import Path

from experiments import heads
from experiments.papers import gan_estimators

MIXTURE = "estimators-mixture"
RESULTS = Path(__file__).parents[2] / "experiments" / "results"
WHOLE = (RESULTS / "README.md").read_text()
PAGE = WHOLE.partition(heads.BEGIN)[0] + WHOLE.partition(heads.END)[2] + "\n"  # without what is made of the pages


def test_what_it_says_of_the_results_is_in_the_results():
    def mean(row):
        results = [
            json.loads(path.read_text())["test"]["elbo"] for path in (RESULTS / "trip-elbo").glob(f"{row}-seed?.json")
        ]
        assert len(results) == 3
        return sum(results) / 3

    elbo = {row: mean(row) for row in ("normal", "gmm-20", "gmm", "trip", "trip-noise")}
    assert elbo["trip"] > elbo["normal"] + 2
    assert elbo["trip"] > elbo["trip-noise"] + 1
    assert elbo["gmm-20"] < elbo["trip"] < elbo["gmm"] < elbo["trip"] + 0.5


def numbers_of(table, row, share="0"):
    return json.loads((RESULTS / table / f"{row}-missing{share}-seed0.json").read_text())["test"]


def seeds_of(table, row):
    """The same of all seeds, none hidden."""
    paths = sorted((RESULTS / table).glob(f"{row}-missing0-seed?.json"))
    return [json.loads(path.read_text())["test"] for path in paths]


def percents(*shares):
    return [f"{100 * share:.2f} %" for share in shares]


def said(start):
    """The percentages of the paragraph that starts so."""
    (text,) = re.findall(rf"{re.escape(start)}.*?\n\n", PAGE, re.DOTALL)
    return re.findall(r"\d\d\.\d\d %", text)


def test_what_it_says_of_hidden_labels_is_in_the_results():
    rows = [
        ("joint", "0"),
        ("joint", "0.7"),
        ("weighted", "0"),
        ("weighted", "0.7"),
        ("pretrained", "0"),
        ("cvae", "0"),
    ]
    wanted = [number for row in rows for number in means_of(*row)]
    assert said("[ttlp-mnist") == percents(*wanted)


def means_of(row, share):
    """Over the seeds of `ttlp-mnist`: how many digits are imputed, and drawn as asked."""
    tests = [
        json.loads(path.read_text())["test"]
        for path in (RESULTS / "ttlp-mnist").glob(f"{row}-missing{share}-seed?.json")
    ]
    imputed = statistics.mean(test["imputation"]["digit"]["accuracy"] for test in tests)
    return imputed, statistics.mean(test["conditions"]["mean_accuracy"] for test in tests)


def test_what_it_says_of_vectors_is_in_the_results():
    wanted = [number for share in ("0", "0.3", "0.7") for number in means_of("vector", share)]
    (imputed, shown), (imputed_cvae, shown_cvae) = (means_of(row, "0.99") for row in ("vector", "cvae"))
    classifier = numbers_of("ttlp-mnist", "classifier", "0.99")["imputation"]["digit"]["accuracy"]
    wanted += [imputed, classifier, imputed_cvae, shown, shown_cvae]
    assert said("Where the latents are one vector") == percents(*wanted)


def test_what_it_says_of_faces_is_in_the_results():
    def mean(table, row, what="accuracy"):
        seeds = seeds_of(table, row)
        return statistics.mean(part[what] for run in seeds for part in run["imputation"].values())

    ten = [("weighted", "accuracy"), ("classifier", "accuracy"), ("weighted", "majority"), ("joint", "accuracy")]
    ring = ten[:3]
    wanted = [mean("ttlp-faces", *pair) for pair in ten] + [mean("ttlp-faces-ring", *pair) for pair in ring]
    assert said("[ttlp-faces.md]") == percents(*wanted)


def test_what_it_says_of_vectors_on_faces_is_in_the_results():
    def both(row):
        runs = seeds_of("ttlp-faces", row)
        imputed = statistics.mean(part["accuracy"] for run in runs for part in run["imputation"].values())
        return imputed, statistics.mean(run["conditions"]["mean_accuracy"] for run in runs)

    rows = ("vector", "joint", "weighted-vector", "weighted-vectors", "weighted")
    wanted = [share for row in rows for share in both(row)]
    for share in ("0.3", "0.7"):
        for row in rows[-2:]:
            imputation = numbers_of("ttlp-faces", row, share)["imputation"]
            wanted.append(statistics.mean(part["accuracy"] for part in imputation.values()))
    assert said("On faces one vector") == percents(*wanted)
    runs = [json.loads((RESULTS / f"ttlp-faces/{row}-missing0-seed0.json").read_text()) for row in rows]
    assert [run["config"]["decay"] for run in runs] == [True, False, True, False, False]
    distances = [
        statistics.mean(run["conditions"]["frechet"] for run in seeds_of("ttlp-faces", row)) for row in rows[-2:]
    ]
    (text,) = re.findall(r"On faces one vector.*?\n\n", PAGE, re.DOTALL)
    assert [f"{distance:.1f}" for distance in distances] == re.findall(r"\b\d\d\.\d\b(?! %)", text)


def test_what_it_says_of_categories_is_in_the_results():
    def tests(row, table="cp-vae-mnist"):
        paths = sorted((RESULTS / table).glob(f"{row}-seed?.json"))
        return [json.loads(path.read_text())["test"] for path in paths]

    rows = ("cp-10", "vae", "mg-10", "vp-10", "hvae", "hvp-10")
    bounds = [-statistics.mean(test["elbo"] for test in tests(row)) for row in rows]
    (text,) = re.findall(r"\[cp-vae-mnist.*?\n\n", PAGE, re.DOTALL)
    assert re.findall(r"\b\d\d\.\d\d\b(?! %)", text) == [f"{bound:.2f}" for bound in bounds]
    accuracy = [test["clusters"]["accuracy"] for test in tests("cp-10")]
    assert len(accuracy) == 3
    assert said("[cp-vae-mnist") == percents(statistics.mean(accuracy), max(accuracy))
    for count in (150, 500):
        falls, holds = (tests(f"{row}-{count}", "cp-vae-mnist-many")[0]["elbo"] for row in ("cp", "mg"))
        assert falls < holds
    fifty, mixture, normal = (tests(row, "cp-vae-omniglot")[0]["elbo"] for row in ("cp-50", "mg-50", "vae"))
    assert mixture + 1.8 < fifty < mixture + 2
    assert fifty < normal


def flows(table, objective, prior, seeds="?"):
    """What the draws of the runs of `table dpvae` are worth, in the order of their seeds."""
    paths = (RESULTS / f"dpvae-{table}").glob(f"{objective}-{prior}-seed{seeds}.json")
    return [json.loads(path.read_text())["generation"] for path in sorted(paths)]


def lower(table, objective, *metrics):
    """In how many seeds the flow lowers each metric."""
    pairs = list(zip(flows(table, objective, "flow"), flows(table, objective, "normal"), strict=True))
    return [sum(flow[metric] < normal[metric] for flow, normal in pairs) for metric in metrics]


CLAIM = ("frechet", "frechet_low", "skl")


def test_what_it_says_of_flows_is_in_the_results():
    (text,) = re.findall(r"\[dpvae-mnist.md.*?\n\n", PAGE, re.DOTALL)
    pairs = [(objective, prior) for objective in ("elbo", "beta-tc") for prior in ("normal", "flow")]
    means = [statistics.mean(run["skl"] for run in flows("mnist", *pair)) for pair in pairs]
    assert re.findall(r"\d\.\d+", text) == [f"{mean:.2f}" for mean in means]
    wanted = {"elbo": 3 * [3], "beta-h": [3, 1, 3], "beta-b": 3 * [0], "beta-tc": 3 * [3], "factor": [2, 3, 3]}
    wanted["info"] = [2, 1, 0]
    for objective, counts in wanted.items():
        assert len(flows("mnist", objective, "flow")) == 3
        assert lower("mnist", objective, *CLAIM) == counts
    assert lower("mnist", "elbo", "nll") == lower("mnist", "beta-tc", "nll") == [3]


def test_what_it_says_of_why_flows_fail_is_in_the_results():
    assert lower("mnist-strength-10", "factor", *CLAIM) == lower("mnist-strength-10", "info", *CLAIM) == [1, 1, 1]
    assert lower("mnist-imq", "info", *CLAIM) == [0, 0, 0]
    assert lower("mnist-refitted", "beta-b", *CLAIM) == [1, 1, 0]
    assert lower("mnist-refitted", "beta-h", *CLAIM) == [1, 0, 1]
    (once,), (again,) = (flows(table, "beta-h", "flow", seeds=0) for table in ("mnist", "mnist-refitted"))
    assert again["skl"] < once["skl"]
    assert again["frechet_low"] > once["frechet_low"]
    assert lower("mnist-capacity-5", "beta-b", *CLAIM) == [1, 0, 1]


def test_what_it_says_of_flows_elsewhere_is_in_the_results():
    moons = json.loads((RESULTS / "dpvae-moons.json").read_text())["rows"]
    near = {name: run["low_posterior_distance"] for name, run in moons.items()}
    (text,) = re.findall(r"On \[moons\].*?\n\n", PAGE, re.DOTALL)
    assert re.findall(r"\d\.\d+", text) == [f"{near[name]:.3f}" for name in ("elbo, flow", "elbo, normal")]
    objectives = {name.split(", ")[0] for name in near}
    assert sum(near[f"{objective}, flow"] < near[f"{objective}, normal"] for objective in objectives) == 5
    for objective in objectives:
        gaps = [[run["mig"] for run in flows("shapes", objective, prior)] for prior in ("normal", "flow")]
        assert max(map(max, gaps)) < 0.15
        changes = [flow - normal for normal, flow in zip(*gaps, strict=True)]
        assert len(changes) == (1 if objective == "factor" else 3)
        if objective == "elbo":
            assert min(changes) > 0
        elif objective != "factor":
            assert abs(statistics.mean(changes)) < statistics.stdev(changes) / len(changes) ** 0.5
    assert lower("faces", "elbo", "skl", "nll") == [1, 1]
    assert lower("faces", "factor", "skl", "nll") == [0, 0]


def said_numbers(start):
    """The numbers with digits after the point, of the paragraph that starts so."""
    (text,) = re.findall(rf"{re.escape(start)}.*?\n\n", PAGE, re.DOTALL)
    return re.findall(r"\b\d+\.\d+\b", text)


def test_what_it_says_of_estimators_is_in_the_results():
    rows = {name: json.loads((RESULTS / f"{name}.json").read_text())["rows"] for name in ("estimators", MIXTURE)}
    by = {(name, r["prior"], r["estimator"], r["latents"]): r for name, own in rows.items() for r in own}

    def variance(prior, estimator, latents, name="estimators"):
        return by[name, prior, estimator, latents]["variance"]

    (text,) = re.findall(r"\[estimators.md.*?\n\n", PAGE, re.DOTALL)
    times = [round(variance("trip", "rloo", d) / variance("trip", "pathwise", d)) for d in (16, 128)]
    most = [max(r["variance"] for r in own if r["estimator"] == "measure") for own in rows.values()]
    asked = by["estimators", "trip", "measure", 128]["evaluations"]
    words = " ".join(text.split())
    assert f"has {times[0]} times the variance of pathwise gradients at 16 latents and {times[1]} times at 128" in words
    assert f"at most {most[0]:.2f} and {most[1]:.2f} times the squared gradient" in words
    assert f"an example {asked:,} times under the lattice" in words
    for name in rows:
        assert variance("trip", "pathwise", 128, name) < 3 * variance("trip", "pathwise", 2, name)
        assert variance("trip", "rloo", 128, name) > 10 * variance("trip", "rloo", 2, name)
        for d in (32, 64, 128):
            for prior in ("vector", "vectors"):
                measured = variance(prior, "measure", d, name)
                assert all(measured < variance(prior, other, d, name) for other in ("pathwise", "rloo", "reinforce"))
    overlapping = [variance("vector", "pathwise", d, MIXTURE) for d in (2, 4, 8, 16, 32, 64)]
    assert overlapping == sorted(overlapping)
    assert gan_estimators.said(gan_estimators.groups()).startswith(
        "of 5 comparisons of GANs pathwise wins 1 and loses 0"
    )


def test_what_it_says_of_gans_is_in_the_results():
    def frechet(table, *rows):
        results = [
            [json.loads(path.read_text()) for path in (RESULTS / table).glob(f"{row}-seed?.json")] for row in rows
        ]
        return [f"{statistics.mean(run['frechet'] for run in runs):.1f}" for runs in results]

    rows = ["trip", "trip-fixed", "trip-reinforce", "normal", "gmm", "trip-mixture"]
    wanted = frechet("trip-mnist", *(f"wgan-gp-{row}" for row in rows))
    wanted += frechet("trip-mnist-fast-prior", "wgan-gp-trip")
    wanted += frechet("trip-mnist", *(f"wgan-{row}" for row in ("normal", "trip", "trip-fixed")))
    wanted += frechet("trip-mnist", *(f"vae-{row}" for row in ("normal", "trip", "gmm", "vector", "gmm-full")))
    assert said_numbers("[trip-mnist.md]") == wanted

    wanted = frechet("trip-mnist-equal-starts", *(f"wgan-gp-{row}" for row in ("vector", "normal", "trip", "gmm")))
    wanted += frechet("trip-mnist-equal-starts", "wgan-gp-gmm-full")
    assert said_numbers("[Where all priors start]") == wanted

    def accuracy(row, seeds):
        runs = [json.loads(path.read_text()) for path in (RESULTS / "conditional-gan-mnist").glob(f"{row}-seed?.json")]
        values = [100 * run["conditions"]["mean_accuracy"] for run in runs]
        assert len(values) == seeds
        return [f"{statistics.mean(values):.1f}", f"{min(values):.1f}"]

    wanted = [number for row in ("pathwise", "reinforce") for number in accuracy(row, 3)]
    wanted += [accuracy(row, 1)[0] for row in ("missing", "plain")]
    assert said_numbers("[conditional-gan-mnist.md]") == wanted


def test_what_it_says_of_tricks_is_in_the_results():
    def of(row):
        return json.loads((RESULTS / "gan-tricks" / f"{row}.json").read_text())

    free, tied = of("aae-free"), of("aae-normal")
    wanted = [f"{run['test']['squared_mmd']:.2g}" for run in (free, tied)]
    wanted += [f"{run['frechet']:.1f}" for run in (free, tied, of("vae"))]
    wanted += [f"{100 * of(row)['test']['good']:.1f}" for row in ("plain", "noise", "two-rates")]
    assert said_numbers("[gan-tricks.md]") == wanted


def test_what_it_says_of_points_is_in_the_results():
    def mean(row, key):
        results = [json.loads(path.read_text())["test"] for path in (RESULTS / "gan-points").glob(f"{row}-seed?.json")]
        return statistics.mean(run[key] for run in results)

    def good(row):
        return f"{100 * mean(row, 'good'):.1f}"

    rows = {(law, prior): f"{law}-gan-{prior}" for prior in ("normal", "trip") for law in ("ring", "grid")}
    wanted = [good(row) for row in rows.values()]
    wanted += [f"{mean(rows[law, prior], 'modes'):.1f}" for prior in ("trip", "normal") for law in ("ring", "grid")]
    assert said_numbers("[gan-points.md]") == wanted
    for prior in ("gmm", "trip"):
        assert mean(f"ring-wgan-gp-{prior}", "good") > mean("ring-wgan-gp-normal", "good")
        assert mean(f"grid-wgan-gp-{prior}", "good") < mean("grid-wgan-gp-normal", "good")
        for law in ("grid", "ring"):
            assert mean(f"{law}-wgan-{prior}", "good") < mean(f"{law}-wgan-normal", "good")
