"""A plain Markdown tutorial, whose blocks tests run too, becomes a notebook: its blocks of code are executed."""

import re

PLAIN = {"tables"}
HEADER = """---
file_format: mystnb
kernelspec:
  name: python3
mystnb:
  output_stderr: remove
---
"""


def executed(text):
    """Blocks of Python and of the shell as cells; blocks of any other language stay as they are."""
    text = re.sub(r"^```python\n", "```{code-cell} python3\n", text, flags=re.MULTILINE)
    return HEADER + re.sub(r"^```bash\n", "```{code-cell} python3\n%%bash\n", text, flags=re.MULTILINE)


def read(app, name, content):
    if name in PLAIN:
        content[0] = executed(content[0])


def setup(app):
    app.connect("source-read", read)
    return {"parallel_read_safe": True}
