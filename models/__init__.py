"""Trainable models, one a file: knobs, how they are built, losses and steps, what `evaluate` says of them."""

import ast
import importlib
import pkgutil
from pathlib import Path


def names():
    """The models that there are, as the command line calls them.

    Example:
        >>> names()
        ('aae', 'classifier', 'cp-vae', 'cvae', 'eb-gan', 'gan', 'hierarchical-vae', 'info-gan', 'joint-vae', 'm2',
         'sn-gan', 'vae', 'vae-gan', 'wgan', 'wgan-gp')
    """
    return tuple(sorted(part.name.replace("_", "-") for part in pkgutil.iter_modules(__path__) if not part.ispkg))


def summary(name):
    """What the model does, the first line of its file, which is read without importing it."""
    files = (Path(folder) / f"{name.replace('-', '_')}.py" for folder in __path__)
    text = next(path for path in files if path.is_file()).read_text()
    return ast.get_docstring(ast.parse(text)).partition("\n")[0]


def model_of(name):
    """The class of a model, whose fields are its knobs; those of a prior are not yet among them.

    Raises:
        UserError: no such model.
    """
    if name not in names():
        from pyro_priors.checks import UserError  # here: the list of models is wanted without torch

        raise UserError(f"model: expected one of {', '.join(names())}, got {name!r}")
    return importlib.import_module(f"{__name__}.{name.replace('-', '_')}").Model


def configure(name, /, **values):
    """A model with these values of its knobs and of its prior's, others at their defaults.

    Raises:
        UserError: no such model, prior or knob, a value that is none, or a knob that does not act beside the others.

    Example:
        >>> configure("vae", prior="gmm", components=5).components
        5
        >>> configure("vae", prior="normal", components=5)
        Traceback (most recent call last):
            ...
        pyro_priors.checks.UserError: components: expected a knob of `train vae --prior normal`, got one ...
    """
    from models.shared.knobs import check_known, with_prior

    kind = with_prior(model_of(name), values.pop("prior", None))
    check_known(kind, values)
    return kind(**values)
