"""The page in a browser: Debian's Chromium without a window, through playwright; passed over where one is missing."""

import json
import shutil
import urllib.parse
from pathlib import Path

import explored
import pytest

from pyro_priors.explore import Served, ask
from pyro_priors.explore.subjects import subject_of

pytest.importorskip("starlette", reason="the extra `explore` is not installed")
playwright = pytest.importorskip("playwright.sync_api", reason="no playwright (pip install playwright)")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium (apt-get install -y chromium)"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # playwright's own pipes
]

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
AXE = Path(__file__).parent / "axe" / "axe.min.js"
SLOW = 60_000  # milliseconds that a busy machine may take
DIGIT = "#variables section:has(h3:text-is('digit'))"


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def served():
    with Served(subject_of(explored.law(), "A small law", {"size": ["small", "medium", "large"]})) as law:
        yield law


@pytest.fixture(scope="module")
def table():
    with Served(subject_of(explored.imputer(), "People")) as people:
        yield people


@pytest.fixture(scope="module")
def images():
    with Served(subject_of(explored.program(), "Digits")) as digits:
        yield digits


@pytest.fixture
def visit(browser):
    """Open an address -> the page, once it is ready; what it says on its console must be nothing."""
    opened = []

    def go(address, given=None, **how):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **how})
        context.set_default_timeout(SLOW)
        page = context.new_page()
        said = []
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        opened.append((context, said))
        page.goto(address + ("#" + urllib.parse.urlencode({"given": json.dumps(given)}) if given else ""))
        page.wait_for_selector("body[data-ready=yes]")
        page.wait_for_selector("#information:not([aria-busy])")
        return page

    yield go
    for context, said in opened:
        context.close()
        assert not [line for line in said if "Failed to load resource" not in line]  # refusals are wanted


def percents(page, name):
    """The figures of a category's bars."""
    values = page.locator(f"#variables section:has(h3:text-is('{name}')) .value").all_inner_texts()
    return [float(text.split()[0]) for text in values]


def answered(page, words):
    """Wait until the page says what its answers are given."""
    page.locator("#status", has_text=words).wait_for(state="attached")


def shown(given, name):
    return [100 * p for p in ask(explored.law(), given)["variables"][name]["probs"]]


def test_bars_follow_what_is_set(visit, served):
    page = visit(served.address)
    assert percents(page, "size") == pytest.approx(shown({}, "size"), abs=0.051)
    page.locator(f"{DIGIT} select").select_option("3")
    answered(page, "digit = 3")
    assert percents(page, "size") == pytest.approx(shown({"digit": 3}, "size"), abs=0.051)
    page.locator("li.bar", has_text="medium").click()
    answered(page, "size = medium")
    assert percents(page, "digit")[3] == 100
    age = page.locator("#variables section:has(h3:text-is('age'))")
    age.locator("select").select_option("range")
    age.get_by_label("age: from").fill("-0.5")
    age.get_by_label("age: to").fill("0.8")
    age.get_by_label("age: to").press("Enter")
    answered(page, "age -0.5 to 0.8")
    page.get_by_role("button", name="Leave digit open").click()
    page.locator("#chips li").nth(2).wait_for(state="detached")
    answered(page, "given size = medium, age")
    expected = shown({"size": 1, "age": (-0.5, 0.8)}, "digit")
    assert percents(page, "digit") == pytest.approx(expected, abs=0.051)
    page.get_by_role("button", name="Clear all").click()
    answered(page, "with nothing given")
    assert percents(page, "size") == pytest.approx(shown({}, "size"), abs=0.051)


def test_a_link_shows_the_same(visit, served):
    page = visit(served.address)
    page.locator(f"{DIGIT} select").select_option("4")
    answered(page, "digit = 4")
    other = visit(page.url)
    answered(other, "digit = 4")
    assert percents(other, "size") == percents(page, "size")
    assert other.locator("#python").inner_text() == page.locator("#python").inner_text()
    page.go_back()
    answered(page, "with nothing given")


def test_the_keyboard_alone_does(visit, served):
    page = visit(served.address)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the variables"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "digit: open or set"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    answered(page, "digit = 1")
    assert percents(page, "size") == pytest.approx(shown({"digit": 1}, "size"), abs=0.051)
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "digit: open or set"


def test_a_mistake_is_said(visit, served):
    page = visit(served.address)
    age = page.locator("#variables section:has(h3:text-is('age'))")
    age.locator("select").select_option("is")
    age.get_by_label("age: value").fill("old")
    age.get_by_label("age: value").press("Enter")
    page.get_by_role("alert").wait_for()
    assert page.get_by_role("alert").inner_text() == "age: expected a finite number, got 'old'"


def test_a_csv_row_is_dropped_in(visit, table):
    page = visit(table.address)
    content = b"height,weight,sport,born\n181.5,,,1991-02-03\n160,55.5,,\n"
    page.locator("input[type=file]").set_input_files({"name": "two.csv", "mimeType": "text/csv", "buffer": content})
    answered(page, "height = 181.5")
    expected = ask(explored.imputer(), {"height": 181.5, "born": "1991-02-03"})["variables"]["sport"]["probs"]
    assert percents(page, "sport") == pytest.approx([100 * p for p in expected], abs=0.051)
    page.get_by_label("Row").select_option("1")
    answered(page, "height = 160")


def test_an_image_is_sent(visit, images):
    page = visit(images.address)
    page.locator(".grid img").nth(15).wait_for()
    assert page.locator(".grid img").count() == 16
    first = page.locator(".grid img").first.get_attribute("src")
    page.get_by_role("button", name="Draw others").click()
    page.locator(f'.grid img[src="{first}"]').wait_for(state="detached")
    page.locator("input[type=file]").set_input_files(
        {"name": "eight.png", "mimeType": "image/png", "buffer": explored.picture()}
    )
    page.locator(".seen figure").nth(2).wait_for()
    assert "±" in page.locator("table", has_text="slant").first.inner_text()
    assert "Not exact: means over 64 draws" in page.locator("main").inner_text()
    again = visit(page.url)
    again.locator(".seen figure").nth(2).wait_for()
    assert again.locator(".seen img").nth(2).get_attribute("src") == page.locator(".seen img").nth(2).get_attribute(
        "src"
    )


@pytest.mark.parametrize("width", [360, 750, 1000, 1190])
def test_bars_have_room(visit, served, width):
    page = visit(served.address, viewport={"width": width, "height": 900})
    boxes = [track.bounding_box() for track in page.locator("#variables .bar .track").all()]
    assert len(boxes) == 5 + 3
    assert min(box["width"] for box in boxes) >= 40


@pytest.mark.parametrize("width", [360, 800])
def test_a_narrow_screen_needs_no_scrolling_sideways(visit, served, width):
    page = visit(
        served.address, {"digit": 3, "age": {"low": -0.5, "high": 0.8}}, viewport={"width": width, "height": 740}
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(f"{DIGIT} .value").first.is_visible()


def test_a_wrong_token_says_so(browser, served):
    page = browser.new_page()
    response = page.goto(served.address.replace(served.token, "wrong"))
    assert response.status == 403
    assert "token: expected the address that `pyro-priors explore` printed" in page.inner_text("body")
    page.close()


def test_a_server_that_is_gone_is_said(visit):
    served = Served(subject_of(explored.law())).start()
    page = visit(served.address)
    served.stop()
    page.locator(f"{DIGIT} select").select_option("2")
    page.get_by_role("alert").wait_for()
    assert "The server does not answer" in page.get_by_role("alert").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("which", ["served", "table", "images"])
def test_axe_has_no_serious_finding(browser, request, which, scheme):
    given = {
        "served": {"digit": 3, "age": {"low": -0.5, "high": 0.8}},
        "table": {"height": 170},
        "images": {"digit": 1},
    }
    address = request.getfixturevalue(which).address
    # The page's own rules let no script of others in.
    context = browser.new_context(bypass_csp=True, color_scheme=scheme)
    context.set_default_timeout(SLOW)
    page = context.new_page()
    page.goto(address + "#" + urllib.parse.urlencode({"given": json.dumps(given[which])}))
    page.wait_for_selector("body[data-ready=yes]")
    page.wait_for_selector("#information:not([aria-busy])")
    page.add_script_tag(path=AXE)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    found = [each for each in found if each["impact"] in ("serious", "critical")]
    context.close()
    assert not [(each["id"], each["help"], [n["html"][:120] for n in each["nodes"]]) for each in found]
