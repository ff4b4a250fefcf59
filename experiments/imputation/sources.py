"""All tables of the page, and the masks that each has."""

from typing import NamedTuple

from experiments.imputation import masks, published_tables, shipped_tables
from pyro_priors.data.loading import root_of

SETS = (*published_tables.NAMES, *shipped_tables.NAMES)
PUBLISHED, SHARES, SHIPPED_SHARES, COPIES = "published", (10, 30, 50), (30,), (1, 2, 3)
KINDS = (PUBLISHED, *masks.KINDS)


class Case(NamedTuple):
    """A mask of a table: of what kind, how many per cent, and which of its copies."""

    table: str
    masking: str
    share: int
    copy: int

    @property
    def name(self):
        """Of its results, before the method."""
        return "-".join(map(str, (self.table.lower(), self.masking, self.share, self.copy)))


def cases():
    """All of them."""
    for table in SETS:
        published = table in published_tables.NAMES
        kinds, shares = ((PUBLISHED,), SHARES) if published else (masks.KINDS, SHIPPED_SHARES)
        yield from (Case(table, kind, share, copy) for kind in kinds for share in shares for copy in COPIES)


class Sources:
    """Reads tables, each once.

    Args:
        data_root: the folder above `tables`; None: $PYRO_PRIORS_DATA, else data/.
    """

    def __init__(self, data_root=None):
        self.root, self.tables = root_of(data_root) / "tables", {}

    def table(self, name):
        """A `Table` by its name."""
        if name not in self.tables:
            published = name in published_tables.NAMES
            table = published_tables.read(self.root, name) if published else shipped_tables.read(name)
            self.tables[name] = table._replace(name=name)
        return self.tables[name]

    def mask(self, case):
        """Bool ``(n, C)``, True where a cell is hidden."""
        table = self.table(case.table)
        if case.masking == PUBLISHED:
            return published_tables.hidden(self.root, table, case.share, case.copy)
        return masks.hidden(case.masking, table, case.share, case.copy)
