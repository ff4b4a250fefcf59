"""What names in docstrings and annotations link to; a name of nothing is an error of the build."""

import importlib
import sys

import matplotlib.figure  # a name in annotations, which the library imports only where it draws
from docutils import nodes
from sphinx import addnodes

from ext import api


def named(role, rawtext, text, lineno, inliner, options=None, content=None):
    """Between single backticks: a link where it names something public, code where not."""
    code = nodes.literal(rawtext, text)
    target = api.documented(text)
    if target is None:
        return [code], []
    options = {"refdomain": "py", "reftype": "obj", "reftarget": target, "refexplicit": True, "refwarn": True}
    return [addnodes.pending_xref(rawtext, code, **options)], []


def exists(name):
    """Whether a dotted name can be imported, or a plain one is that of a class which the library uses."""
    if "." not in name:
        rooms = [module for key, module in sys.modules.items() if key.startswith("pyro")]
        return any(hasattr(room, name) for room in (matplotlib.figure, *rooms))
    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        try:
            thing = importlib.import_module(".".join(parts[:cut]))
        except ImportError:
            continue
        for part in parts[cut:]:
            if not hasattr(thing, part):
                return False
            thing = getattr(thing, part)
        return True
    return False


def elsewhere(app, env, node, contnode):
    """A name that no page describes: plain text if it exists, in torch or inside the library, or is a sentence."""
    if node.get("refdomain") != "py" or node.get("refexplicit"):
        return None
    target = node["reftarget"]
    return contnode if not target.replace(".", "").isidentifier() or exists(target) else None


def left_out(app, what, name, obj, skip, options):
    """Fields of named tuples say nothing but their number; scikit-learn's requests are scikit-learn's to describe."""
    tells_nothing = (getattr(obj, "__doc__", None) or "").startswith("Alias for field number")
    last = name.rpartition(".")[2]
    return True if tells_nothing or (last.startswith("set_") and last.endswith("_request")) else None


def setup(app):
    app.add_role("named", named)
    app.config.default_role = "named"
    app.connect("missing-reference", elsewhere)
    app.connect("autodoc-skip-member", left_out)
    return {"parallel_read_safe": True}
