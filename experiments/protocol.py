"""What the rows of a page were given, as a list: where rows differ, it says so."""

PROTOCOL = "Protocol, read from the results:\n"


def item(title, texts, names="; ".join):
    """One thing that rows were given, pairs of row and text; rows that have no such thing are not in it.

    Args:
        title: of the thing.
        texts: the pairs.
        names: function of some of the rows -> their names; the most frequent text needs none.

    Example:
        >>> print(item("Seeds", [("a", "3"), ("b", "3"), ("c", "1")]))
        - Seeds, **not the same**:
          - 1: c
          - 3: all others
        >>> item("Seeds", [("a", "3"), ("b", "3")])
        '- Seeds, the same for all: 3.'
    """
    groups = {}
    for row, text in texts:
        groups.setdefault(text, []).append(row)
    if len(groups) < 2:
        return "".join(f"- {title}, the same for all: {text}." for text in groups)
    *fewer, most = sorted(groups, key=lambda text: len(groups[text]))
    lines = [f"  - {text}: {names(groups[text])}" for text in fewer]
    rest = "all others" if len(groups[most]) > 1 else names(groups[most])
    return "\n".join([f"- {title}, **not the same**:", *lines, f"  - {most}: {rest}"])
