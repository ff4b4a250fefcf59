"""How a run is read by `table prior-anatomy`."""

import dataclasses

from experiments.anatomy.figures import figures, milliseconds
from experiments.anatomy.information import neighbour_information
from experiments.tables.reading import Judged
from experiments.trainings import check_numbers
from models.shared import runs


class Anatomy(Judged):
    """With the figures of its prior as it was trained, and after each of its parts was taken away."""

    def __init__(self, plan, config):
        super().__init__(plan, dataclasses.replace(config, binarize="none"))  # the judge sees images as they are
        check_numbers(plan.counts)

    def beside(self):
        return super().beside() | self.plan.counts

    def read(self, train, end):
        run, model = runs.trained(end)
        images = run.config.load_data()
        anatomy = figures(model, run.config, images, self.judge, self.data.test, self.real)
        return {
            **runs.read_json(run.folder / "summary.json"),
            "anatomy": anatomy,
            "information": neighbour_information(model.prior),
            "milliseconds": milliseconds(model, run.config, images, self.plan.counts["turns"]),
        }
