"""Pages that are read on their own too: their links lead to files of the repository, here to pages of the site.

A plain Markdown tutorial, whose blocks tests run too, becomes a notebook: its blocks of code are executed.
"""

import re

PLAIN = {"tables"}
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
    rest = re.sub(r"^```python\n", "```{code-cell} python3\n", rest, flags=re.MULTILINE)
    rest = re.sub(r"^```bash\n", "```{code-cell} python3\n%%shell\n", rest, flags=re.MULTILINE)
    return f"{HEADER}{title}\n\n{SHELL}{rest}"


def linked(text, depth):
    """Links to results and to documents of the root, as links to the pages that show them."""
    up = "../" * depth
    text = re.sub(r"\]\((?:\.\./)+experiments/results/", f"]({up}made/papers/", text)
    return re.sub(r"\]\((?:\.\./)+([A-Z]+)\.md", lambda found: f"]({up}{found[1].lower()}.md", text)


def read(app, name, content):
    if not name.startswith("made/"):
        content[0] = linked(content[0], name.count("/"))
    if name in PLAIN:
        content[0] = executed(content[0])


def setup(app):
    app.connect("source-read", read)
    return {"parallel_read_safe": True}
