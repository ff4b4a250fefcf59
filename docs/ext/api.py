"""Pages of the API, one a room of the library, made of its public names."""

import importlib
import inspect
import pkgutil
from pathlib import Path

# Module -> the title of its page and what is in it. Every public name of each is on the page.
ROOMS = {
    "pyro_priors.modules": ("Priors", "Modules that own parameters; calling one returns a fresh distribution."),
    "pyro_priors.distributions": ("Distributions", "Laws as cheap immutable functions of tensors."),
    "pyro_priors.ops": ("Contractions", "Pure functions of tensors, under the distributions."),
    "pyro_priors.networks": ("Networks", "Encoders, decoders, generators, critics; a network to compare images by."),
    "pyro_priors.programs": ("Programs", "Pairs of `model` and `guide`; they take a prior."),
    "pyro_priors.objectives": ("Objectives", "Bounds, regularisers, adversarial losses, gradient estimators."),
    "pyro_priors.training": ("Training", "The loop, its callbacks, schedules, checkpoints, saved programs."),
    "pyro_priors.queries": ("Queries", "Questions to a trained program."),
    "pyro_priors.metrics": ("Metrics", "What a trained program is worth."),
    "pyro_priors.tables": ("Tables", "The estimator that fills gaps."),
    "pyro_priors.explore": ("Explorer", "A page in the browser over any law with named variables."),
}
# Modules without public names of their own that users import from.
OTHERS = {
    "pyro_priors.modules.prior": ("What a prior is", ["Prior"]),
    "pyro_priors.modules.plugins": ("Priors of other packages", ["PriorKnobs", "Setting", "knob"]),
    "pyro_priors.modules.dependence": ("Dependence of columns", ["Dependence", "measure_dependence"]),
}


def public(module):
    """Public names of a module, in its order."""
    return list(importlib.import_module(module).__all__)


def _names():
    """`{what a public object may be called: its full name on a page}`."""
    of_object, of_name = {}, {}
    for module, names in [*((room, public(room)) for room in ROOMS), *((key, few) for key, (_, few) in OTHERS.items())]:
        for name in names:
            full = of_object.setdefault(id(getattr(importlib.import_module(module), name)), f"{module}.{name}")
            for called in (name, f"pyro_priors.{name}", f"{module}.{name}", f"{module}.{name}"[len("pyro_priors.") :]):
                of_name.setdefault(called, full)
    return of_name


NAMES = _names()


def documented(text):
    """The full name of the public object, or of its own method, that a text names; None where it names none."""
    if text in NAMES:
        return NAMES[text]
    owner, _, member = text.rpartition(".")
    if owner not in NAMES:
        return None
    module, _, name = NAMES[owner].rpartition(".")
    own = vars(getattr(importlib.import_module(module), name)).get(member)
    return f"{NAMES[owner]}.{member}" if callable(own) and own.__doc__ else None


def page(module):
    """The page of a room, in reStructuredText."""
    title, sentence = ROOMS[module]
    names = [name for name in public(module) if NAMES[f"{module}.{name}"] == f"{module}.{name}"]
    things = {name: getattr(importlib.import_module(module), name) for name in names}
    code = [name for name, thing in things.items() if inspect.isclass(thing) or inspect.isroutine(thing)]
    lines = [title, "=" * len(title), "", sentence, "", f".. py:module:: {module}", "", ".. autosummary::", ""]
    lines += [f"   {name}" for name in code]
    for name in names:
        if name in code:
            lines += _described(f"{module}.{name}")
        else:
            lines += ["", f".. py:data:: {name}", "", f"   {_said_of(module, name)}"]  # within the module
    for other, (heading, members) in OTHERS.items():
        if other.startswith(f"{module}."):
            lines += ["", heading, "-" * len(heading)]
            lines += [line for name in members for line in _described(f"{other}.{name}")]
    return "\n".join([*lines, ""])


def _described(full):
    """The directive that describes a class or a function."""
    module, _, name = full.rpartition(".")
    kind = "class" if inspect.isclass(getattr(importlib.import_module(module), name)) else "function"
    return ["", f".. auto{kind}:: {full}"]


def _said_of(module, name):
    """The comment `#:` beside a constant, in whichever module of a room defines it."""
    from sphinx.pycode import ModuleAnalyzer  # here, since tests read names where no Sphinx is

    room = importlib.import_module(module)
    for found in pkgutil.iter_modules(room.__path__, f"{module}."):
        said = ModuleAnalyzer.for_module(found.name).find_attr_docs().get(("", name))
        if said:
            return " ".join(said).strip()
    raise ValueError(f"{module}.{name}: expected a comment '#:' beside it, found none")


def write(folder: Path):
    """All pages; those that are as before stay untouched, so that a second build reads only what is new."""
    folder.mkdir(parents=True, exist_ok=True)
    for module in ROOMS:
        path, text = folder / f"{module.rpartition('.')[2]}.rst", page(module)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
