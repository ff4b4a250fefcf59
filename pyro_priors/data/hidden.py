"""Names of files that are no data: hidden ones, and what systems leave in folders."""

# Beside the names that begin with a dot; in lower case.
SYSTEM = {"__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found"}
SYSTEM |= {"thumbs.db", "ehthumbs.db", "desktop.ini"}


def is_hidden(name: str) -> bool:
    """Whether a part of a path is a hidden or a system's name.

    Example:
        >>> [is_hidden(name) for name in ("a/b.png", ".ipynb_checkpoints/b.png", "a/._b.png", "__MACOSX/a/b.png")]
        [False, True, True, True]
    """
    parts = [part for part in name.replace("\\", "/").split("/") if part not in (".", "..")]
    return any(part.startswith(".") or part.lower() in SYSTEM for part in parts)
