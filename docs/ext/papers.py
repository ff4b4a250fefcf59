"""The pages of the papers' experiments, as the commands wrote them, beside the pictures that they show."""

import re
from pathlib import Path

RESULTS = Path(__file__).parents[2] / "experiments" / "results"
CONTENTS = "\n```{toctree}\n:hidden:\n:glob:\n*\n```\n"


def copy(folder: Path):
    """Copies every page of the results and the files that pages link to; the first page lists the others."""
    linked = {page.name for page in RESULTS.glob("*.md")}
    for page in RESULTS.glob("*.md"):
        linked |= {target for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()) if "." in target}
    for name in sorted(linked):
        content = (RESULTS / name).read_bytes()
        if name == "README.md":
            content += CONTENTS.encode()
        there = folder / name
        if not there.exists() or there.read_bytes() != content:  # a second build reads only what is new
            there.parent.mkdir(parents=True, exist_ok=True)
            there.write_bytes(content)
    for stale in {path for path in folder.rglob("*") if path.is_file()} - {folder / name for name in linked}:
        stale.unlink()
