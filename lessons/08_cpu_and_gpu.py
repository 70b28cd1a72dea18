# %% [markdown]
# # 08  The same network on CPU and GPU
#
# **Goal.** Know what `device="cuda"` changes and what it does not: which numbers move and when, who waits for whom, and
# from which batch on a GPU is faster than the processor beside it. LeNet-5 reads real digits on both.
#
# **Needs.** Lessons 06 (LeNet-5) and 07 (FLOP, bytes and the roofline).
#
# **Time.** Under two minutes on two cores. It runs with and without a GPU, and says of every figure whether it was
# *measured* here or *computed*: from what this processor was measured to do, and from five numbers about a GPU that are
# assumptions and are named as such. `--device cpu` times the CPU alone.

# %%
import time

import numpy as np
from _lesson import DEVICE, FAST, finish, save_picture
from matplotlib import pyplot as plt

import minidl as ml
from minidl import functional as F
from minidl import nn, optim
from minidl.data import DataLoader, Subset
from minidl.data.datasets import mnist5k
from minidl.errors import DeviceError
from minidl.metrics import accuracy
from minidl.training import fit

target = DEVICE or ("cuda" if ml.cuda.is_available() else "cpu")
ml.zeros(1, device=target)  # where there is no such device, this raises and says what is missing
GPU = target != "cpu"
if GPU:
    print(f"GPU: {ml.cuda.get_device_name(target)}. Figures of the GPU are measured, beside what the model computes.")
else:
    print("No GPU is used. Figures of the CPU are measured here; those of a GPU are computed, under named assumptions.")

train_set, test_set = mnist5k(test_fraction=0.2, seed=0)

# %% [markdown]
# ## Two computers
#
# A GPU is a second computer, with memory of its own, at the end of a bus. The program runs on the first one, the
# *host*. For every operation it puts an order into a queue (a CUDA *stream*), goes on at once, and the GPU works the
# queue off in order. From this everything else follows:
#
# - An operation can only take numbers that are where it runs. Nothing moves unless the program says so: `to`, `cpu`,
#   `cuda`, `DataLoader(..., device=...)`.
# - An order has a price, however small its arrays are: Python, CuPy and the driver take some microseconds on the host.
# - The host does not know a result before it asks for it. If it asks, it waits until the queue is empty.
#
# An array on the wrong side is an error, and not a silent copy:

# %%
refusal = ""
try:
    elsewhere = ml.ones(3, device="cuda")  # no GPU: refused here
    elsewhere + ml.ones(3)  # else here
except DeviceError as error:
    refusal = str(error)
print(refusal)

assert refusal


# %% [markdown]
# ## The network
#
# LeNet-5 as in lesson 06, in two widths: a network that is small for a GPU, and one with as many layers, so as many
# orders, and far more to compute in each.


# %%
NARROW, WIDE = 1, 4 if FAST else 8
BATCHES = [1, 8, 64] if FAST else [1, 4, 16, 64, 256, 1024]


def lenet5(width=NARROW):
    return nn.Sequential(
        nn.Conv2d(1, 6 * width, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6 * width, 16 * width, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * width * 5 * 5, 120 * width),
        nn.ReLU(),
        nn.Linear(120 * width, 84 * width),
        nn.ReLU(),
        nn.Linear(84 * width, 10),
    )


def train_step(model, optimizer, images, labels):
    """One step; the loss stays where it was computed."""
    optimizer.zero_grad()
    loss = F.cross_entropy(model(images), labels)
    loss.backward()
    optimizer.step()
    return loss.detach()


def step_on(device, batch, width=NARROW):
    """A function that trains on the same batch again, which lies on the device already."""
    ml.manual_seed(0)
    model = lenet5(width).to(device)
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    images, labels = (x[:batch].to(device) for x in train_set.tensors)
    return lambda: train_step(model, optimizer, images, labels)


# %% [markdown]
# ## The same numbers?
#
# Initial weights are drawn on the host, from the same seed, and the order of the batches too. (Dropout masks are drawn
# on the device, from another generator; this network has none.) What differs is the order in which sums are added up,
# and so their rounding. How much may that be? The host can tell by itself: turn the batch round, the last image first.
# The mean loss and its gradients are the same by definition, and rounded in another way.

# %%
STEPS = 20 if FAST else 60
TOLERANCE = {ml.float32: 1e-4, ml.float64: 1e-10}


def first_losses(device, dtype, turned_round=False):
    """The losses of the first steps, by SGD with momentum, on batches of 64."""
    ml.manual_seed(0)
    model = lenet5().to(dtype).to(device)
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for step in range(STEPS):
        rows = np.arange(64 * step, 64 * (step + 1))[:: -1 if turned_round else 1]
        images, labels = train_set.images[rows].to(dtype), train_set.labels[rows]
        losses.append(train_step(model, optimizer, images.to(device), labels.to(device)))
    return ml.stack(losses).cpu().numpy()


differences = {}
for dtype, tolerance in TOLERANCE.items():
    here = first_losses("cpu", dtype)
    others = {"the CPU, each batch turned round": first_losses("cpu", dtype, turned_round=True)}
    if GPU:
        others["the GPU"] = first_losses(target, dtype)
    for name, there in others.items():
        differences[name, dtype] = found = float(np.abs(there / here - 1).max())
        print(
            f"{dtype}: {STEPS} losses on the CPU and on {name}: differ by at most {found:.1e} (allowed {tolerance:g})"
        )
        assert found < tolerance
    assert here[-1] < here[0]

# %% [markdown]
# What a GPU changes is rounding, as another order of the same sums does on the CPU. Each step starts from what the one
# before has left, so the differences grow with the steps; in float64 they begin at $10^{-16}$.
#
# ## The bills of a step
#
# The profiler counts, operation by operation, FLOP and the bytes of what goes in and comes out. For the optimizer we
# count ourselves: Adam reads a parameter, its gradient and two averages, and writes three of them back, 28 bytes and
# about a dozen operations each, in one kernel for each parameter array. To these two bills of lesson 07 a GPU adds two:
# the number of orders, and what crosses the bus.


# %%
def bills(step, parameters):
    """(FLOP, bytes) of each operation of a step that computes anything: at least one kernel for each."""
    with ml.profile() as prof:
        step()
    counted = [e for e in prof.events if e.self_bytes and e.name != "reshape" and e.method != "deferred"]
    return [(e.self_flops or 0, e.self_bytes) for e in counted] + [(12 * n, 28 * n) for n in parameters]


def flop_forward(batch, width):
    """Of convolutions and fully connected layers, by hand: two for each product and its sum, one for each bias."""
    c1, c3, c5, f6 = 6 * width, 16 * width, 120 * width, 84 * width
    products = 784 * c1 * 25 + 100 * c3 * c1 * 25 + 25 * c3 * c5 + c5 * f6 + f6 * 10
    return batch * (2 * products + 784 * c1 + 100 * c3 + c5 + f6 + 10)


def bytes_moved(batch):
    """An image of 28 × 28 in float32, and its label in int64."""
    return batch * (784 * 4 + 8)


orders = {}
print("              batch   MFLOP     MB   orders   MB over the bus   FLOP per byte over the bus")
for width in (NARROW, WIDE):
    sizes = [parameter.numel() for parameter in lenet5(width).parameters()]
    for batch in BATCHES:
        orders[width, batch] = bills(step_on("cpu", batch, width), sizes)
        flop, touched = np.sum(orders[width, batch], axis=0)
        moved = bytes_moved(batch)
        print(
            f"{width} × LeNet-5 {batch:8d} {flop / 1e6:8.1f} {touched / 1e6:6.1f} {len(orders[width, batch]):8d} "
            f"{moved / 1e6:17.3f} {flop / moved:28,.0f}"
        )
        learning = flop - 12 * sum(sizes)
        assert 2.5 < learning / flop_forward(batch, width) < 3.2
        assert moved == sum(x[:batch].numpy().nbytes for x in train_set.tensors)

assert len({len(found) for found in orders.values()}) == 1

# %% [markdown]
# Forward and backward are about three times the forward pass: the backward pass has two products for each one there.
# The columns grow differently. Arithmetic and the bytes over the bus are paid for each *image*; so the FLOP for each
# byte that moves hardly depend on the batch, and no batch makes a slow bus good. The orders are paid for each *step*,
# and a larger batch shares them.
#
# ## What the CPU does
#
# Steps, timed in a row; the data lie where they are needed. (On a GPU the clock must wait for the queue,
# `ml.cuda.synchronize()`, or it measures how fast the host can give orders.)


# %%
def wait(device):
    if device != "cpu":
        ml.cuda.synchronize(device)


def seconds(call, device, in_a_row=1):
    """Of one call, among several in a row; the shortest of some such rows, after one call that is not counted."""
    call()
    wait(device)
    times, end = [], time.perf_counter() + (0.02 if FAST else 0.5)
    while len(times) < 2 or time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(in_a_row):
            call()
        wait(device)
        times.append((time.perf_counter() - start) / in_a_row)
    return min(times)


ROW = 2 if FAST else 10
on_cpu = {key: seconds(step_on("cpu", key[1], key[0]), "cpu") for key in orders}
on_gpu = {key: seconds(step_on(target, key[1], key[0]), target, ROW) for key in orders} if GPU else {}


def fetching(batch):
    """Seconds to gather a batch from the data set, in a new order."""
    loader = DataLoader(Subset(train_set, range(batch)), batch, shuffle=True)
    return seconds(lambda: next(iter(loader)), "cpu")


HOST = on_cpu[NARROW, 1]
FETCH = {batch: fetching(batch) for batch in BATCHES}
print(f"measured: a step of LeNet-5 with one image takes {1e3 * HOST:.2f} ms on the CPU, nearly all of it Python;")
print("to gather a batch takes", ", ".join(f"{1e3 * FETCH[n]:.2f} ms for {n}" for n in (BATCHES[0], BATCHES[-1])))

if GPU:
    step = step_on(target, BATCHES[-1], WIDE)
    step()
    wait(target)
    start = time.perf_counter()
    step()
    queued = time.perf_counter() - start
    wait(target)
    done = time.perf_counter() - start
    print(
        f"measured: the host has queued a large step after {1e3 * queued:.2f} ms; the GPU has done it after {1e3 * done:.2f} ms"
    )

# %% [markdown]
# ## What a GPU would do
#
# A model with a queue. The host gathers the batch; then it needs for the step the Python time just measured, and on top
# of it a fixed time for each order. The GPU begins an order when it has come and the one before is done, and needs for
# it the roofline's $\max(\text{FLOP} / P, \text{bytes} / B)$, but never less than a kernel takes to begin and to end.
#
# The five numbers below are **assumptions**, round ones, of the order of what a mid-range card on PCI Express 3.0 × 16
# has on its data sheet: not measurements. The model is kind to the GPU: every operation is one kernel and reaches the
# roofline, and the queue has room for all that comes. Put in the numbers of your own card.

# %%
ASSUMED = {
    "peak": 10e12,  # FLOP/s in float32
    "memory": 400e9,  # bytes/s between the GPU and its memory
    "bus": 12e9,  # bytes/s from the host to the GPU
    "launch": 10e-6,  # seconds of the host for each order
    "kernel": 3e-6,  # seconds that a kernel takes at least
}
LIMITS = ("the kernel's start and end", "memory", "arithmetic")


def kernel_times(found):
    """(seconds, what limits: an index into LIMITS) of each order on the assumed GPU."""
    bounds = [(ASSUMED["kernel"], touched / ASSUMED["memory"], flop / ASSUMED["peak"]) for flop, touched in found]
    return [(max(each), int(np.argmax(each))) for each in bounds]


def queue(found, batch, ahead, look, steps):
    """The timetable of a training on the assumed GPU: {row: (step, start, end) of everything done there}.

    batch: how many images are gathered and moved for each step; 0 where they stay on the GPU.
    ahead: a loader sends each batch while the one before is worked on; else the copy stands in the queue itself.
    look: the host asks for the loss after each step, and waits for it.
    """
    fetch, move = FETCH.get(batch, 0), bytes_moved(batch) / ASSUMED["bus"]
    table = {"host": [], "bus": [], "GPU": []}
    host = bus = gpu = begun = 0.0
    for step in range(steps):
        start = host
        host += fetch
        if ahead:
            sent = max(bus, begun)  # it was gathered a step ago; what is gathered now is for the next one
            bus = arrived = sent + move
        else:
            sent = max(host, gpu)
            gpu = arrived = sent + move
        table["bus"].append((step, sent, arrived))
        begun = host
        for duration, _ in kernel_times(found):
            host += HOST / len(found) + ASSUMED["launch"]
            gpu = max(host, gpu, arrived) + duration
            table["GPU"].append((step, gpu - duration, gpu))
        table["host"].append((step, start, host))
        if look:
            host = gpu
    return table


def computed(found, batch, ahead, look):
    """Seconds for each step, once the queue is running: of the last 8 of 40."""
    ends = [end for _, _, end in queue(found, batch, ahead, look, steps=40)["GPU"]]
    return (ends[-1] - ends[32 * len(found) - 1]) / 8


WAYS = {  # name: (sent ahead by the loader, looked at in each step)
    "by hand, float(loss)": (False, True),
    "by hand": (False, False),
    "loader, float(loss)": (True, True),
    "loader": (True, False),
}
model_times = {
    key: {name: computed(found, key[1], *way) for name, way in WAYS.items()} for key, found in orders.items()
}
for key, found in orders.items():
    host = FETCH[key[1]] + HOST + len(found) * ASSUMED["launch"]
    gpu = sum(duration for duration, _ in kernel_times(found))
    by_way, bus = model_times[key], bytes_moved(key[1]) / ASSUMED["bus"]
    least = max(host, gpu, bus)
    assert 0.97 * least < by_way["loader"] < 1.001 * least  # the slowest of the three sets the pace
    assert all(0.97 * by_way["loader"] < each < 1.001 * (host + gpu + bus) for each in by_way.values())

# %% [markdown]
# ## When does a GPU pay?
#
# At the batch at which the two curves cross. Below it the host cannot even give the orders in the time in which it
# could have done the work itself.


# %%
def crossover(times, width):
    """The batch from which the GPU is faster, on straight lines between logarithms; None if not up to the largest."""
    gains = [np.log(on_cpu[width, batch] / times[width, batch]) for batch in BATCHES]
    if gains[-1] <= 0:
        return None
    first = max((i + 1 for i, gain in enumerate(gains) if gain <= 0), default=0)
    if first == 0:
        return BATCHES[0]
    share = -gains[first - 1] / (gains[first] - gains[first - 1])
    return float(BATCHES[first - 1] * (BATCHES[first] / BATCHES[first - 1]) ** share)


def said(batch):
    if batch is None:
        return f"> {BATCHES[-1]}"
    return f"≤ {BATCHES[0]}" if batch == BATCHES[0] else f"{batch:.0f}"


model_gpu = {key: computed(found, 0, ahead=True, look=False) for key, found in orders.items()}
print("milliseconds per step    CPU, measured   GPU, measured   GPU, computed")
for (width, batch), cpu in on_cpu.items():
    measured = f"{1e3 * on_gpu[width, batch]:.3f}" if GPU else "–"
    print(f"{width} × LeNet-5 {batch:9d} {1e3 * cpu:15.3f} {measured:>15s} {1e3 * model_gpu[width, batch]:15.3f}")
print("the transfer of the batch, apart, in milliseconds")
for batch in BATCHES:
    images = train_set.images[:batch]
    measured = f"{1e3 * seconds(lambda x=images: x.to(target), target, ROW):.3f}" if GPU else "–"
    print(f"{batch:21d} {measured:>31s} {1e3 * bytes_moved(batch) / ASSUMED['bus']:15.3f}")
crossings = {}
for width in (NARROW, WIDE):
    crossings[width] = {"computed": crossover(model_gpu, width)}
    if GPU:
        crossings[width]["measured"] = crossover(on_gpu, width)
    found = ", ".join(f"{name} {said(batch)}" for name, batch in crossings[width].items())
    print(f"{width} × LeNet-5: the GPU is faster from a batch of: {found}")

narrow, wide = (crossings[width]["computed"] or np.inf for width in (NARROW, WIDE))
assert wide <= narrow and narrow > 1

# %% [markdown]
# The GPU's time is flat as long as the host is what limits: more images are free until the kernels take longer than
# the orders. A step with more work behind each order crosses earlier. So a small network on small batches belongs on
# the CPU, and whoever has a GPU gives it large batches, wide layers or few, fused operations.
#
# ## What moves, and what waits
#
# | on the host | |
# |---|---|
# | an operation, `backward()`, `optimizer.step()` | gives orders and goes on |
# | `x.to("cuda")` | copies into page-locked memory, puts the transfer into the queue, goes on |
# | `loss.item()`, `float(loss)`, `x.cpu()`, `x.tolist()`, `print(x)`, `if x > 0:` | waits for the whole queue, then moves the answer |
# | `x[mask]`, `nonzero`, `unique` | waits: the shape of the result depends on values |
# | `ml.cuda.synchronize()` | waits, moves nothing; for clocks |
#
# A wait costs more than the few bytes that it brings. When the host goes on, the GPU has nothing to do until the first
# order of the next step comes, and whatever the host does in between (gather a batch, change its images, write a log)
# is no longer hidden behind the GPU's work. Where the host is the slower one anyway, a wait costs little. An error that
# only the GPU can see, such as a label that is no class, is reported at the next wait: one byte comes along for each
# step that might have had one.
#
# Four ways to train, which differ in nothing but this: who moves the batch, and whether the loop looks at the loss in
# each step or keeps the losses where they are and looks once, at the end.

# %%
WIDTH, BATCH = PLACE = (NARROW, 64) if FAST else (WIDE, 256)
part = Subset(train_set, range(10 * BATCH))


def epoch(device, ahead, look):
    """(losses, final weights, seconds per step) of one pass."""
    ml.manual_seed(0)
    model = lenet5(WIDTH).to(device)
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    loader = DataLoader(part, BATCH, shuffle=True, generator=ml.Generator(0), device=device if ahead else None)
    losses = []
    wait(device)
    start = time.perf_counter()
    for images, labels in loader:
        images, labels = images.to(device), labels.to(device)  # nothing to do where they are there already
        loss = train_step(model, optimizer, images, labels)
        losses.append(float(loss) if look else loss)
    losses = losses if look else ml.stack(losses).tolist()  # one wait, at the end
    spent = (time.perf_counter() - start) / len(loader)
    return losses, [parameter.detach().cpu().numpy() for parameter in model.parameters()], spent


epoch(target, True, False)  # not counted
way_times, (losses, weights, _) = {}, epoch(target, *WAYS["loader"])
column = "GPU, measured" if GPU else "CPU, measured"
print(f"{WIDTH} × LeNet-5, batch {BATCH}, ms per step   {column}   GPU, computed")
for name, way in WAYS.items():
    other_losses, other_weights, way_times[name] = epoch(target, *way)
    print(f"{name:35s} {1e3 * way_times[name]:14.2f} {1e3 * model_times[PLACE][name]:15.2f}")
    assert other_losses == losses
    assert all(np.array_equal(a, b) for a, b in zip(weights, other_weights, strict=True))

# %% [markdown]
# The losses and the final weights are the same to the bit in all four: none of this is about what is computed. On the
# CPU all four take the same time up to noise, for there is nothing to move and nobody to wait for. `training.fit`
# checks the loss of every step, and so waits once in each.
#
# How often does a program move a batch by hand? The profiler sees it.

# %%
ml.manual_seed(0)
model = lenet5().to(target)
optimizer = optim.SGD(model.parameters(), lr=0.1)
images, labels = (x[:BATCH] for x in train_set.tensors)
with ml.profile() as prof:
    train_step(model, optimizer, images.to(target), labels.to(target))
copies = [event for event in prof.events if event.name == "to_device"]
moved = sum(event.bytes for event in copies) // 2  # it counts what is read here and written there
print(f"a step by hand on {target!r}: {len(copies)} copies to the device, of {moved:,} bytes")

assert (len(copies), moved) == ((2, bytes_moved(BATCH)) if GPU else (0, 0))

# %% [markdown]
# ## The whole training
#
# A program that runs on both says where once, at the top, and hands it to the model and to the loaders. The last
# lines do not know where they run.

# %%
EPOCHS, GATE = (1, 0.85) if FAST else (6, 0.97)
ml.manual_seed(0)
model = lenet5().to(target)
optimizer = optim.Adam(model.parameters(), lr=0.01)
loader = DataLoader(train_set, 64, shuffle=True, generator=ml.Generator(0), device=target)
history = fit(
    model,
    optimizer,
    F.cross_entropy,
    loader,
    epochs=EPOCHS,
    val_loader=DataLoader(test_set, 500, device=target),
    metrics={"accuracy": accuracy},
    scheduler=optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.01, total_steps=EPOCHS * len(loader)),
    schedule_by="step",
)
test_accuracy = history[-1]["val_accuracy"]
print(f"LeNet-5, trained on {target!r}: {test_accuracy:.1%} of {len(test_set)} test images right")

assert test_accuracy >= GATE

# %% [markdown]
# ## The picture
#
# Top: what a step moves; the step times and where they cross; which of its three prices an order on the assumed GPU
# pays, as shares of the GPU's time. Bottom: the timetable of three ways to train on the assumed GPU; two shades tell
# the steps apart. Without a look the host may be steps ahead of the GPU.

# %%
BLUE, RED, GREEN, GRAY = "#1f6eb4", "#c8402f", "#2d9150", "#8a8a8a"
BEGUN = 5  # the first step to be drawn: by then the queue is running

figure = plt.figure(figsize=(15, 9), layout="constrained")
top, bottom = figure.subfigures(2, 1, height_ratios=(1, 1))
batch_ax, time_ax, share_ax = top.subplots(1, 3, width_ratios=(0.85, 1.2, 1.2))

mosaic = train_set.images[:64].numpy().reshape(8, 8, 28, 28).transpose(0, 2, 1, 3).reshape(224, 224)
batch_ax.imshow(mosaic, cmap="gray_r")
batch_ax.set(
    title=f"to the GPU: 64 images and labels, {bytes_moved(64) / 1e3:.0f} KB;\nback, if asked for: the loss, 4 bytes"
)
batch_ax.set(xticks=[], yticks=[])

for width, marker in ((NARROW, "o"), (WIDE, "s")):
    curves = [("CPU, measured", on_cpu, BLUE, "-"), ("GPU, computed", model_gpu, RED, "--")]
    curves += [("GPU, measured", on_gpu, GREEN, "-")] if GPU else []
    for name, times, color, style in curves:
        values = [1e3 * times[width, batch] for batch in BATCHES]
        time_ax.plot(
            BATCHES, values, style, color=color, marker=marker, markersize=5, label=f"{width} × LeNet-5, {name}"
        )
time_ax.set(title="time of a step", xlabel="batch", ylabel="ms", xscale="log", yscale="log")
time_ax.set_xticks(BATCHES, BATCHES)
time_ax.minorticks_off()
time_ax.yaxis.set_major_formatter("{x:g}")
time_ax.grid(alpha=0.3)
time_ax.legend(fontsize=8, loc="upper left")
time_ax.set_ylim(None, 8 * time_ax.get_ylim()[1])

places = {key: i + (key[0] == WIDE) * 0.6 for i, key in enumerate(orders)}
below = np.zeros(len(places))
for limit, (name, color) in enumerate(zip(LIMITS, ("#d9d9d9", "#e8a33d", BLUE), strict=True)):
    parts = [
        sum(duration for duration, what in kernel_times(found) if what == limit)
        / sum(duration for duration, _ in kernel_times(found))
        for found in orders.values()
    ]
    share_ax.bar(list(places.values()), 100 * np.array(parts), 0.8, 100 * below, color=color, label=name)
    below += parts
share_ax.set(title="assumed GPU: what its time goes into", ylabel="% of the time of its kernels", ylim=(0, 122))
share_ax.set_yticks(ticks := range(0, 101, 20), ticks)
share_ax.set_xticks(list(places.values()), [batch for _, batch in places])
share_ax.set_xlabel(f"batch (left: {NARROW} × LeNet-5, right: {WIDE} × LeNet-5)")
share_ax.legend(fontsize=8, loc="upper center", ncols=3, frameon=False)

plan_ax = bottom.subplots()
ROWS = {"host": BLUE, "bus": GREEN, "GPU": RED}
shown = ["by hand, float(loss)", "by hand", "loader"]
heights, window = {}, 0.0
for i, name in enumerate(shown):
    table = queue(orders[PLACE], BATCH, *WAYS[name], steps=12)
    zero = next(start for step, start, _ in table["host"] if step == BEGUN)
    window = max(window, 1.02e3 * 3 * model_times[PLACE][name])
    for j, (row, color) in enumerate(ROWS.items()):
        heights[name, row] = -4 * i - j
        for step, start, end in table[row]:
            shade = 1.0 if step % 2 else 0.45
            plan_ax.barh(-4 * i - j, 1e3 * (end - start), 0.8, 1e3 * (start - zero), color=color, alpha=shade)
plan_ax.set_yticks(list(heights.values()), [f"{name}:  {row}" if row == "host" else row for name, row in heights])
plan_ax.set(xlim=(0, window), xlabel="ms", title=f"computed: {WIDTH} × LeNet-5, batch {BATCH}, on the assumed GPU")
save_picture(figure, "08_cpu_and_gpu")

# %% [markdown]
# ## Summary
#
# - The host gives orders, and the GPU works them off: the results are those of the CPU up to rounding.
# - The transfer is paid for each image, the orders for each step. A large batch shares the orders, and nothing else.
# - A GPU pays where a step's work takes the CPU longer than giving the orders: wide layers, large batches.
# - Look at a loss rarely. Keep the losses on the device, and fetch them together.
# - `DataLoader(..., device="cuda")` sends a batch while the one before is worked on.
# - A figure belongs to the machine, and to what was counted in it: wait for the queue before you look at the clock.
#
# ## Exercises
#
# 1. Put the numbers of a card that you know into `ASSUMED`. Which of the five moves the crossover most? Which do not
#    matter here at all?
# 2. An image of 224 × 224 in three colors is 192 times as many bytes as a digit. For which number of FLOP per image
#    does the bus limit, and not the arithmetic? Compare with the networks of lesson 07. What would sending bytes, and
#    converting them to float32 on the GPU, bring?
# 3. In the model, let one kernel do each parameter array's Adam step together with all others. What does that save,
#    and at which batches does it show? (`orders` has ten entries for them.)
# 4. Add `print(loss)` every hundredth step instead of every step. What does a wait cost then, per step?
# 5. Where does `training.evaluate` wait for the GPU? Write an evaluation that waits once.

# %%
finish(
    f"test accuracy {test_accuracy:.1%} on {len(test_set)} images (asserted: at least {GATE:.0%}), trained on {target!r}",
    "losses: " + "; ".join(f"CPU against {name}, {dtype}: {found:.0e}" for (name, dtype), found in differences.items()),
    f"a step of LeNet-5: at least {len(orders[NARROW, 1])} orders; {bytes_moved(64):,} bytes to the GPU for a batch of 64",
    "the GPU is faster from a batch of: "
    + "; ".join(
        f"{width} × LeNet-5: " + ", ".join(f"{said(batch)} ({name})" for name, batch in found.items())
        for width, found in crossings.items()
    ),
)
