"""Which classifier judged which row: figures of different judges are not to be compared."""

import string

SEVERAL = (
    "Rows were read by different judges: condition accuracies and Frechet distances may be compared where the letters "
    "in the column `judge` are the same, no further."
)


def judges_of(result):
    """The judges of a result, `{weights: what its result says of it}`."""
    said = [result.get("beside", {}).get("judge"), result.get("test", {}).get("conditions", {}).get("judge")]
    return {judge["weights"]: judge for judge in said if judge and "weights" in judge}


class Judges:
    """The judges of all rows of a table, by letters in the order of the rows and their seeds."""

    def __init__(self, rows):
        own = [judges_of(result) for row in rows for result in row.results]
        self.all = {weights: judge for judges in own for weights, judge in judges.items()}
        self.letters = dict(zip(self.all, string.ascii_uppercase, strict=False))
        self.mixed = len({frozenset(self.letters_of(row)) for row in rows} - {frozenset()}) > 1

    def lines(self):
        """What each letter stands for, beneath a warning where rows have different ones."""
        items = [
            f"- Judge {self.letters[weights]}: {judge.get('extractor', 'a classifier')}, weights {weights}, right on "
            f"{right(judge)} of the labels of the test set."
            for weights, judge in self.all.items()
        ]
        return [*([SEVERAL, ""] if self.mixed else []), *items]

    def letters_of(self, row):
        """Of its judges, `{letter: judge}`."""
        own = {weights: judge for result in row.results for weights, judge in judges_of(result).items()}
        return {self.letters[weights]: judge for weights, judge in own.items()}

    @property
    def columns(self):
        """A column for `pages.table`: who judged a row, and what that judge is right on; none where nobody judged."""
        return {"judge, itself right on": self.of} if self.all else {}

    def of(self, row):
        """Letters of a row's judges, each with the share of the test part that it is right on itself."""
        return ", ".join(f"{letter} {right(judge)}" for letter, judge in self.letters_of(row).items())


def right(judge):
    """
    Example:
        >>> right({"accuracy": 0.98765}), right({"accuracy": None})
        ('98.77%', 'an unknown share')
    """
    return "an unknown share" if judge["accuracy"] is None else f"{judge['accuracy']:.2%}"
