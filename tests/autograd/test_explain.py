"""The explanation says what backward does, leaves no trace, and is drawn without overlaps, in a real browser too."""

import re
import shutil
import subprocess
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import minidl as ml
import minidl.models
import minidl.vision  # noqa: F401 - its Functions need formulas too
from minidl import functional as F
from minidl import nn
from minidl.autograd import Explanation, Function, detect_anomaly, explain
from minidl.autograd._formulas import formula
from minidl.autograd._graph import show
from minidl.autograd._layout import Layout
from minidl.errors import ArgumentError, ArgumentTypeError, GradientError
from tests.op_cases import ALL_CASES
from tests.test_operations import draw, is_differentiable, tensors


def leaf(value):
    return ml.tensor(value, requires_grad=True)


def small():
    a, b, c = leaf(2.0), leaf(-3.0), leaf(10.0)
    return (a, b, c), (a * b + c) * a


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2, 3), nn.Tanh())
        self.head = nn.Linear(3, 1)

    def forward(self, x):
        return self.head(self.body(x)).sum()


def named(explanation, name):
    return [node for node in explanation.nodes if node.name == name]


def test_values_derivatives_and_gradients():
    (a, b, c), y = small()
    nodes = explain(y).nodes
    assert [node.name for node in nodes] == ["leaf", "leaf", "mul", "leaf", "add", "mul"]
    assert [node.value for node in nodes] == ["2", "-3", "-6", "10", "4", "8"]
    assert [node.gradient for node in nodes] == ["-2", "4", "2", "2", "2", "1"]
    assert [x.local for node in nodes for x in node.inputs] == ["-3", "2", "1", "1", "2", "4"]
    assert [x.formula for x in nodes[2].inputs] == ["gy · b", "gy · a"]
    y.backward()
    assert [nodes[0].gradient, nodes[1].gradient, nodes[3].gradient] == [show(x.grad.data) for x in (a, b, c)]


def test_on_every_device(device):
    net, x = Net().to(device=device), ml.rand(4, 2).to(device)
    explanation = explain(lambda: F.dropout(net(x).exp() + net(x).neg().reshape(1), 0.5))
    on_cpu = {node.name for node in explanation.nodes}
    assert {"linear", "tanh", "sum", "exp", "add", "dropout", "body.0.weight"} <= on_cpu
    assert named(explanation, "add")[0].inputs[0].local == "1"


def test_the_table():
    _, y = small()
    assert str(explain(y)) == "\n".join(
        [
            "#  operation  y =    shape  value of y  ∂L/∂y",
            "1  leaf              ()     2           -2",
            "2  leaf              ()     -3          4",
            "3  mul        a · b  ()     -6          2",
            "   a = #1,  ga = gy · b,  ∂y/∂a = -3",
            "   b = #2,  gb = gy · a,  ∂y/∂b = 2",
            "4  leaf              ()     10          2",
            "5  add        a + b  ()     4           2",
            "   a = #3,  ga = gy,  ∂y/∂a = 1",
            "   b = #4,  gb = gy,  ∂y/∂b = 1",
            "6  mul        a · b  ()     8           1",
            "   a = #5,  ga = gy · b,  ∂y/∂a = 2",
            "   b = #1,  gb = gy · a,  ∂y/∂b = 4",
        ]
    )


def test_jacobians():
    x = leaf([[1.0, 2.0]])
    nodes = explain((x.exp() @ ml.tensor([[3.0], [4.0]])).sum()).nodes
    assert nodes[1].inputs[0].local == "[[2.718, 7.389]] (elementwise)"
    assert nodes[2].inputs[0].local == "[[3, 4]]" and nodes[2].inputs[1].constant == "[[3], [4]]"
    rotated = explain(x @ ml.tensor([[0.0, 1.0], [2.0, 0.0]]), ml.ones(1, 2)).nodes[-1]
    assert rotated.inputs[0].local == "[[0, 2], [1, 0]]"
    wide = explain(leaf([[1.0] * 6]).softmax(1), ml.ones(1, 6)).nodes[-1]
    assert wide.inputs[0].local == "a 6 × 6 matrix"


def test_constants_and_powers():
    x = leaf(3.0)
    assert named(explain(lambda: (x - 1.0) ** 2), "sub")[0].inputs[1].constant == "1"
    assert named(explain((x - 1.0) ** 2), "sub")[0].inputs[1].constant == ""  # nobody kept it
    square, cube = named(explain(x**2 + x**3), "pow")
    assert (square.formula, square.inputs[0].formula, square.inputs[0].local) == ("x^2", "gy · 2 x", "6")
    assert (cube.formula, cube.inputs[0].formula, cube.inputs[0].local) == ("x^3", "gy · 3 x^2", "27")


def test_large_arrays_are_summed_up():
    x = ml.full((100,), 3.0, requires_grad=True)
    explanation = explain(lambda: (x * 2.0).sum())
    assert explanation.nodes[0].value == "3 … 3" and explanation.nodes[0].gradient == "norm 20"
    assert explanation.nodes[1].value == "" and explanation.nodes[2].value == "600"


def test_it_leaves_no_trace():
    ml.manual_seed(0)
    calls = []
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Dropout(0.5), nn.Tanh())
    model[0].register_full_backward_hook(lambda *_: calls.append("module"))
    x = leaf([[1.0, 2.0], [3.0, 5.0]])
    x.register_hook(lambda _: calls.append("tensor"))
    y = model(x).sum()
    before, state = {name: t.data.copy() for name, t in model.state_dict().items()}, ml.get_random_state()
    explanation = explain(y)
    assert calls == [] and x.grad is None and model[0].weight.grad is None
    for name, t in model.state_dict().items():
        np.testing.assert_array_equal(t.data, before[name])
    np.testing.assert_equal(ml.get_random_state(), state)
    y.backward()
    assert calls == ["module", "tensor"]
    shown = next(node for node in explanation.nodes if node.kind == "leaf" and node.shape == (2, 2))
    assert shown.gradient == show(x.grad.data)


def test_what_was_saved_for_backward_stays():
    class Saving(Function):
        saves_outputs = ()

        def forward(self, x):
            self.save(2 * x)
            return x * x

        def backward(self, gy):
            return gy * ml.tensor(self.saved[0])

    node = Saving()
    y = node(leaf(3.0)) + leaf(1.0)
    saved = node.saved[0]
    assert named(explain(y), "saving")[0].value == "9" and node.saved[0] is saved


@pytest.mark.parametrize("case", [*filter(is_differentiable, ALL_CASES)], ids=lambda case: case.name)
def test_the_gradients_are_those_of_backward(case):
    inputs = tensors(case, draw(case))
    outputs = case.fn(*inputs)
    y = next(y for y in (outputs if isinstance(outputs, tuple) else (outputs,)) if y.requires_grad)
    seed = ml.tensor(np.random.default_rng(1).standard_normal(y.shape).astype(y.dtype))
    explanation = explain(y, seed, limit=None)
    assert all(node.formula for node in explanation.nodes if node.kind == "operation")
    y.backward(seed)
    leaves = [node for node in explanation.nodes if node.kind == "leaf"]
    reached = {show(x.grad.data, norm=True) for x in inputs if x.grad is not None}
    assert {node.gradient for node in leaves if node.gradient} == reached


def functions(kind=Function):
    for child in kind.__subclasses__():
        yield child
        yield from functions(child)


def test_every_function_has_a_formula():
    missing = []
    for kind in functions():
        if kind.__module__.startswith("minidl.") and not kind.__subclasses__():
            node = object.__new__(kind)
            node.edges, node.exponent = (None,), 2.0
            text = formula(node)
            if text == f"{kind.name}(x)" or text.startswith("See "):
                missing.append(kind.__name__)
    assert missing == []


def test_a_function_of_ones_own():
    class Cube(Function):
        """The third power.

        Math:      y = x³
        """

        def forward(self, x):
            return x**3

        def backward(self, gy):
            return gy * 3.0 * self.inputs[0] ** 2.0

    class Plain(Function):
        def forward(self, x):
            return x

        def backward(self, gy):
            return gy

    nodes = explain(Plain()(Cube()(leaf(2.0)))).nodes
    assert (nodes[1].name, nodes[1].formula, nodes[1].inputs[0].local) == ("cube", "x³", "12")
    assert nodes[2].formula == "plain(x)"


def test_leaves_can_be_named():
    (a, b, _), y = small()
    assert [node.name for node in explain(y, names={"a": a, "slope": b}).nodes if node.kind == "leaf"] == [
        "a", "slope", "leaf"
    ]  # fmt: skip


def test_a_function_to_run_gives_lines_layers_and_names():
    net, x = Net(), ml.rand(4, 2)
    explanation = explain(lambda: net(x))
    assert {node.name for node in explanation.nodes if node.kind == "leaf"} == set(dict(net.named_parameters()))
    linear, head = named(explanation, "linear")
    assert linear.layer == "body.0 (Linear)" and head.layer == "head (Linear)"
    assert head.source.startswith("test_explain.py:") and "return self.head(self.body(x)).sum()" in head.source
    assert named(explanation, "tanh")[0].layer == "body.1 (Tanh)"
    assert explanation.nodes[-1].layer == "Net"
    with detect_anomaly():
        y = net(x)
    assert [node.source for node in explain(y).nodes] == [node.source for node in explanation.nodes]
    assert not any(node.source for node in explain(net(x)).nodes)


def check_is_a_graph(explanation, limit):
    nodes = explanation.nodes
    assert len(nodes) <= limit
    place = {node.number: i for i, node in enumerate(nodes)}
    for i, node in enumerate(nodes):
        assert all(place[x.source] < i for x in node.inputs if x.source is not None)
    used = {x.source for node in nodes for x in node.inputs}
    assert all(node.number in used for node in nodes[:-1])


def test_large_graphs_are_folded_by_module():
    model = minidl.models.ResNetCifar(20)
    x = ml.rand(2, 3, 8, 8)
    explanation = explain(lambda: model(x).sum(), limit=30)
    check_is_a_graph(explanation, 30)
    names = [node.name for node in explanation.nodes]
    inside = {name for name, _ in model.named_modules()}
    assert sum(name in inside for name in names) > 5
    group = next(node for node in explanation.nodes if node.kind == "group")
    assert re.match(r"\d+ operations?; \d+ leaves of [\d,]+ numbers", group.settings)
    parameters = sum(p.numel() for p in model.parameters())
    leaves = [m for node in explanation.nodes for m in (node.members or [node]) if m.kind == "leaf"]
    assert sum(int(np.prod(m.shape)) for m in leaves) == parameters
    check_is_a_graph(explain(lambda: model(x).sum(), limit=4), 4)
    assert len(explain(model(x).sum(), limit=None).nodes) > 100


def test_large_graphs_without_modules_are_folded_in_order():
    x = y = leaf(1.0)
    for _ in range(3000):
        y = y * 0.999 + x * 1e-6
    explanation = explain(y, limit=20)
    check_is_a_graph(explanation, 20)
    assert explanation.nodes[1].name.startswith("operations ")


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ((ml.ones(2),), GradientError, "explain: the tensor .shape .2,.. does not require a gradient"),
        ((leaf([1.0, 2.0]),), GradientError, "explain: a gradient can be left out only"),
        ((3.0,), ArgumentTypeError, "explain: expected a Tensor or a function that returns one, got float"),
        ((lambda: 3.0,), ArgumentTypeError, "explain: expected a Tensor or a function that returns one, got float"),
    ],
)
def test_mistakes(arguments, error, message):
    with pytest.raises(error, match=message):
        explain(*arguments)


@pytest.mark.parametrize("limit", [0, True, 2.5])
def test_limits_that_are_none(limit):
    with pytest.raises(ArgumentError, match=f"limit must be a positive integer or None, got {limit}"):
        explain(leaf(1.0) * 2.0, limit=limit)


def test_a_freed_graph():
    _, y = small()
    y.backward()
    with pytest.raises(GradientError, match="already freed by an earlier backward pass"):
        explain(y)


def test_a_leaf_alone():
    (node,) = explain(leaf(3.0)).nodes
    assert (node.kind, node.value, node.gradient) == ("leaf", "3", "1")
    assert "<svg" in explain(leaf(3.0)).to_svg()


# The drawing ----------------------------------------------------------------------------------------------------------


def points(route, steps=20):
    """Along the route as it is drawn: straight, curve, straight, curve."""
    for i, ((x0, y0), (x1, y1)) in enumerate(zip(route, route[1:], strict=False)):
        for t in np.linspace(0, 1, steps):
            middle = (y0 + y1) / 2
            if i % 2 == 0:
                yield x0, y0 + t * (y1 - y0)
            else:
                a, b, c, d = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3
                yield (a + b) * x0 + (c + d) * x1, a * y0 + (b + c) * middle + d * y1


@pytest.mark.parametrize("seed", range(12))
def test_no_box_covers_another_and_no_edge_runs_below_one(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 25))
    sizes = [(float(w), float(h)) for w, h in rng.uniform(30, 200, (n, 2))]
    edges = [(i, j) for j in range(n) for i in range(j) if rng.random() < 2.5 / n]
    layout = Layout(sizes, edges)
    boxes = [(x, y, x + w, y + h) for (x, y), (w, h) in zip(layout.boxes, sizes, strict=True)]
    for i, (left, top, right, bottom) in enumerate(boxes):
        assert -1e-6 <= left and right <= layout.width + 1e-6 and -1e-6 <= top and bottom <= layout.height + 1e-6
        for other in boxes[:i]:
            assert right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top
    for (a, b), route in zip(edges, layout.routes, strict=True):
        assert route[0][1] == pytest.approx(boxes[a][3]) and route[-1][1] == pytest.approx(boxes[b][1])
        assert boxes[b][0] <= route[-1][0] <= boxes[b][2]
        assert all(y1 >= y0 - 1e-9 for (_, y0), (_, y1) in zip(route, route[1:], strict=False))
        for x, y in points(route):
            for left, top, right, bottom in boxes:
                assert not (left + 1e-6 < x < right - 1e-6 and top + 1e-6 < y < bottom - 1e-6)


def test_a_chain_with_parameters_at_its_side_is_straight():
    sizes, edges, last = [(80.0, 40.0)], [], 0
    for _ in range(6):
        n = len(sizes)
        sizes += [(50.0, 20.0), (50.0, 20.0), (80.0, 40.0)]
        edges += [(last, n + 2), (n, n + 2), (n + 1, n + 2)]
        last = n + 2
    layout = Layout(sizes, edges)
    lefts = [layout.boxes[i][0] for i in range(3, len(sizes), 3)]
    assert max(lefts) - min(lefts) < 80


def explained():
    net, x = Net(), ml.rand(4, 2)
    return explain(lambda: net(x))


def test_the_files_are_self_contained(tmp_path):
    explanation = explained()
    for name in ("graph.svg", "graph.html", "graph.txt"):
        explanation.save(tmp_path / name)
    svg = (tmp_path / "graph.svg").read_text(encoding="utf-8")
    html = (tmp_path / "graph.html").read_text(encoding="utf-8")
    assert (tmp_path / "graph.txt").read_text(encoding="utf-8") == str(explanation) == repr(explanation)
    assert svg in html and svg in explanation._repr_html_() and isinstance(explanation, Explanation)
    root = ET.fromstring(svg)
    space = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f"{space}g")) == len(explanation.nodes)
    inputs = sum(x.source is not None for node in explanation.nodes for x in node.inputs)
    assert len([p for p in root.findall(f"{space}path") if p.get("class") == "edge"]) == inputs
    for text in (svg, html):
        assert not re.search(r"(src|href)=|<script|@import|url\((?!#)", text)
        assert re.findall(r"https?://[^\"']*", text) == ["http://www.w3.org/2000/svg"]


@pytest.mark.parametrize(
    "path, error, message",
    [
        (3, ArgumentTypeError, "save needs a path, got int"),
        ("graph.png", ArgumentError, r"'graph.png' must end in .svg, .html, .txt"),
        ("nowhere/graph.svg", ArgumentError, "there is no folder 'nowhere'"),
    ],
)
def test_where_it_cannot_be_saved(path, error, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        explain(leaf(1.0)).save(path)


BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)

MEASURE = """<script>
const faults = [], boxes = [...document.querySelectorAll('svg g')].map(g => [g, g.querySelector('rect').getBBox()]);
for (const [g, box] of boxes) for (const text of g.querySelectorAll('text')) {
  const b = text.getBBox();
  if (b.x < box.x || b.y < box.y || b.x + b.width > box.x + box.width || b.y + b.height > box.y + box.height)
    faults.push('outside its box: ' + text.textContent);
}
boxes.forEach(([g, p], i) => boxes.slice(0, i).forEach(([h, q]) => {
  if (p.x < q.x + q.width && q.x < p.x + p.width && p.y < q.y + q.height && q.y < p.y + p.height)
    faults.push('overlap');
}));
document.title = 'measured ' + boxes.length + ' boxes, faults: ' + faults.join('; ');
</script>"""


@pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on this machine's PATH to open the page with")
def test_in_a_real_browser(tmp_path):
    explanation = explained()
    page = tmp_path / "page.html"
    page.write_text(explanation.to_html().replace("</body>", MEASURE + "</body>"), encoding="utf-8")
    result = subprocess.run(
        [
            BROWSER,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--dump-dom",
        ]
        + [page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert f"<title>measured {len(explanation.nodes)} boxes, faults: </title>" in result.stdout, result.stderr[-500:]
