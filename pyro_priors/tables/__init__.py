"""Tables with gaps: an estimator that fills them, and says how sure it is."""

from pyro_priors.tables.describing import Description
from pyro_priors.tables.imputer import Interval, Outliers, TableImputer
from pyro_priors.tables.pooling import Pooled, pool

__all__ = ["Description", "Interval", "Outliers", "Pooled", "TableImputer", "pool"]
