"""How a result is read: what `train` says of its run, and what it is compared with."""

import functools
import re

from experiments import generation
from experiments.tables import results
from experiments.trainings import check_numbers
from inference import judges
from models.shared import run_data, runs
from pyro_priors.checks import UserError


class Summary:
    """What stands in the `summary.json` of a run.

    Args:
        plan: `runner.Plan`, of which are `folder` of the results, `classifier`, a run folder or None, and `counts`.
        config: of one of the trainings.
    """

    needs_judge = False  # whether it reads nothing without a classifier
    takes_judge = False

    def __init__(self, plan, config):
        self.plan, self.config = plan, config

    def beside(self):
        """What else decides a result, as JSON values."""
        return {}

    def make(self, train, needed):
        """Train -> the run folder; `needed` are those of the trainings that it needs."""
        return results.train(train)

    def read(self, train, end):
        """The result of a training, from what `make` made of it."""
        return runs.read_json(end / "summary.json")


class Tight(Summary):
    """With bounds by many draws on the first images of the test part, which are too dear on all."""

    draws, images = 5000, 1000

    def read(self, train, end):
        run, model = runs.trained(end)
        part = run_data.of(run, train.data_root).test.part(range(self.images))
        return {**super().read(train, end), "tight": run.config.bounds(model, part, train.seed, self.draws)}


class Judged(Summary):
    """With a classifier that the user names. Without one, results that are there are of the judge that they name."""

    needs_judge = takes_judge = True

    @functools.cached_property
    def data(self):
        """The data that all are trained on."""
        return self.config.load_data()

    @functools.cached_property
    def judge(self):
        """`judges.Judge`, None where there is none."""
        return None if self.plan.classifier is None else self.judge_of(self.plan.classifier, self.run)

    @property
    def run(self):
        """What stands for those whose images are judged."""
        return runs.Run(self.plan.folder, self.config, *self.described)

    judge_of = staticmethod(lambda folder, run: judges.extractor(folder, run))

    @property
    def described(self):
        return self.data.image_shape, ()

    @functools.cached_property
    def real(self):
        """Its features of the test part."""
        return self.judge and judges.features(self.judge, self.data.test)

    def beside(self):
        return {"judge": self.judge.identity if self.judge else self.plan.said("judge")}


class Likeness(Judged):
    """With the Frechet distance of generated from test images, in the features of a classifier, where there is one."""

    def beside(self):
        return super().beside() | {"count": len(self.data.test) if self.judge else self.plan.said("count")}

    def read(self, train, end):
        if self.judge is None:
            return super().read(train, end)
        run, model = runs.trained(end)
        likeness = judges.likeness(model, self.judge, self.data.test, train.seed, self.real)
        return {**runs.read_json(run.folder / "summary.json"), "frechet": likeness["frechet"]}


class Twice(Likeness):
    """The same, with the distance in the features of EfficientNet-Lite0 beside it."""

    @functools.cached_property
    def second(self):
        """`judges.Judge`"""
        return judges.efficientnet(self.run)

    @functools.cached_property
    def really(self):
        """Its features of the test part."""
        return judges.features(self.second, self.data.test)

    def beside(self):
        return super().beside() | {"second": self.second.identity if self.judge else self.plan.said("second")}

    def read(self, train, end):
        _, model = runs.trained(end)
        likeness = judges.likeness(model, self.second, self.data.test, train.seed, self.really)
        return {**super().read(train, end), "frechet_second": likeness["frechet"]}


class Grey(Likeness):
    """The same of VAEs of pixels of 0 and 1: the probabilities that they draw, beside the test images as they are."""

    def __init__(self, plan, config):
        grey = plan.table.config("vae", prior="normal", network="mlp", binarize="none", **plan.where)
        super().__init__(plan, grey)  # what the judge sees


class Conditions(Judged):
    """With what a classifier sees in images generated given labels; a training that diverged is a result too."""

    judge_of = staticmethod(lambda folder, run: judges.read(folder, run))

    @property
    def described(self):
        return self.data.image_shape, self.data.attributes

    def make(self, train, needed):
        return run_or_divergence(train)

    def read(self, train, end):
        if isinstance(end, str):
            return {"diverged": end, "provenance": runs.provenance()}
        run, model = runs.trained(end)
        conditions = judges.conditions(model, self.judge, self.data.test, train.seed)
        return {**runs.read_json(run.folder / "summary.json"), "conditions": conditions}


def run_or_divergence(train):
    """The run folder of a training, or what it said of a number that was not finite."""
    try:
        return results.train(train)
    except UserError as error:
        if not re.search(r"ended with status 2;.*expected (a )?finite", str(error), re.DOTALL):
            raise
        return str(error)


class Generation(Judged):
    """With what the draws of the prior are worth; with a classifier also by its features."""

    needs_judge = False

    def __init__(self, plan, config):
        super().__init__(plan, config)
        check_numbers(plan.counts)
        generation.check_draws(plan.counts["samples"], plan.counts["lowest"])

    def beside(self):
        return {**self.plan.counts, **super().beside()}

    def read(self, train, end):
        run, model = runs.trained(end)
        drawn = generation.results(model, self.data, train.seed, self.judge, self.real, **self.plan.counts)
        return {**runs.read_json(run.folder / "summary.json"), "generation": drawn}


class Evaluated(Summary):
    """With what `evaluate` says by the classifier that the cell needs, as a process beside the training."""

    def make(self, train, needed):
        run = results.train(train)
        judge = ["--classifier", str(needed["judge"]), "--seed", str(train.seed)]
        results.run(["evaluate", str(run), *judge], train.runs_dir / f"{train.name}-evaluate.log", train.name)
        return run

    def read(self, train, end):
        evaluation = runs.read_json(end / "evaluation-test.json")
        command = ["python", "-m", "experiments", "evaluate", "RUN", "--classifier", "RUN", "--seed", str(train.seed)]
        evaluated = {**evaluation["provenance"], "command": command}
        return {**runs.read_json(end / "summary.json"), "test": evaluation["test"], "evaluated": evaluated}
