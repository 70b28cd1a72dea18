"""A collected graph as SVG and HTML, by hand: no library, no script, no network."""

from __future__ import annotations

from html import escape

from ._graph import Node
from ._layout import Layout

FONT = 12
CHARACTER = 7.4  # a monospaced character of that size is 0.6 of it wide, in every such font; and a little more
LINE = 17
PADDING = 10
MARGIN = 24
CUT = 58

STYLE = (
    "text{font:12px 'DejaVu Sans Mono',Menlo,Consolas,monospace;fill:#222}"
    ".title{font-weight:bold;font-size:13px}.value{fill:#1f5fa8}.gradient{fill:#c0272d}.local{fill:#555}"
    ".faint{fill:#8a8a8a}.box{stroke:#666;fill:#fff}.leaf{fill:#eaf5ea;stroke:#4b8f4b}.group{fill:#f1f1f6;stroke:#667;"
    "stroke-dasharray:5 3}.end{fill:#fdf3dc;stroke:#b8862b;stroke-width:2}"
    ".edge{fill:none;stroke:#1f5fa8;stroke-width:1.5}.mark{fill:#1f5fa8;font-weight:bold;paint-order:stroke;stroke:#fff;stroke-width:4px}"
)
LEGEND = (
    "The computation runs down. Green: what gradients are wanted for. Yellow: the result, L. "
    "<span style='color:#1f5fa8'>Blue: values, forward.</span> Grey: the local derivative by each input, and what "
    "backward makes of the arriving gradient gy. <span style='color:#c0272d'>Red: ∂L/∂y, the gradient that arrives."
    "</span>"
)


def draw(nodes: list[Node]) -> str:
    """The SVG element."""
    place = {node.number: i for i, node in enumerate(nodes)}
    texts = [_lines(node) for node in nodes]
    sizes = [_size(lines) for lines in texts]
    marked = [(place[x.source], i, x.letter) for i, node in enumerate(nodes) for x in node.inputs if x.source in place]
    layout = Layout(sizes, [(a, b) for a, b, _ in marked])
    width, height = layout.width + 2 * MARGIN, layout.height + 2 * MARGIN
    several = {i for i, node in enumerate(nodes) if len(node.inputs) > 1}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="{-MARGIN} {-MARGIN} {width:.0f} {height:.0f}" role="img" aria-label="computation graph">',
        f"<style>{STYLE}</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#1f5fa8"/></marker></defs>',
        f'<rect x="{-MARGIN}" y="{-MARGIN}" width="{width:.0f}" height="{height:.0f}" fill="#fff"/>',
    ]
    for route, (_, b, letter) in zip(layout.routes, marked, strict=True):
        parts.append(f'<path class="edge" d="{_curve(route)}" marker-end="url(#tip)"/>')
        if letter and b in several:
            x, y = route[-1]
            parts.append(f'<text class="mark" x="{x + 6:.1f}" y="{y - 8:.1f}">{escape(letter)}</text>')
    for node, lines, (w, h), (left, top) in zip(nodes, texts, sizes, layout.boxes, strict=True):
        kind = "end" if node is nodes[-1] else {"operation": "box"}.get(node.kind, node.kind)
        parts.append(
            f'<g><title>{escape(_tooltip(node))}</title><rect class="{kind}" x="{left:.1f}" y="{top:.1f}" '
            f'width="{w:.1f}" height="{h:.1f}" rx="6"/>'
        )
        for i, (style, line) in enumerate(lines):
            y = top + PADDING + LINE * (i + 0.75)
            parts.append(f'<text class="{style}" x="{left + PADDING:.1f}" y="{y:.1f}">{escape(line)}</text>')
        parts.append("</g>")
    return "\n".join([*parts, "</svg>"])


def page(nodes: list[Node]) -> str:
    """The HTML document: legend, drawing, table."""
    heads = [
        "#",
        "operation",
        "y =",
        "shape",
        "value of y",
        "inputs and local derivatives",
        "∂L/∂y",
        "layer",
        "written at",
    ]
    rows = [
        [
            str(node.number), node.name, f"{node.formula} {f'[{node.settings}]' if node.settings else ''}",
            str(node.shape), node.value, "\n".join(node.input_lines()), node.gradient, node.layer, node.source,
        ]
        for node in nodes
    ]  # fmt: skip
    table = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>computation graph: {escape(nodes[-1].name)}</title>
<style>
body{{font:14px sans-serif;margin:24px;color:#222}} table{{border-collapse:collapse;margin-top:24px}}
td,th{{border:1px solid #ccc;padding:4px 8px;text-align:left;vertical-align:top;white-space:pre-line}}
td{{font-family:'DejaVu Sans Mono',Menlo,Consolas,monospace;font-size:12px}} .drawing{{overflow:auto}}
</style></head><body>
<p>{LEGEND}</p>
<div class="drawing">
{draw(nodes)}
</div>
<table><tr>{"".join(f"<th>{head}</th>" for head in heads)}</tr>
{table}
</table></body></html>
"""


def _lines(node: Node) -> list[tuple[str, str]]:
    """The text in a box, as (style, line)."""
    title = f"{node.name}  {node.shape}" if node.shape else node.name
    lines = [("title", title)]
    if node.kind == "group" and node.layer:
        lines.append(("local", node.layer))
    if node.formula:
        lines.append(("local", node.formula if node.kind == "group" else f"y = {node.formula}"))
    if node.settings:
        lines.append(("faint", node.settings))
    if node.value:
        lines.append(
            ("value", node.value if node.kind == "leaf" else f"y{':' if '…' in node.value else ' ='} {node.value}")
        )
    lines += [("value", f"{x.letter} = {x.constant}, a constant") for x in node.inputs if x.constant]
    lines += [("local", line) for line in node.derivative_lines()]
    if node.gradient:
        name = "gradient" if node.kind == "leaf" else "∂L/∂y"
        norm = node.gradient.removeprefix("norm ")
        lines.append(("gradient", f"{name} = {norm}" if norm == node.gradient else f"‖{name}‖ = {norm}"))
    if node.kind == "operation":
        where, _, code = node.source.partition(": ")
        lines += [("faint", text) for text in (node.layer, where, code) if text]
    return [(style, line if len(line) <= CUT else line[: CUT - 1] + "…") for style, line in lines]


def _size(lines: list[tuple[str, str]]) -> tuple[float, float]:
    width = max(len(line) * (CHARACTER * 13 / FONT if style == "title" else CHARACTER) for style, line in lines)
    return width + 2 * PADDING, len(lines) * LINE + 2 * PADDING


def _curve(route: list[tuple[float, float]]) -> str:
    """Straight from point 2i to 2i + 1, then a curve that leaves and arrives upright."""
    (x, y), *rest = route
    path = f"M{x:.1f} {y:.1f}"
    for i, (to_x, to_y) in enumerate(rest):
        if i % 2 == 0:
            path += f"L{to_x:.1f} {to_y:.1f}"
        else:
            middle = (y + to_y) / 2
            path += f"C{x:.1f} {middle:.1f} {to_x:.1f} {middle:.1f} {to_x:.1f} {to_y:.1f}"
        x, y = to_x, to_y
    return path


def _tooltip(node: Node) -> str:
    return "\n".join(text for text in (f"#{node.number} {node.name}", node.layer, node.source) if text)
