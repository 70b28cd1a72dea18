"""What torchvision's networks are called inside and what they say, recorded: the checks do not need torchvision.

Made by ``python -m tests.models._torchvision`` where torchvision is installed; recorded with torchvision 0.28.0.
"""

import hashlib
import math

import numpy as np

# name: settings, side of the image, parameters, SHA-256 of the names and shapes in the state dict, the first six logits
RECORDED = {
    "alexnet": (
        {},
        63,
        61100840,
        "214045a0c08ffc98ff336e7ee348039c2e2bb93a04b93a56d14e322a2b59928c",
        [-2.141828, -0.8339163, -1.71468, 0.5150534, -0.6121049, -1.720428],
    ),
    "vgg11": (
        {"init_weights": False},
        32,
        132863336,
        "a4a2a4a84e73de05a2fb6869320ae9b0cf602896d293acd8b57cd2308d58be35",
        [1.18209, 0.1833503, 3.793585, -0.3990956, -0.5528442, -0.6490228],
    ),
    "vgg16": (
        {"init_weights": False},
        32,
        138357544,
        "6f36a6fd49b61819fe3429a1d054b4aed43d5607734cb122547b4e09a5b717a1",
        [1.111802, -0.02045023, -0.01543753, -0.3827882, -0.6928698, 0.7240154],
    ),
    "vgg16_bn": (
        {"init_weights": False},
        32,
        138365992,
        "5f99e428d932f79ed2b9c1492f12f180bc654131af090a5c4bcd3592856dd598",
        [-1.289987, 3.420323, -0.358032, -0.2082444, -0.3460143, 0.4649065],
    ),
    "googlenet": (
        {"init_weights": False},
        65,
        13004888,
        "e2cf6c5ea7661faddd21ef8021b3150a0ce368e1d2a952fdeba8db9444c62064",
        [8.987279, -6.965973, 3.260613, -9.505014, 10.18777, 6.75141],
    ),
    "inception_v3": (
        {"init_weights": False},
        75,
        27161264,
        "68f61e7f9f937dcd0726f60dc02f2f31da77bba3aaee66694b9dada9bd867db2",
        [1.15756, 0.2806647, -1.503506, -0.9004431, -0.2537191, 0.1554862],
    ),
    "resnet18": (
        {},
        64,
        11689512,
        "761022b221a39ceb0afbf6540088f2c88938ca83e3adf823383af010f42a10c3",
        [12.58642, -26.65639, 42.26637, -3.92843, -13.26764, -17.15753],
    ),
    "resnet34": (
        {},
        33,
        21797672,
        "1a060acae7a42530781fa7013ea03dae3b11715076d9e3c04fdb6c70ddceb544",
        [-668.7709, 273.6811, -539.5863, 50.22825, 65.51704, 593.6272],
    ),
    "resnet50": (
        {},
        64,
        25557032,
        "3fa57287149b51c43a043a424dcd918aaa5a894c977b50e35a9154f41f9c8fd0",
        [-1955.967, 1277.763, 2505.681, 344.0964, 1551.136, -2131.461],
    ),
    "mobilenet_v2": (
        {},
        64,
        3504872,
        "5c45000c8dea04dbc07d2038c9b43d2aac4b77dad25001a7e10fc6fb67ffdd1e",
        [-2.242774, -0.03247323, 5.849791, -0.9499949, -1.099875, -2.116051],
    ),
}

# The same of segmentation networks; instead of logits, the scores of the first three classes at two pixels, by output
SEGMENTATION = {
    "fcn_resnet50": (
        {"aux_loss": True},
        65,
        35322218,
        "f1fa3df5fd6bea1e104e4bc26ebc7dde69569508a2cb3d8f33b067b39ad14b20",
        {
            "out": [-218.1298, -1035.097, -2761.543, -548.5693, 443.4999, -2434.726],
            "aux": [581.1542, -47.70077, 829.7943, 1132.086, 520.5308, 835.9501],
        },
    ),
}


def listing(shapes):
    """SHA-256 of a state dict's names and shapes, in order."""
    text = "".join(f"{name} {tuple(shape)}\n" for name, shape in shapes.items())
    return hashlib.sha256(text.encode()).hexdigest()


def _noise(size=1_000_003):
    """`size` numbers in [-1, 1), the same everywhere: SplitMix64 of 0, 1, 2, …, its upper 24 bits."""
    z = (np.arange(1, size + 1, dtype=np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float32) / np.float32(1 << 23) - np.float32(1)


NOISE = _noise()


def fill(arrays):
    """Overwrite a state dict's arrays: weights that keep the scale of what passes, statistics that matter."""
    for index, (name, array) in enumerate(arrays.items()):
        if array.dtype != np.float32:
            continue
        flat, noise = array.reshape(-1), np.roll(NOISE, 7919 * index)
        assert np.shares_memory(flat, array)
        for start in range(0, flat.size, NOISE.size):
            flat[start : start + NOISE.size] = noise[: flat.size - start]
        if array.ndim > 1:
            flat *= np.float32(math.sqrt(6 / math.prod(array.shape[1:])))
        elif name.endswith(("weight", "running_var")):
            flat *= np.float32(0.5)
            flat += np.float32(1)
        else:
            flat *= np.float32(0.1)


def images(side, count=1):
    """(count, 3, side, side)"""
    return NOISE[: count * 3 * side * side].reshape(count, 3, side, side).copy()


def at_two_pixels(y):
    """The scores of the first three classes at (0, 0) and (9, 20), of (1, C, H, W)."""
    return [*y[0, :3, 0, 0].tolist(), *y[0, :3, 9, 20].tolist()]


def main():
    import torch
    import torchvision

    for name, (settings, side, *_) in RECORDED.items():
        with torch.device("meta"):
            model = getattr(torchvision.models, name)(**settings).eval()
        model.to_empty(device="cpu")
        state = {key: value.numpy() for key, value in model.state_dict().items()}
        fill(state)
        with torch.no_grad():
            logits = model(torch.from_numpy(images(side)))[0, :6].tolist()
        logits = [float(f"{logit:.7g}") for logit in logits]
        parameters = sum(parameter.numel() for parameter in model.parameters())
        shapes = {key: value.shape for key, value in state.items()}
        print(f'    "{name}": ({settings}, {side}, {parameters}, "{listing(shapes)}", {logits}),')
    for name, (settings, side, *_) in SEGMENTATION.items():
        with torch.device("meta"):
            model = getattr(torchvision.models.segmentation, name)(weights_backbone=None, **settings).eval()
        model.to_empty(device="cpu")
        state = {key: value.numpy() for key, value in model.state_dict().items()}
        fill(state)
        with torch.no_grad():
            outputs = model(torch.from_numpy(images(side)))
        scores = {key: [float(f"{v:.7g}") for v in at_two_pixels(y.numpy())] for key, y in outputs.items()}
        parameters = sum(parameter.numel() for parameter in model.parameters())
        shapes = {key: value.shape for key, value in state.items()}
        print(f'    "{name}": ({settings}, {side}, {parameters}, "{listing(shapes)}", {scores}),')


if __name__ == "__main__":
    main()
