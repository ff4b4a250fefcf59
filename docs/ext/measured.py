"""Figures that pages show, read from the results: `{{ name }}` in a page."""


def figures():
    """`{name: text}`."""
    return {}
