"""The head of a page: its question, the answer in one sentence made of the results, and what would change it."""

import functools
import re
from collections.abc import Callable
from typing import NamedTuple

from models.shared.runs import write_text

TITLES = {"question": "Question", "answer": "Answer", "change": "What would change it"}
NONE_YET = "None yet: the results that it rests on are not there."


class Head(NamedTuple):
    """What stands above a page.

    `answer` is a function of what the page is made of -> one sentence, "" where there is too little of it; figures and
    comparisons in it are computed.
    """

    question: str
    answer: Callable
    change: str

    def on(self, parts, *made_of):
        """The parts of a page, with the head after the first of them, its title; no parts stay none."""
        if not parts:
            return []
        texts = (self.question, self.answer(*made_of) or NONE_YET, self.change)
        return [parts[0], *(f"{mark(key)} {text}" for key, text in zip(TITLES, texts, strict=True)), *parts[1:]]


def mark(key):
    """How a paragraph of a head begins.

    Example:
        >>> mark("change")
        '**What would change it.**'
    """
    return f"**{TITLES[key]}.**"


def headed(question, answer, change):
    """Of `page(values, name)` -> parts: the same with this head, whose answer is a function of the values."""

    def wrapped(page):
        @functools.wraps(page)
        def whole(values, name):
            return Head(question, answer, change).on(page(values, name), values)

        return whole

    return wrapped


INDEX = "README.md"
BEGIN, END = "<!-- pages: made of their heads -->", "<!-- end of pages -->"


def index(folder):
    """The list of all pages in a folder with what their heads ask and answer, between its two marks."""
    items = [
        f"- [{path.stem}]({path.name}): {read['question']} {read['answer']}"
        for path in sorted(folder.glob("*.md"))
        if path.name != INDEX and (read := head_of(path.read_text()))
    ]
    return "\n".join([BEGIN, "", *items, "", END])


def head_of(text):
    """Question and answer of a page, {} of one without.

    Example:
        >>> head_of("# Title\\n\\n**Question.** Why?\\n\\n**Answer.** So.\\n\\n| a |\\n")
        {'question': 'Why?', 'answer': 'So.'}
    """
    matches = {key: re.search(rf"^{re.escape(mark(key))} (.*)$", text, re.M) for key in ("question", "answer")}
    return {key: match[1] for key, match in matches.items() if match} if all(matches.values()) else {}


def indexed(folder):
    """The index page of a folder as it should be; None where there is none, or none with the marks."""
    path = folder / INDEX
    before, begin, rest = (path.read_text() if path.is_file() else "").partition(BEGIN)
    _, end, after = rest.partition(END)
    return f"{before}{index(folder)}{after}" if begin and end else None


def refresh(folder):
    """Make the list of the index page anew."""
    if (text := indexed(folder)) is not None and text != (folder / INDEX).read_text():
        write_text(folder / INDEX, text)
