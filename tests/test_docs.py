"""The site: what can be said of its sources at once, and, slowly, that it builds without a warning."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS))

from ext import api, measured, sources  # noqa: E402


def test_every_room_with_public_names_has_a_page():
    rooms = {f"pyro_priors.{path.parent.name}" for path in (ROOT / "pyro_priors").glob("*/__init__.py")}
    named = {room for room in rooms if hasattr(importlib.import_module(room), "__all__")}
    assert named == set(api.ROOMS)
    listed = re.findall(r"^made/api/(\w+)$", (DOCS / "api.md").read_text(), re.MULTILINE)
    assert [f"pyro_priors.{name}" for name in listed] == list(api.ROOMS)


@pytest.mark.parametrize("module", ["pyro_priors", *api.ROOMS])
def test_every_public_name_is_described_once(module):
    skipped = {"distributions", "modules", "ops"} if module == "pyro_priors" else set()  # rooms, not names
    for name in set(api.public(module)) - skipped:
        thing = getattr(importlib.import_module(module), name)
        room, _, last = api.documented(f"{module}.{name}").rpartition(".")
        assert getattr(importlib.import_module(room), last) is thing


def test_names_in_docstrings_find_what_they_name():
    assert api.documented("TTLP") == api.documented("pyro_priors.TTLP") == "pyro_priors.modules.TTLP"
    assert api.documented("TTLP.reinitialize") == "pyro_priors.modules.TTLP.reinitialize"
    assert api.documented("distributions.TensorRing") == "pyro_priors.distributions.TensorRing"
    assert all(api.documented(text) is None for text in ("(n,)", "TTLP.nothing", "NoSuchName", "x.y"))


SOURCES = [ROOT / "README.md", *sorted(DOCS.glob("*.md")), *sorted((DOCS / "tutorials").glob("*.md"))]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_links_to_files_lead_somewhere(path):
    """On the site Sphinx sees to it; here as the files stand in the repository."""
    links = re.findall(r"\]\(([^)\s#]*)(?:#[^)]*)?\)", path.read_text())
    assert [link for link in links if link and ":" not in link and not (path.parent / link).exists()] == []


def test_what_is_measured_is_shown_and_what_is_shown_is_measured():
    ends = (DOCS / "ext" / "contents.txt").read_text()
    assert set(re.findall(r"\{\{ (\w+) \}\}", ends)) == set(measured.figures())
    with pytest.raises(LookupError, match="got 0 rows"):
        measured.read("trip-elbo", "", ("no such prior",), "-ELBO")
    with pytest.raises(LookupError, match="got 6 rows"):
        measured.read("gan-points", "ring", ("GAN",), "modes")


@pytest.mark.parametrize("page", measured.ORDER)
def test_figures_of_a_page_are_those_of_the_results(page):
    text = (DOCS / f"{page}.md").read_text()
    assert measured.renewed(page, text) == text
    stale = measured.FIGURE.sub("0.5", text)
    assert stale != text
    assert measured.renewed(page, stale) == text
    with pytest.raises(ValueError, match=f"{page}: expected {len(measured.ORDER[page])} figures"):
        measured.renewed(page, f"{text} 0.5")


def test_what_the_theory_says_of_heavy_tails_is_on_the_page():
    page = (measured.RESULTS / "estimators.md").read_text()
    marked = {}
    for part in page.split("\n## ")[1:4]:
        (row,) = re.findall(r"^\| pathwise \| (\d[^|]*bias.*)\|$", part, re.MULTILINE)
        cells = [cell.partition(",")[0].split() for cell in row.split("|")]
        marked[part.partition(":")[0]] = [(float(cell[0]), "~" in cell) for cell in cells]
    assert all(mark for _, mark in marked["Vectors of 8"])
    lattice = marked["Lattice"]
    assert [mark for _, mark in lattice] == [True, *[False] * (len(lattice) - 2), True]
    assert max(variance for variance, _ in lattice) < 1


INCLUDED = {"scaling", "changelog", "contributing", "security", "api"}  # pages of the site alone


@pytest.mark.parametrize("path", [path for path in SOURCES if path.stem not in INCLUDED], ids=lambda path: path.stem)
def test_pages_read_well_where_no_site_is(path):
    """Plain Markdown: nothing that Sphinx alone understands."""
    text = path.read_text()
    assert text.startswith("# ")
    assert not re.search(r"^(```|:::)\{|\{\{ |\{[\w:]+\}`", text, re.MULTILINE)


def test_pages_link_to_no_page_that_only_a_site_has():
    alone = re.compile(rf"\]\((?:\.\./)*(?:docs/)?(?:{'|'.join(sorted(INCLUDED))})\.md")
    assert [path.name for path in SOURCES if alone.search(path.read_text())] == []


def test_names_in_prose_become_links_and_code_stays():
    name, code = "`pyro_priors.TTLP`", "```python\nx = '`pyro_priors.TTLP`'\n```"
    text = f"{name} and `pyro_priors.nothing`\n\n{code}\n\nor {name}"
    linked = f"{{py:obj}}{name} and `pyro_priors.nothing`\n\n{code}\n\nor {{py:obj}}{name}"
    assert sources.named(text) == linked


def test_blocks_of_code_become_cells():
    made = sources.executed("# Title\n\n```python\na\n```\n\n```bash\nb\n```\n\n```text\nc\n```\n")
    assert made.startswith("---\nfile_format: mystnb\n")
    assert made.endswith(
        "```{code-cell} python3\na\n```\n\n```{code-cell} python3\n%%shell\nb\n```\n\n```text\nc\n```\n"
    )
    assert made.index("# Title\n") < made.index("def shell(") < made.index("\na\n")
    assert "def shell(" not in sources.executed("# Title\n\n```python\na\n```\n")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the site: that which `.ci/run` built, or one that is built here."""
    pytest.importorskip("sphinx", reason="pip install -e '.[docs]'")
    built = os.environ.get("PYRO_PRIORS_SITE")
    if built:
        return Path(built)
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", str(DOCS), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr[-5000:]
    return folder


@pytest.mark.slow
def test_every_source_has_its_page(site):
    sources = {path.relative_to(DOCS) for kind in ("md", "rst") for path in DOCS.rglob(f"*.{kind}")}
    missing = {path for path in sources if not (site / path.with_suffix(".html")).exists()}
    assert sources
    assert not missing


@pytest.mark.slow
@pytest.mark.parametrize("module", api.ROOMS)
def test_every_public_name_can_be_linked_to(site, module):
    page = (site / "made" / "api" / f"{module.rpartition('.')[2]}.html").read_text()
    anchors = set(re.findall(r'id="(pyro_priors[\w.]+)"', page))
    mine = {api.documented(f"{module}.{name}") for name in api.public(module)}
    assert {name for name in mine if name.startswith(f"{module}.")} <= anchors


@pytest.mark.slow
def test_pages_load_nothing_from_elsewhere(site):
    for page in site.rglob("*.html"):
        loaded = re.findall(r'<(?:script|img|link)[^>]*(?:src|href)="(https?:[^"]+)"', page.read_text())
        assert not loaded, page
