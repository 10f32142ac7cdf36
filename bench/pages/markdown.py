"""A page as Markdown, for people who read it in a repository; its plots are beside it."""

from collections.abc import Iterable, Sequence

from bench.pages.escaped import markdown_cell, prose
from bench.pages.page import Page, Pairs


def markdown(page: Page) -> str:
    """The whole page, as text."""
    mark = [f"**{page.watermark}**"] if page.watermark else []
    texts = [f"# {page.name}: {page.title}", *mark]
    texts += [listed(page.sentences)] if page.terse else [page.about, listed(page.sentences)]
    texts += [] if page.terse else [f"![{plot}]({page.name}-{plot}.svg)" for plot in page.plots]
    for part in page.parts:
        table = markdown_table(part.titles, part.body, texts=part.keys)
        texts += [f"## {part.title}" if part.title else "", table, part.note]
    texts.append(page.marks.replace("*", "\\*"))
    for title, lines in page.remarks.items():
        texts += [f"## {title}", listed(lines)] if lines else []
    if page.footer:
        texts += ["## Where the numbers come from", listed(f"**{name}**: {text}" for name, text in page.footer)]
    if page.settings:
        texts.append(_settings(page.settings))
    return "\n\n".join(text for text in [*texts, *mark] if text) + "\n"


def listed(lines: Iterable[str]) -> str:
    """A Markdown list."""
    return "\n".join(f"- {prose(line)}" for line in lines)


def markdown_table(titles: Sequence[str], body: Sequence[Sequence[str]], *, texts: int) -> str:
    """A Markdown table: the first `texts` columns left, numbers right."""
    align = [":--"] * texts + ["--:"] * (len(titles) - texts)
    lines = [titles, align, *body]
    return "\n".join(f"| {' | '.join(map(markdown_cell, line))} |" for line in lines)


def _settings(pairs: Pairs) -> str:
    told = listed(f"`{key}`: {value}" for key, value in pairs)
    return f"<details><summary>All settings</summary>\n\n{told}\n\n</details>"
