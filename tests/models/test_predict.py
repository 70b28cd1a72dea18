"""Whole images: any size, tiles that join without seams, memory that does not grow with the image."""

import subprocess
import sys

import numpy as np
import pytest

import minidl as ml
import minidl.functional as F
from minidl import models, nn
from minidl.errors import ArgumentError, ArgumentTypeError, ShapeError


@pytest.fixture
def unet():
    ml.manual_seed(0)
    return models.UNet(3, 1, (4, 8))  # sees at most 9 pixels far


def image_of(rng, *shape):
    return ml.tensor(rng.standard_normal(shape).astype(np.float32))


def enlarged(image, stride):
    """Reflected below and on the right by NumPy, which also reflects more than once."""
    pixels = image.numpy()
    more = [(0, -size % stride) for size in pixels.shape[1:]]
    return ml.tensor(np.pad(pixels, [(0, 0), *more], mode="reflect"))


@pytest.mark.parametrize(("height", "width"), [(64, 32), (61, 37), (33, 5), (1, 1), (2, 70)])
def test_an_image_of_any_size_is_reflected_to_whole_strides_and_cropped_back(unet, rng, height, width):
    image = image_of(rng, 1, height, width)
    with ml.no_grad():
        expected = unet.eval()(enlarged(image, 32)[None])[0, :, :height, :width]
    found = models.predict_image(unet, image)
    assert found.shape == (3, height, width) and found.dtype == np.float32 and not found.requires_grad
    np.testing.assert_array_equal(found.numpy(), expected.numpy())


@pytest.mark.parametrize(("height", "width"), [(100, 150), (96, 32), (31, 333), (97, 129)])
@pytest.mark.parametrize(("stride", "tile", "overlap"), [(2, 48, 18), (4, 64, 20), (8, 64, 24)])
def test_tiles_give_the_answer_of_the_whole_image(unet, rng, height, width, stride, tile, overlap):
    image = image_of(rng, 1, height, width)
    whole = models.predict_image(unet, image, stride=stride, tile=None)
    tiled = models.predict_image(unet, image, stride=stride, tile=tile, overlap=overlap)
    np.testing.assert_allclose(tiled.numpy(), whole.numpy(), atol=1e-5)


def test_it_would_show_if_tiles_were_cut_where_the_network_lacks_surroundings(unet, rng):
    image = image_of(rng, 1, 96, 96)
    whole = models.predict_image(unet, image, stride=2, tile=None).numpy()
    cut = models.predict_image(unet, image, stride=2, tile=48, overlap=0).numpy()
    wrong = np.abs(cut - whole).max(axis=0) > 1e-3
    assert wrong[47:49].mean() > 0.5 and not wrong[12:36, 12:36].any()


class Ones(nn.Module):
    """Scores that only say where the tile is: 1 inside, `edge` within `reach` pixels of its sides."""

    def __init__(self, reach=0, edge=0.0):
        super().__init__()
        self.reach, self.edge, self.tiles = reach, edge, []

    def forward(self, x):
        self.tiles.append(x.shape[2:])
        y = np.full((1, 2, *x.shape[2:]), self.edge, np.float32)
        inside = slice(self.reach, -self.reach or None)
        y[..., inside, inside] = 1
        return ml.tensor(y)


@pytest.mark.parametrize("overlap", [0, 4, 12])
@pytest.mark.parametrize("size", [31, 32, 33, 40, 57, 100])
def test_weights_sum_to_one_everywhere(overlap, size):
    model = Ones()
    found = models.predict_image(model, ml.zeros(1, size, 32), stride=4, tile=32, overlap=overlap).numpy()
    np.testing.assert_allclose(found, 1, rtol=1e-6)
    assert set(model.tiles) == {(32, 32)}
    own = 32 - 2 * overlap
    assert len(model.tiles) == 1 + max(0, -(-(-(-size // 4) * 4 - 32) // own))


def test_the_outer_quarter_of_a_shared_band_counts_nothing_and_the_middle_fades():
    image = ml.zeros(1, 32, 48)  # two tiles in a row, from 0 and 16, which share 16 columns
    found = models.predict_image(Ones(reach=4, edge=-9), image, stride=8, tile=32, overlap=8).numpy()[0, 16]
    np.testing.assert_allclose(found[4:-4], 1, rtol=1e-6)

    class Left(nn.Module):
        def __init__(self):
            super().__init__()
            self.left = 1.0

        def forward(self, x):
            y, self.left = F.zeros(1, 1, *x.shape[2:]) + self.left, 0.0
            return y

    fading = models.predict_image(Left(), image, stride=8, tile=32, overlap=8).numpy()[0, 0]
    np.testing.assert_allclose(fading[:20], 1)
    np.testing.assert_allclose(fading[20:28], 1 - (np.arange(8) + 0.5) / 8, rtol=1e-6)
    np.testing.assert_allclose(fading[28:], 0)


def test_the_model_runs_in_evaluation_mode_and_comes_back_as_it_was(unet, rng):
    unet.train()
    unet.down[0].eval()  # as a frozen layer
    modes = [module.training for module in unet.modules()]
    before = {name: value.numpy().copy() for name, value in unet.state_dict().items()}
    models.predict_image(unet, image_of(rng, 1, 40, 40))
    assert [module.training for module in unet.modules()] == modes
    for name, value in unet.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])
    with pytest.raises(ShapeError):
        models.predict_image(unet, image_of(rng, 2, 40, 40))
    assert [module.training for module in unet.modules()] == modes


def test_scores_in_a_dict_as_torchvision_gives_them(rng):
    class InDict(nn.Module):
        def forward(self, x):
            return {"out": 2 * x, "aux": x}

    image = image_of(rng, 3, 20, 30)
    np.testing.assert_array_equal(models.predict_image(InDict(), image, tile=None).numpy(), 2 * image.numpy())


def test_float64_stays(unet, rng):
    image = ml.tensor(rng.standard_normal((1, 70, 40)))
    found = models.predict_image(unet.to(ml.float64), image, stride=2, tile=64, overlap=16)
    assert found.dtype == np.float64


@pytest.mark.parametrize("shape", [(32, 32), (1, 1, 32, 32), (1, 0, 32)])
def test_what_is_no_image(unet, shape):
    with pytest.raises(ShapeError, match=r"image must be \(C, H, W\) with at least one pixel, got \(.*one at a time"):
        models.predict_image(unet, ml.zeros(*shape))


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"stride": 0}, "stride must be an integer from 1, got 0"),
        ({"stride": 2.0}, "stride must be an integer from 1, got 2.0"),
        ({"tile": 0}, "tile must be an integer from 1, got 0"),
        ({"tile": True}, "tile must be an integer from 1, got True"),
        ({"overlap": -32}, "overlap must be an integer from 0, got -32"),
        ({"tile": 500}, "tile=500 is no multiple of stride=32; the nearest ones are 480 and 512"),
        ({"overlap": 40}, "overlap=40 is no multiple of stride=32; the nearest ones are 32 and 64"),
        ({"tile": 128, "overlap": 64}, "overlap=64 leaves a tile of 128 pixels no part of its own; take less than 64"),
    ],
)
def test_wrong_settings(unet, settings, match):
    with pytest.raises(ArgumentError, match=match):
        models.predict_image(unet, ml.zeros(1, 8, 8), **settings)


def test_wrong_kinds(unet):
    with pytest.raises(ArgumentTypeError, match="model must be a Module, got function"):
        models.predict_image(lambda x: x, ml.zeros(1, 8, 8))
    with pytest.raises(ArgumentTypeError, match="image must be a Tensor, got ndarray"):
        models.predict_image(unet, np.zeros((1, 8, 8)))


@pytest.mark.parametrize(
    ("forward", "error", "match"),
    [
        (lambda self, x: (x, x), ArgumentTypeError, "or it as 'out', got a tuple"),
        (lambda self, x: {"scores": x}, ArgumentTypeError, r"got a dict of \['scores'\]"),
        (lambda self, x: x.mean((2, 3)), ShapeError, r"the model gives \(1, 1\) for a tile \(1, C, 32, 32\)"),
        (lambda self, x: x[..., 2:-2, 2:-2], ShapeError, r"gives \(1, 1, 28, 28\) .*for a UNet: padding=1"),
    ],
    ids=["tuple", "other dict", "classifier", "smaller"],
)
def test_models_without_scores_for_each_pixel(forward, error, match):
    model = type("Model", (nn.Module,), {"forward": forward})()
    with pytest.raises(error, match=match):
        models.predict_image(model, ml.zeros(1, 20, 20))


LARGE = """
import minidl as ml
from minidl import models, nn
model = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 2, 3, padding=1))
scores = models.predict_image(model, ml.zeros(1, 2000, 2000))
assert scores.shape == (2, 2000, 2000)
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads a process's peak memory from /proc")
def test_four_million_pixels_in_little_memory():
    """The peak of a whole process, interpreter included: about 110 MiB in tiles, 430 MiB with tile=None.

    The network is small to be fast; its maps of the whole image alone would be larger than the bound.
    """
    answer = subprocess.run([sys.executable, "-c", LARGE], capture_output=True, text=True, check=True, timeout=120)
    assert int(answer.stdout) < 256 * 1024, f"{answer.stdout} KiB"
