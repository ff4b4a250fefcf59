"""A page in the browser over any law with named variables: `serve`, `pyro-priors explore`; in Python `ask`.

The packages that serve it belong to the extra `explore` and are imported when it is served.
"""

from pyro_priors.explore.serving import Served, serve
from pyro_priors.explore.subjects import ask, open_subject

__all__ = ["Served", "ask", "open_subject", "serve"]
