"""Autoencoders, the VAE and the GANs: shapes, counts, bounds, and second derivatives through the critics."""

import math

import numpy as np
import pytest

import minidl as ml
from minidl import functional as F
from minidl import models, nn, optim
from minidl.autograd import gradcheck, gradgradcheck
from minidl.errors import ArgumentError, DtypeError, GradientError, OutOfRangeError, ShapeError
from minidl.models import critic_gradient_norms, gradient_penalty


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


# The networks of DCGAN


@pytest.mark.parametrize(
    ("size", "channels", "sides"),
    [(28, 1, [7, 14, 28]), (32, 3, [4, 8, 16, 32]), (64, 3, [4, 8, 16, 32, 64]), (48, 1, [6, 12, 24, 48])],
)
def test_from_small_to_large_and_back(size, channels, sides):
    gan = models.DCGAN(size, channels, latent_size=5, width=2)
    seen = []
    for network in (gan.generator.main, gan.discriminator.main):
        for layer in network:
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                layer.register_forward_hook(lambda module, args, y: seen.append(y.shape[1:]))
    x = gan.generate(gan.noise(3))
    assert x.shape == (3, channels, size, size) and abs(x.data).max() <= 1
    assert gan.score(x).shape == (3,)
    widths = [2 * 2**k for k in range(len(sides) - 1)]
    upwards = [(w, s, s) for w, s in zip([*widths[::-1], channels], sides, strict=True)]
    assert seen == [*upwards, *upwards[-2::-1], (1, 1, 1)]


def test_parameters_of_the_widths_of_pytorchs_example():
    gan = models.DCGAN(64, 3)
    assert count(gan.generator) == 3_576_704 and count(gan.discriminator) == 2_765_568


def test_the_rules_of_the_paper():
    """Section 3: where batch norm is, which activations, how weights begin."""
    gan = models.DCGAN(32, width=32)
    kinds = [[type(layer) for layer in network.main] for network in (gan.generator, gan.discriminator)]
    up, down = [nn.ConvTranspose2d, nn.BatchNorm2d, nn.ReLU], [nn.Conv2d, nn.BatchNorm2d, nn.LeakyReLU]
    assert issubclass(kinds[0][0], nn.ConvTranspose2d)
    assert kinds[0][1:] == [*(up * 3)[1:], nn.ConvTranspose2d, nn.Tanh]
    assert kinds[1] == [nn.Conv2d, nn.LeakyReLU, *down * 2, nn.Conv2d]
    for layer in gan.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            assert layer.bias is None
            spread = layer.weight.data.std()
            assert spread == pytest.approx(0.02, rel=5 / math.sqrt(layer.weight.numel()))
        elif isinstance(layer, nn.BatchNorm2d):
            assert abs(layer.weight.data - 1).max() < 0.1 and not layer.bias.data.any()
            assert layer.weight.data.std() > 0.01
    assert gan.discriminator.main[1].negative_slope == 0.2


def test_the_weights_of_pytorchs_example_fit(rng):
    torch = pytest.importorskip("torch")
    nz, w = 7, 3
    up, down = torch.nn.ConvTranspose2d, torch.nn.Conv2d
    generator = torch.nn.Module()
    generator.main = torch.nn.Sequential(
        up(nz, 4 * w, 4, 1, 0, bias=False), torch.nn.BatchNorm2d(4 * w), torch.nn.ReLU(),
        up(4 * w, 2 * w, 4, 2, 1, bias=False), torch.nn.BatchNorm2d(2 * w), torch.nn.ReLU(),
        up(2 * w, w, 4, 2, 1, bias=False), torch.nn.BatchNorm2d(w), torch.nn.ReLU(),
        up(w, 3, 4, 2, 1, bias=False), torch.nn.Tanh(),
    )  # fmt: skip
    discriminator = torch.nn.Module()
    discriminator.main = torch.nn.Sequential(
        down(3, w, 4, 2, 1, bias=False), torch.nn.LeakyReLU(0.2),
        down(w, 2 * w, 4, 2, 1, bias=False), torch.nn.BatchNorm2d(2 * w), torch.nn.LeakyReLU(0.2),
        down(2 * w, 4 * w, 4, 2, 1, bias=False), torch.nn.BatchNorm2d(4 * w), torch.nn.LeakyReLU(0.2),
        down(4 * w, 1, 4, 1, 0, bias=False),
    )  # fmt: skip
    gan = models.DCGAN(32, 3, latent_size=nz, width=w)
    for ours, theirs in ((gan.generator, generator), (gan.discriminator, discriminator)):
        ours.load_state_dict({name: tensor.numpy() for name, tensor in theirs.state_dict().items()})
    z = rng.standard_normal((4, nz)).astype(np.float32)
    expected = generator.main(torch.tensor(z)[:, :, None, None])
    found = gan.generate(ml.tensor(z))
    np.testing.assert_allclose(found.data, expected.detach().numpy(), atol=1e-5)
    scores = discriminator.main(expected).flatten()
    np.testing.assert_allclose(gan.score(found).data, scores.detach().numpy(), atol=1e-4)


@pytest.mark.parametrize(
    ("size", "match"),
    [
        (30, "cannot make images of 30 × 30: .* doubled once or more often, as 28, 32 or 64; pad or resize to 32"),
        (27, "images of 27 × 27.*resize to 28"),
        (7, "resize to 8"),
        (0, "resize to 8"),
        (65, "resize to 80"),
    ],
)
@pytest.mark.parametrize(
    "make", [models.DCGAN, models.SNGAN, models.WGANGP, lambda size: models.ConditionalGAN(10, size)]
)
def test_sizes_that_cannot_be_made(make, size, match):
    with pytest.raises(ArgumentError, match=match):
        make(size)


def test_images_and_noise_of_another_size():
    gan = models.DCGAN(28, width=2)
    with pytest.raises(ShapeError, match=r"images must have shape \(N, 1, 28, 28\), got \(2, 1, 32, 32\)"):
        gan.score(ml.zeros(2, 1, 32, 32))
    with pytest.raises(ShapeError, match=r"z must have shape \(N, 100\), got \(2, 64\)"):
        gan.generate(ml.zeros(2, 64))


# What GANs have in common


GANS = {
    "MLPGAN": (lambda: models.MLPGAN((3, 4), 5, (8,)), (3, 4), "non-saturating"),
    "minimax": (lambda: models.MLPGAN((2,), 5, (8,), output="linear", loss="minimax", dropout=0.5), (2,), "minimax"),
    "DCGAN": (lambda: models.DCGAN(8, 3, 5, width=4), (3, 8, 8), "non-saturating"),
    "ConditionalGAN": (lambda: models.ConditionalGAN(3, 8, 1, 5, width=4), (1, 8, 8), "non-saturating"),
    "SNGAN": (lambda: models.SNGAN(8, 1, 5, width=4), (1, 8, 8), "hinge"),
    "WGAN": (lambda: models.WGAN(8, 1, 5, width=4), (1, 8, 8), "wasserstein"),
    "WGANGP": (lambda: models.WGANGP(8, 1, 5, width=4), (1, 8, 8), "wasserstein"),
}


@pytest.mark.parametrize("name", GANS)
def test_samples_scores_and_losses(name):
    make, shape, loss = GANS[name]
    gan = make()
    samples = gan.sample(6)
    assert samples.shape == (6, *shape) and not samples.requires_grad and gan.training
    assert gan.loss == loss and gan.scores_are_logits == (loss in ("minimax", "non-saturating"))
    labels = None if gan.num_classes is None else F.arange(6) % 3
    real, fake = (gan.score(x, labels) for x in (ml.randn(6, *shape), samples))
    assert gan.discriminator_loss(real, fake).item() == F.discriminator_loss(real, fake, loss).item()
    assert gan.generator_loss(fake).item() == F.generator_loss(fake, loss).item()
    z = gan.noise(6)
    np.testing.assert_array_equal(gan.sample(z=z).data, gan.sample(z=z).data)
    assert abs(gan.sample(z=z).data - gan.sample(6).data).max() > 1e-4


@pytest.mark.parametrize("name", GANS)
def test_some_steps_on_real_batches_lower_the_losses(name):
    """The discriminator against a generator that stands still, then the generator against that discriminator."""
    gan, shape = GANS[name][0](), GANS[name][1]
    labels = None if gan.num_classes is None else F.arange(24) % 3
    real = ml.randn(24, *shape) * 0.3 + 0.5
    losses = {"discriminator": [], "generator": []}
    z = gan.noise(24)
    optimizer = optim.Adam(gan.discriminator.parameters(), lr=0.003, betas=(0.5, 0.9))
    for _ in range(30):
        fake = gan.generate(z, labels).detach()
        loss = gan.discriminator_loss(gan.score(real, labels), gan.score(fake, labels))
        penalty = gan.penalty(real, fake, labels)
        loss = loss if penalty is None else loss + penalty
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        gan.constrain()
        losses["discriminator"].append(loss.item())
    optimizer = optim.Adam(gan.generator.parameters(), lr=0.003, betas=(0.5, 0.9))
    gan.discriminator.requires_grad_(False)
    for _ in range(30):
        loss = gan.generator_loss(gan.score(gan.generate(z, labels), labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses["generator"].append(loss.item())
    for network, values in losses.items():
        assert np.mean(values[-5:]) < np.mean(values[:5]), network


def test_the_best_discriminator():
    """D* = p / (p + q) for two distributions on three points, and V there is 2 JSD − log 4."""
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.3, 0.6])
    scores = ml.tensor(np.log(p / q), requires_grad=True)  # σ(log p/q) = p / (p + q)

    def value(s):
        return (ml.tensor(p) * F.logsigmoid(s) + ml.tensor(q) * F.logsigmoid(-s)).sum()

    (slope,) = ml.grad(value(scores), [scores])
    np.testing.assert_allclose(slope.data, 0, atol=1e-15)
    m = (p + q) / 2
    jsd = 0.5 * (p * np.log(p / m) + q * np.log(q / m)).sum()
    assert value(scores).item() == pytest.approx(2 * jsd - np.log(4), rel=1e-12)


def test_arguments_out_of_range():
    for make, match in (
        (lambda: models.GAN(nn.Linear(2, 2), nn.Linear(2, 1), 2, "least squares"), "unknown kind 'least squares'"),
        (lambda: models.GAN(nn.Linear(2, 2), nn.Linear(2, 1), 0), "latent_size must be at least 1, got 0"),
        (lambda: models.MLPGAN((2, 0)), "sizes must be at least 1, got data_shape=(2, 0)"),
        (lambda: models.MLPGAN(output="relu"), "unknown output 'relu'; there are linear, tanh, sigmoid"),
        (lambda: models.DCGAN(width=0), "width must be at least 1"),
        (lambda: models.DCGANDiscriminator(norm="group"), "unknown norm 'group'; there are batch, layer, none"),
        (lambda: models.WGAN(clip=0), "clip > 0 and n_critic ≥ 1, got 0 and 5"),
        (lambda: models.WGANGP(n_critic=0), "penalty_weight ≥ 0 and n_critic ≥ 1, got 10.0 and 0"),
        (lambda: models.ConditionalGAN(0), "num_classes must be at least 1"),
    ):
        with pytest.raises(ArgumentError) as caught:
            make()
        assert match in str(caught.value)


# Labels


def test_the_label_decides():
    gan = models.ConditionalGAN(3, 8, latent_size=5, width=4)
    z = gan.noise(1).expand(3, 5)
    samples = gan.sample(z=z, labels=ml.tensor([0, 1, 1]))
    assert abs(samples.data[0] - samples.data[1]).max() > 1e-4
    np.testing.assert_allclose(samples.data[1], samples.data[2], atol=1e-6)
    np.testing.assert_allclose(gan.sample(z=z).data[:2], samples.data[:2], atol=1e-6)  # the classes in turn
    scores = gan.eval().score(samples[:1].expand(3, 1, 8, 8), ml.tensor([0, 1, 2]))
    assert len(set(scores.data.tolist())) == 3


@pytest.mark.parametrize(
    ("labels", "error", "match"),
    [
        (ml.tensor([0, 3]), OutOfRangeError, "index 3 is out of range for 3 classes"),
        (ml.tensor([-1, 0]), OutOfRangeError, "index -1"),
        (ml.tensor([0.0, 1.0]), DtypeError, "must be integers, got float32"),
        (ml.tensor([0]), ShapeError, r"2 inputs need labels of shape \(2,\), got \(1,\)"),
        (ml.tensor([[0], [1]]), ShapeError, r"got \(2, 1\)"),
    ],
)
def test_labels_that_are_none(labels, error, match):
    gan = models.ConditionalGAN(3, 8, latent_size=5, width=2)
    with pytest.raises(error, match=match):
        gan.generate(gan.noise(2), labels)
    with pytest.raises(error, match=match):
        gan.score(ml.zeros(2, 1, 8, 8), labels)


# Critics that are held


def test_clipping():
    gan = models.WGAN(8, width=4, clip=0.015)
    before = [parameter.data.copy() for parameter in gan.generator.parameters()]
    gan.constrain()
    largest = [abs(parameter.data).max() for parameter in gan.discriminator.parameters()]
    assert max(largest) == np.float32(0.015)
    for parameter, old in zip(gan.generator.parameters(), before, strict=True):
        np.testing.assert_array_equal(parameter.data, old)


def test_a_spectral_norm_of_one_in_every_layer():
    gan = models.SNGAN(8, width=4)
    for _ in range(40):
        gan.score(ml.randn(2, 1, 8, 8))
    layers = [layer for layer in gan.discriminator.modules() if isinstance(layer, nn.Conv2d)]
    assert len(layers) == 2 and count(gan.discriminator) == 16 * 4 + 4 + 64 + 1
    for layer in layers:
        assert np.linalg.norm(layer.weight.data.reshape(len(layer.weight), -1), 2) == pytest.approx(1, rel=1e-3)


# The gradient penalty


class Penalty(nn.Module):
    """The penalty as a function of the critic's parameters, at the same random points every time."""

    def __init__(self, critic, target=1.0):
        super().__init__()
        self.critic, self.target = critic, target

    def forward(self, real, fake):
        ml.manual_seed(3)
        return gradient_penalty(self.critic, real, fake, target=self.target).reshape(1)


def critics():
    conv = nn.Sequential(
        nn.Conv2d(2, 3, 3, stride=2, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(12, 1), nn.Flatten(0)
    )
    smooth = nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.GroupNorm(1, 4), nn.SiLU(), nn.Flatten(), nn.Linear(16, 1), nn.Flatten(0)
    )
    dense = nn.Sequential(
        nn.Flatten(), nn.Linear(32, 6), nn.LayerNorm(6), nn.Softplus(), nn.Linear(6, 1), nn.Flatten(0)
    )
    return {
        "conv-tanh": conv,
        "conv-group-norm-silu": smooth,
        "layer-norm-softplus": dense,
        "leaky-relu": nn.Sequential(nn.Flatten(), models.MLPDiscriminator((32,), (7, 5))),
    }


@pytest.mark.parametrize("name", critics())
def test_the_gradient_of_the_penalty(rng, name):
    """By finite differences: the first derivative of the penalty is the second of the critic, its second the third."""
    critic = Penalty(critics()[name]).to(ml.float64)
    real, fake = (ml.tensor(rng.standard_normal((3, 2, 4, 4))) for _ in range(2))
    assert gradcheck(critic, [real, fake])
    assert gradgradcheck(critic, [real, fake], mode="directional")


@pytest.mark.parametrize("norm", ["layer", "none"])
def test_the_critic_of_wgan_gp(rng, norm):
    critic = models.DCGANDiscriminator(8, 1, 3, norm=norm).to(ml.float64)
    for parameter in critic.parameters():
        parameter.data *= 10  # slopes that are no rounding noise
    real, fake = (ml.tensor(rng.standard_normal((2, 1, 8, 8))) for _ in range(2))
    assert gradcheck(Penalty(critic), [real, fake])


def test_a_linear_critic_has_its_own_length_as_slope(rng):
    """(‖w‖ − 1)², with the gradient 2 (‖w‖ − 1) w / ‖w‖."""
    critic = nn.Sequential(nn.Linear(5, 1), nn.Flatten(0)).to(ml.float64)
    w = critic[0].weight
    w.data *= 7
    length = np.linalg.norm(w.data)
    real, fake = (ml.tensor(rng.standard_normal((6, 5))) for _ in range(2))
    np.testing.assert_allclose(critic_gradient_norms(critic, real, fake).data, length)
    penalty = gradient_penalty(critic, real, fake, target=2.0)
    assert penalty.item() == pytest.approx((length - 2) ** 2)
    penalty.backward()
    np.testing.assert_allclose(w.grad.data, 2 * (length - 2) * w.data / length)


def test_the_points_lie_between_and_each_has_its_own_place(rng):
    seen = []

    def critic(x):
        seen.append(x.data)
        return (x**2).sum((1, 2))

    real, fake = (
        ml.tensor(rng.standard_normal((50, 3, 2))),
        ml.tensor(rng.standard_normal((50, 3, 2)), requires_grad=True),
    )
    norms = critic_gradient_norms(critic, real, fake)
    share = (seen[0] - fake.data) / (real.data - fake.data)
    np.testing.assert_allclose(share, share[:, :1, :1].repeat(3, 1).repeat(2, 2), atol=1e-6)
    assert 0 <= share.min() < 0.1 and 0.9 < share.max() <= 1 and 0.35 < share.mean() < 0.65
    np.testing.assert_allclose(norms.data, 2 * np.sqrt((seen[0] ** 2).sum((1, 2))))
    assert not norms.requires_grad and fake.grad is None


def test_the_penalty_of_pytorch(rng):
    torch = pytest.importorskip("torch")
    critic = critics()["conv-group-norm-silu"].to(ml.float64)
    theirs = torch.nn.Sequential(
        torch.nn.Conv2d(2, 4, 3), torch.nn.GroupNorm(1, 4), torch.nn.SiLU(), torch.nn.Flatten(), torch.nn.Linear(16, 1)
    ).double()
    theirs.load_state_dict({name: torch.tensor(tensor.numpy()) for name, tensor in critic.state_dict().items()})
    x = rng.standard_normal((4, 2, 4, 4))
    penalty = gradient_penalty(critic, ml.tensor(x), ml.tensor(x))  # real = fake: the points are known
    penalty.backward()
    points = torch.tensor(x, requires_grad=True)
    (slopes,) = torch.autograd.grad(theirs(points).sum(), points, create_graph=True)
    expected = ((slopes.flatten(1).norm(dim=1) - 1) ** 2).mean()
    expected.backward()
    assert penalty.item() == pytest.approx(expected.item(), rel=1e-10)
    for ours, other in zip(critic.parameters(), theirs.parameters(), strict=True):
        gradient = np.zeros(ours.shape) if ours.grad is None else ours.grad.data  # the last bias moves no slope
        reference = np.zeros(ours.shape) if other.grad is None else other.grad.numpy()
        np.testing.assert_allclose(gradient, reference, atol=1e-10)


def test_a_flat_critic_is_no_nan():
    critic = nn.Sequential(nn.Linear(3, 1), nn.Flatten(0))
    critic[0].weight.data[...] = 0
    penalty = gradient_penalty(critic, ml.ones(2, 3), ml.zeros(2, 3))
    penalty.backward()
    assert penalty.item() == 1 and np.isfinite(critic[0].weight.grad.data).all()


def test_what_the_penalty_refuses():
    critic = nn.Sequential(nn.Linear(3, 1), nn.Flatten(0))
    with pytest.raises(ShapeError, match=r"real has shape \(2, 3\) but fake has shape \(3, 3\)"):
        gradient_penalty(critic, ml.ones(2, 3), ml.ones(3, 3))
    with pytest.raises(GradientError):
        gradient_penalty(lambda x: critic(x.detach()), ml.ones(2, 3), ml.ones(2, 3))


def test_batch_norm_under_a_penalty_is_warned_of():
    with pytest.warns(UserWarning, match=r"discriminator.main.3 is a BatchNorm2d. It mixes the samples of a batch"):
        models.WGANGP(discriminator=models.DCGANDiscriminator(width=2), width=2)
    models.WGANGP(discriminator=models.DCGANDiscriminator(width=2, norm="none"), width=2)


def test_own_networks_take_the_place_of_dcgans():
    generator, critic = models.MLPGenerator((2,), 4, (8,), "linear"), models.MLPDiscriminator((2,), (8,))
    for make in (models.WGAN, models.WGANGP):
        gan = make(latent_size=4, generator=generator, discriminator=critic)
        assert gan.generator is generator and gan.score(gan.sample(5)).shape == (5,)


# Autoencoders


@pytest.mark.parametrize("settings", [{}, {"convolutional": True}, {"hidden": ()}, {"hidden": (9,), "output": "tanh"}])
@pytest.mark.parametrize(("size", "channels"), [(28, 1), (32, 3), (64, 1)])
def test_an_image_comes_back_as_an_image(settings, size, channels):
    model = models.Autoencoder(size, channels, 5, **settings)
    x = ml.rand(2, channels, size, size)
    assert model.encode(x).shape == (2, 5) and model(x).shape == x.shape
    low = -1 if settings.get("output") == "tanh" else 0
    assert low <= model(x).data.min() <= model(x).data.max() <= 1


def test_a_linear_autoencoder_can_do_what_principal_components_do(rng):
    x = rng.standard_normal((40, 1, 3, 3)) * np.arange(1, 10).reshape(3, 3)
    flat = x.reshape(40, 9)
    centered = flat - flat.mean(0)
    axes = np.linalg.svd(centered)[2][:4]
    model = models.Autoencoder(3, 1, 4, hidden=(), output="linear").to(ml.float64)
    encoder, decoder = model.encoder[1], model.decoder[0]
    encoder.weight.data[...], encoder.bias.data[...] = axes, -axes @ flat.mean(0)
    decoder.weight.data[...], decoder.bias.data[...] = axes.T, flat.mean(0)
    expected = (np.linalg.svd(centered)[1][4:] ** 2).sum() / x.size
    assert F.mse_loss(model(ml.tensor(x)), ml.tensor(x)).item() == pytest.approx(expected)


@pytest.mark.parametrize("convolutional", [False, True])
def test_training_beats_the_mean_image(rng, convolutional):
    waves = np.sin(np.arange(8) * rng.uniform(0.3, 2, (64, 1)))
    x = ml.tensor((0.5 + 0.5 * waves[:, None, :, None] * waves[:, None, None, :]).astype(np.float32))
    model = models.Autoencoder(8, 1, 3, (16, 24), convolutional=convolutional)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    for _ in range(120):
        loss = F.mse_loss(model(x), x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.3 * x.data.var(0).mean()


def test_corruption_only_while_training():
    model = models.Autoencoder(28, 1, 4, (8,), corruption=0.3)
    x = ml.ones(20, 1, 28, 28)
    assert np.mean(model.corrupt(x).data == 0) == pytest.approx(0.3, abs=0.02)
    assert set(np.unique(model.corrupt(x).data)) == {0, 1}
    assert abs(model(x).data - model(x).data).max() > 0
    model.eval()
    np.testing.assert_array_equal(model(x).data, model(x).data)


def test_what_autoencoders_refuse():
    for make in (models.Autoencoder, models.VAE):
        with pytest.raises(ArgumentError, match=r"2 convolutions halve the side 30 .* must be a multiple of 4"):
            make(30, convolutional=True)
        with pytest.raises(ArgumentError, match=r"sizes must be at least 1, got \(1, 28, 28\), latent_size=0"):
            make(latent_size=0)
        with pytest.raises(ShapeError, match=r"images must have shape \(N, 1, 28, 28\), got \(2, 784\)"):
            make().encode(ml.zeros(2, 784))
    with pytest.raises(ArgumentError, match=r"in \[0, 1\), got 1.0"):
        models.Autoencoder(corruption=1.0)
    with pytest.raises(ArgumentError, match="unknown output 'relu'"):
        models.Autoencoder(output="relu")
    with pytest.raises(ArgumentError, match="'bernoulli' or 'gaussian' and sigma > 0, got 'poisson' and 1.0"):
        models.VAE(likelihood="poisson")


# The VAE


def test_the_kl_is_that_of_a_monte_carlo_estimate(rng):
    mean, log_variance = rng.standard_normal((2, 3, 4))
    sigma = np.exp(log_variance / 2)
    z = mean + sigma * rng.standard_normal((200_000, 3, 4))
    log_q = -0.5 * ((z - mean) / sigma) ** 2 - np.log(sigma)
    estimate = (log_q + 0.5 * z**2).sum(2).mean(0)
    found = models.kl_to_standard_normal(ml.tensor(mean), ml.tensor(log_variance)).data
    np.testing.assert_allclose(found, estimate, rtol=0.01)
    assert not models.kl_to_standard_normal(ml.zeros(2, 3), ml.zeros(2, 3)).data.any()


def test_the_bound_is_tight_where_the_posterior_is_exact(rng):
    """A linear decoder: p(x) is normal and q(z | x) can be the true posterior; then −ELBO is −log p(x)."""
    tau, d, latent = 0.7, 9, 2
    vae = models.VAE(3, 1, latent, (), likelihood="gaussian", sigma=tau).to(ml.float64)
    axes = np.linalg.qr(rng.standard_normal((d, latent)))[0] * [2.0, 0.5]  # orthogonal: a diagonal posterior
    offset = rng.standard_normal(d)
    precision = np.diag(axes.T @ axes) / tau**2 + 1
    encoder, decoder = vae.encoder[1], vae.decoder[0]
    decoder.weight.data[...], decoder.bias.data[...] = axes, offset
    encoder.weight.data[...] = np.concatenate([(axes / tau**2 / precision).T, np.zeros((latent, d))])
    encoder.bias.data[...] = np.concatenate([-(axes / tau**2 / precision).T @ offset, -np.log(precision)])
    x = offset + 2 * rng.standard_normal((5, d))
    covariance = axes @ axes.T + tau**2 * np.eye(d)
    squared = ((x - offset) @ np.linalg.inv(covariance) * (x - offset)).sum(1)
    log_p = -0.5 * (squared + np.linalg.slogdet(covariance)[1] + d * np.log(2 * np.pi))
    images = ml.tensor(x.reshape(5, 1, 3, 3).repeat(4000, 0))
    terms = vae.negative_elbo(images)
    assert terms.loss.item() == pytest.approx(-log_p.mean(), rel=2e-3)
    assert terms.loss.item() == terms.reconstruction.item() + terms.kl.item()
    encoder.bias.data[0] += 0.5  # any other q is worse, by KL(q ‖ posterior)
    gap = 0.5 * 0.5**2 * precision[0]
    assert vae.negative_elbo(images).loss.item() == pytest.approx(-log_p.mean() + gap, rel=2e-3)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_the_terms_and_their_gradient(rng, likelihood):
    vae = models.VAE(4, 1, 2, (5,), likelihood=likelihood, sigma=0.5).to(ml.float64)
    x = ml.tensor(rng.random((3, 1, 4, 4)))

    class Bound(nn.Module):
        def __init__(self):
            super().__init__()
            self.vae = vae

        def forward(self, x):
            ml.manual_seed(1)
            return self.vae.negative_elbo(x).loss

    bound = Bound()
    assert gradcheck(bound, [x], mode="directional")
    ml.manual_seed(1)
    outputs = vae(x)
    s = outputs.scores.data
    if likelihood == "bernoulli":
        p = 1 / (1 + np.exp(-s))
        expected = -(x.data * np.log(p) + (1 - x.data) * np.log(1 - p)).sum() / 3
    else:
        expected = (0.5 * ((x.data - s) / 0.5) ** 2 + np.log(0.5) + 0.5 * np.log(2 * np.pi)).sum() / 3
    kl = models.kl_to_standard_normal(outputs.mean, outputs.log_variance).data.mean()
    assert vae.loss(outputs, x).item() == pytest.approx(expected + kl, rel=1e-12)
    assert bound(x).item() == vae.loss(outputs, x).item()


def test_draws_have_the_mean_and_variance_that_were_asked_for():
    vae = models.VAE(4, 1, 2, (5,))
    mean, log_variance = ml.tensor([[1.0, -2.0]]).expand(100_000, 2), ml.tensor([[0.0, -1.5]]).expand(100_000, 2)
    z = vae.reparameterize(mean, log_variance).data
    np.testing.assert_allclose(z.mean(0), [1, -2], atol=0.02)
    np.testing.assert_allclose(z.var(0), np.exp([0, -1.5]), rtol=0.03)


@pytest.mark.parametrize("convolutional", [False, True])
def test_a_vae_learns_and_generates(rng, convolutional):
    bars = np.zeros((64, 1, 8, 8), np.float32)
    for image, place in zip(bars, rng.integers(0, 8, 64), strict=True):
        image[:, place] = 1
    x = ml.tensor(bars)
    vae = models.VAE(8, 1, 2, (16, 24), convolutional=convolutional)
    optimizer = optim.Adam(vae.parameters(), lr=0.01)
    values = []
    for _ in range(150):
        loss = vae.loss(vae(x), x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    p = bars.mean(0)
    independent = -(p * np.log(p) + (1 - p) * np.log(1 - p)).sum()  # each pixel by itself
    assert np.mean(values[-10:]) < 0.8 * independent < values[0]
    samples = vae.sample(9)
    assert samples.shape == (9, 1, 8, 8) and 0 <= samples.data.min() <= samples.data.max() <= 1
    assert not samples.requires_grad and vae.training
    np.testing.assert_array_equal(vae.sample(z=ml.ones(1, 2)).data, vae.sample(z=ml.ones(1, 2)).data)
