"""How the site is built: `sphinx-build -W --keep-going docs SITE`, offline, from an environment with `[docs]`."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # ext
sys.path.insert(0, str(HERE.parent))  # experiments, whose results the pages show

from ext import api, measured, papers  # noqa: E402

import pyro_priors  # noqa: E402

project = "pyro_priors"
author = copyright = "the pyro_priors developers"
version = release = pyro_priors.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]
extensions += ["sphinx.ext.viewcode", "ext.mathml", "ext.roles", "ext.sources"]
exclude_patterns = ["ext"]
html_theme = "furo"
html_title = "pyro_priors"
html_show_sphinx = False
html_math_renderer = "mathml"

# Pages that are made of others' sources, before Sphinx looks for what to read.
api.write(HERE / "made" / "api")
papers.copy(HERE / "made" / "papers")

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath", "substitution"]
myst_heading_anchors = 3
myst_substitutions = measured.figures()

# Pyro imports tqdm's bars for notebooks, which warn in a kernel without ipywidgets; no page shows a bar.
os.environ["PYTHONWARNINGS"] = "ignore:IProgress not found"

nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 900  # a cell, on machines that do much else
nb_output_stderr = "error"  # a tutorial that warns fails the build, unless the page says what it expects
nb_merge_streams = True

autodoc_default_options = {"members": True, "show-inheritance": True, "member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_inherit_docstrings = False
autodoc_preserve_defaults = True
autosummary_generate = False
napoleon_numpy_docstring = False
napoleon_custom_sections = ["Shapes"]

nitpicky = True
