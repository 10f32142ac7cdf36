"""A report in a real browser: nothing overflows or is loaded, tables sort, runtimes switch, links lead somewhere."""

import re
import shutil
from base64 import b64decode
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest

from bench import records
from bench.pages.site import site
from bench.registry import page_of

ROOT = Path(__file__).parents[2]
WHICH = {"data": "fer2013", "scale": "cpu"}
TABLES = {"table5": "table5", "runtimes": "runtimes", "table4": "networks"}
"""Name of a page -> folder of its records."""
RUNTIMES = ("torch fp32", "onnxruntime fp32", "onnxruntime int8")
PHONE, DESK = 390, 1440
PAPER = 717
"""A4 between the margins of a browser, px."""
LEAST = 4.5
"""Contrast of text (WCAG 2.1, AA)."""
TEXTS = """
const colour = (text) => text.match(/[\\d.]+/g).map(Number);
const under = (element) => {
  for (let one = element; one; one = one.parentElement) {
    const found = colour(getComputedStyle(one).backgroundColor);
    if (found.length === 3 || found[3] === 1) return found.slice(0, 3);
  }
  return [255, 255, 255];
};
const seen = new Map();
for (const element of document.querySelectorAll("body *")) {
  const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
  const box = element.getBoundingClientRect();
  if (!own || element.closest("svg, script, style") || !box.width || !box.height) continue;
  const pair = [colour(getComputedStyle(element).color).slice(0, 3), under(element)];
  seen.set(JSON.stringify(pair), element.textContent.trim().slice(0, 40));
}
return [...seen].map(([pair, text]) => [...JSON.parse(pair), text]);
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A report from committed records: the asked table, three of its runtimes, and what the parts of MRF are worth."""
    pages, found, root = [], {}, ROOT / "reports/records"
    long = {**WHICH, "scale": next((root / "table5/fer2013").glob("*+*+*")).name}
    for table, which in [*((table, WHICH) for table in TABLES), ("table5", long)]:
        own = records.load_all(root, table=TABLES[table], **which)
        own = {cell: one for cell, one in own.items() if f"{cell.runtime} {cell.precision}".strip() in ("", *RUNTIMES)}
        pages.append(page_of(table, own, **which))
        found |= own
    made = tmp_path_factory.mktemp("report")
    for path, content in site(pages, pages[0], found.values(), json=False).items():
        (made / path).parent.mkdir(parents=True, exist_ok=True)
        (made / path).write_bytes(content)
    return made


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium, which may not reach any network."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: pip install -e '.[dev]'")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("no Chromium here: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--incognito"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    made = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield made
    made.quit()


def opened(browser, path: Path, width: int = DESK, theme: str = "light", medium: str = "screen") -> None:
    look = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", look)
    media = {"media": medium, "features": [{"name": "prefers-color-scheme", "value": theme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    browser.get(path.as_uri())


def pages_of(folder: Path) -> list[Path]:
    """The index, every table, and a record of each."""
    cells = ("table5/fer2013/cpu/mrf-slim-60-s0", "runtimes/fer2013/cpu/mrf-slim-60-s0-onnxruntime-fp32")
    cells = (*cells, "networks/fer2013/cpu/mrf-dense-00-s0")
    tables = sorted((folder / "tables").glob("*/*.html"))
    return [folder / "index.html", *tables, *(folder / "cells" / f"{cell}.html" for cell in cells)]


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_no_page_is_wider_than_the_window_and_none_complains(browser, folder, width):
    browser.get_log("browser")
    wide = []
    for path in pages_of(folder):
        opened(browser, path, width)
        if (across := browser.execute_script("return document.documentElement.scrollWidth")) > width:
            wide.append(f"{path.name}: {across} px")
    assert not wide
    assert browser.get_log("browser") == []


def test_no_table_needs_sideways_scrolling_on_a_desk(browser, folder):
    script = """return [...document.querySelectorAll(".scroll")].filter((one) => one.scrollWidth > one.clientWidth + 1)
        .map((one) => one.getAttribute("aria-label"))"""
    wide = {}
    for path in pages_of(folder):
        opened(browser, path)
        if found := browser.execute_script(script):
            wide[path.name] = found
    assert wide == {}


def test_on_paper_nothing_is_cut_off_or_folded_and_nothing_waits_for_a_click(browser, folder):
    script = """
      const seen = (one) => one.checkVisibility() && one.getBoundingClientRect().height > 0;
      const all = (what) => [...document.querySelectorAll(what)];
      return {
        wide: all("body *").filter((one) => one.getBoundingClientRect().right > arguments[0] + 1).length,
        folded: all("details > :not(summary)").filter((one) => !seen(one)).length,
        shown: all("nav, .choices, .filter").filter(seen).length,
        plots: all("figure.plot").filter(seen).length,
        ground: getComputedStyle(document.body).backgroundColor,
      }"""
    for path in pages_of(folder):
        opened(browser, path, PAPER, theme="dark", medium="print")
        told = browser.execute_script(script, PAPER)
        assert (told["wide"], told["folded"], told["shown"]) == (0, 0, 0), path.name
        assert told["plots"] or "cells" in path.parts, path.name
        assert told["ground"] == "rgb(255, 255, 254)", "paper is light, whatever the screen is"
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"paperWidth": 8.27, "paperHeight": 11.69})["data"]
    assert b64decode(printed).startswith(b"%PDF")


def test_nothing_is_loaded_from_elsewhere(browser, folder):
    browser.get_log("performance")
    for path in pages_of(folder)[:3]:
        opened(browser, path)
    asked = re.findall(r'\\?"url\\?":\\?"([a-z]+):', "".join(one["message"] for one in browser.get_log("performance")))
    assert set(asked) <= {"file", "data"} and "file" in asked


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_can_be_read_in_both_themes(browser, folder, theme):
    faint = []
    for path in pages_of(folder):
        opened(browser, path, theme=theme)
        browser.execute_script("document.querySelectorAll('details').forEach((one) => { one.open = true })")
        told = browser.execute_script(TEXTS)
        found = [(text, ink, ground) for ink, ground, text in told if contrast(ink, ground) < LEAST]
        faint += [(path.name, *one) for one in found]
        assert any((sum(ground) > 380) == (theme == "light") for _, ground, _ in told), "the theme is another one"
    assert faint == []


def contrast(one: list[float], other: list[float]) -> float:
    """WCAG's ratio of two colours, 0 to 255."""

    def luminance(colour: list[float]) -> float:
        parts = [value / 255 for value in colour]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted(map(luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


def column(browser, number: int) -> list[list[float]]:
    """Sort keys of a column of the first table, group by group."""
    script = """return [...document.querySelector("table.filtered").tBodies].map((body) =>
        [...body.rows].filter((row) => !row.className).map((row) => Number(row.children[arguments[0]].dataset.sort)))"""
    return browser.execute_script(script, number)


def test_a_click_on_a_heading_sorts_and_a_second_one_turns_it_round(browser, folder):
    opened(browser, folder / "index.html")
    before = column(browser, 1)
    assert len(before) == 2 and all(len(group) == 6 for group in before)
    buttons = browser.find_elements("css selector", "table.filtered thead button")
    buttons[1].click()
    assert column(browser, 1) == [sorted(group) for group in before] != before
    buttons[1].click()
    assert column(browser, 1) == [sorted(group, reverse=True) for group in before]


def test_the_filter_leaves_the_rows_with_every_word(browser, folder):
    opened(browser, folder / "index.html")
    browser.find_element("css selector", "input.filter").send_keys("vggnet 60")
    rows = browser.find_elements("css selector", "table.filtered tbody tr:not([hidden]):not(.group)")
    assert [row.get_attribute("data-group") for row in rows] == ["VGGNet"] and rows[0].text.startswith("60 %")


def test_another_runtime_is_one_click_away(browser, folder):
    opened(browser, folder / "index.html")
    labels = browser.find_elements("css selector", ".choices label")
    assert [label.text for label in labels] == list(RUNTIMES)
    for i in (1, 0):
        labels[i].click()
        figures = browser.find_elements("css selector", ".shown > figure")
        assert [number for number, figure in enumerate(figures) if figure.is_displayed()] == [i]


def test_every_link_leads_somewhere_and_every_page_back_to_the_index(folder):
    lost = []
    for path in folder.rglob("*.html"):
        written = re.findall(r'<a [^>]*?href="([^"]+)"', path.read_text())
        links = {(path.parent / unquote(urlparse(link).path)).resolve() for link in written}
        lost += [f"{path.name} -> {link}" for link in links if not link.is_file()]
        assert path.name == "index.html" or folder / "index.html" in links, path
    assert lost == []


def test_the_number_of_a_row_leads_to_its_record(browser, folder):
    opened(browser, folder / "index.html")
    browser.find_element("css selector", 'tr[data-group="MRF"]:nth-of-type(5) th a').click()
    assert browser.find_element("css selector", "h1").text == "mrf-slim-60-s0"
    shown = browser.find_element("css selector", "main").text
    assert "66.54 [64.98, 68.06]" in shown and "Commit" in shown and "474 runs" in shown
    assert len(browser.find_elements("css selector", ".samples svg")) >= 2


def test_without_javascript_everything_is_there(folder):
    text = re.sub(r"<script>.*?</script>", "", (folder / "index.html").read_text(), flags=re.DOTALL)
    assert text.count('type="radio"') == text.count('class="plot at-') == len(RUNTIMES) and "67.90" in text
    assert "<button" not in text and 'type="search"' not in text, "nothing that does nothing"


def test_texts_of_plots_lie_inside_their_canvas(browser, folder):
    script = """return [...document.querySelectorAll("figure.plot svg")].flatMap((svg) => {
      const [, , wide, tall] = svg.getAttribute("viewBox").split(" ").map(Number);
      return [...svg.querySelectorAll("text")].filter((text) => {
        const box = text.getBBox(), place = text.getCTM(), own = svg.getCTM().inverse().multiply(place);
        const at = (x, y) => new DOMPoint(x, y).matrixTransform(own);
        return [at(box.x, box.y), at(box.x + box.width, box.y + box.height)]
          .some((point) => point.x < -2 || point.y < -2 || point.x > wide + 2 || point.y > tall + 2);
      }).map((text) => text.textContent.trim());
    })"""
    for path in pages_of(folder):
        if "cells" not in path.parts:
            opened(browser, path)
            assert browser.execute_script(script) == [], path.name
