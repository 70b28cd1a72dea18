"""A table that appears row by row, as aligned text or as Markdown."""

from __future__ import annotations

from collections.abc import Sequence


class Table:
    """Prints its heading at once.

    Args:      names: the title of the first column. wide, narrow: the titles of those for libraries, and of others.
               width, name_width: in text, of the wide ones and of the first
    """

    def __init__(
        self,
        title: str,
        names: str,
        wide: Sequence[str],
        narrow: Sequence[str] = (),
        *,
        markdown: bool,
        width: int = 20,
        name_width: int = 34,
    ):
        columns = [names, *wide, *narrow]
        self.markdown = markdown
        self.widths = [name_width, *[max(width, len(column) + 2) for column in wide]]
        self.widths += [max(13, len(column) + 2) for column in narrow]
        print(f"\n{title}\n" if markdown else f"\n{title}")
        self.row(columns)
        if markdown:
            print("|" + "|".join(["---"] + ["---:"] * (len(columns) - 1)) + "|")

    def row(self, cells: Sequence[str]) -> None:
        if self.markdown:
            print("| " + " | ".join(cells) + " |", flush=True)
            return
        first, *others = cells
        text = "".join(cell.rjust(width) for cell, width in zip(others, self.widths[1:], strict=True))
        print(first.ljust(self.widths[0]) + text, flush=True)
