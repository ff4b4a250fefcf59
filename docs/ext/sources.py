"""Pages are read on their own too: plain Markdown, whose links lead to files of the repository.

Here links lead to pages of the site, names of the library to what describes them, and the blocks of code of tutorials
are executed. What only a site has, its table of contents, is added.
"""

import re
from pathlib import Path

from ext import api

EXECUTED = {"tables", "scaling", "theory"}  # and all tutorials
ENDS = {"index": Path(__file__).parent / "contents.txt"}
WHOLE = {"scaling": Path(__file__).parents[2] / "SCALING.md"}  # pages that are documents of the root
HEADER = """---
file_format: mystnb
kernelspec:
  name: python3
---
"""
# IPython's own magic of the shell breaks long outputs in the middle of a line.
SHELL = """```{code-cell} python3
:tags: [remove-cell]
import subprocess
from IPython.core.magic import register_cell_magic

@register_cell_magic
def shell(line, cell):
    done = subprocess.run(["bash", "-e", "-c", cell], capture_output=True, text=True)
    print(done.stdout, end="")
    assert done.returncode == 0, done.stderr
```
"""


def executed(text):
    """Blocks of Python and of the shell as cells; blocks of any other language stay as they are."""
    title, _, rest = text.partition("\n")
    shell = SHELL if "\n```bash\n" in rest else ""
    rest = re.sub(r"^```python\n", "```{code-cell} python3\n", rest, flags=re.MULTILINE)
    rest = re.sub(r"^```bash\n", "```{code-cell} python3\n%%shell\n", rest, flags=re.MULTILINE)
    return f"{HEADER}{title}\n\n{shell}{rest}"


def linked(text, depth):
    """Links to results and to documents of the root, as links to the pages that show them."""
    up = "../" * depth
    text = re.sub(r"\]\((?:\.\./)+experiments/results/", f"]({up}made/papers/", text)
    return re.sub(r"\]\((?:\.\./)+([A-Z]+)\.md", lambda found: f"]({up}{found[1].lower()}.md", text)


def named(text):
    """Names of the library in prose, `pyro_priors.room.name`, as links to what describes them."""

    def link(found):
        return f"{{py:obj}}{found[0]}" if api.documented(found[1]) else found[0]

    parts = re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL)  # every other part is a block of code
    parts[::2] = [re.sub(r"(?<![`\[}])`(pyro_priors\.[\w.]+)`(?!`)", link, part) for part in parts[::2]]
    return "".join(parts)


def read(app, name, content):
    if name in WHOLE:
        app.env.note_dependency(str(WHOLE[name]))
        content[0] = WHOLE[name].read_text()
    if name in ENDS:
        app.env.note_dependency(str(ENDS[name]))
        content[0] += ENDS[name].read_text()
    if not name.startswith("made/"):
        content[0] = named(linked(content[0], name.count("/")))
    if name in EXECUTED or name.startswith("tutorials/"):
        content[0] = executed(content[0])


def setup(app):
    app.connect("source-read", read)
    return {"parallel_read_safe": True}
