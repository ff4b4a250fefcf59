"""The picture of how columns hang together."""

import numpy as np
import torch

from pyro_priors.metrics import dependence_figure
from pyro_priors.modules.dependence import Dependence


def test_the_picture_shows_the_chain():
    """Rows, columns and bars stand in the order of the chain; the names are the user's to the letter."""
    names = ("$a$", "_b", "z[0]", "a name of very many letters")
    information = torch.rand(4, 4, generator=torch.Generator().manual_seed(0)).double()
    information = (information + information.T).fill_diagonal_(0)
    order = (2, 0, 3, 1)
    figure = dependence_figure(Dependence(names, information, order))
    upper, lower, _ = figure.axes
    shown = np.asarray(upper.images[0].get_array())
    for i, j in ((0, 1), (3, 0), (2, 1)):
        assert shown[i, j] == float(information[order[i], order[j]])
    assert np.isnan(np.diag(shown.astype(float))).all()
    bars = [bar.get_height() for bar in lower.patches]
    np.testing.assert_allclose(bars, [float(information[a, b]) for a, b in ((2, 0), (0, 3), (3, 1))])
    labels = [label.get_text() for label in upper.get_yticklabels()]
    assert labels == ["z[0]", "$a$", "a name of very many let…", "_b"]
    assert [label.get_text() for label in lower.get_xticklabels()] == labels
    assert not any(label.get_parse_math() for label in (*upper.get_yticklabels(), *lower.get_xticklabels()))
    figure.canvas.draw()


def test_a_picture_of_nothing_and_of_many():
    for count, named in ((1, 1), (60, 60), (61, 31)):
        names = tuple(f"v{k}" for k in range(count))
        figure = dependence_figure(Dependence(names, torch.zeros(count, count), tuple(range(count))))
        assert len(figure.axes[0].get_yticks()) == named
        figure.canvas.draw()
