"""The training of two networks: who is updated by what, resumed to the bit, stopped at a NaN, and its alarms."""

import warnings

import numpy as np
import pytest

import minidl as ml
from minidl import functional as F
from minidl import metrics, models, nn, optim
from minidl.data import DataLoader, TensorDataset
from minidl.errors import ArgumentError, ArgumentTypeError, NonFiniteError, StateDictError
from minidl.training import Callback, Checkpoint, FixedNoiseSamples, GeneratorEMA, fit_gan
from minidl.weights import load

EPOCHS, BATCHES = 3, 4  # 22 samples in batches of 6


def optimizers(gan, lr=0.01):
    return [optim.Adam(network.parameters(), lr=lr, betas=(0.5, 0.9)) for network in (gan.generator, gan.discriminator)]


def values(module):
    return {name: tensor.data.copy() for name, tensor in module.state_dict().items()}


def assert_equal(one, other):
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)


def images(count=22):
    rng = np.random.default_rng(0)
    return ml.tensor(rng.random((count, 1, 8, 8), dtype=np.float32) * 2 - 1)


def dcgan(**settings):
    return models.DCGAN(8, latent_size=3, width=3, **settings)


# Who is updated


class Steps(Callback):
    def __init__(self, gan):
        self.gan, self.before, self.seen = gan, values(gan), []

    def on_step_end(self, run):
        after = values(self.gan)
        parameters = dict(self.gan.named_parameters())
        self.seen.append({name for name in parameters if (after[name] != self.before[name]).any()})
        self.before = after


def test_the_generator_has_its_turn_every_n_critic_steps():
    gan = models.WGAN(8, latent_size=3, width=3, n_critic=3)
    recorder = Steps(gan)
    history = fit_gan(gan, *optimizers(gan), [images(6)] * 7, epochs=1, callbacks=[recorder], progress=False)
    networks = [{name.split(".")[0] for name in changed} for changed in recorder.seen]
    alone, both = {"discriminator"}, {"discriminator", "generator"}
    assert networks == [alone, alone, both, alone, alone, both, alone]
    assert max(abs(parameter.data).max() for parameter in gan.discriminator.parameters()) <= np.float32(0.01)
    assert all(parameter.requires_grad for parameter in gan.parameters())
    history = fit_gan(gan, *optimizers(gan), [images(6)] * 2, epochs=1, progress=False)
    assert np.isnan(history[0]["loss_g"]) and np.isfinite(history[0]["loss_d"])


def test_a_step_is_algorithm_1():
    """The same written out: two batches through the discriminator, its update, new noise, the generator's update."""
    ml.manual_seed(5)
    gan = dcgan()
    history = fit_gan(gan, *optimizers(gan), [images(6)], epochs=2, progress=False)

    ml.manual_seed(5)
    other = dcgan()
    of_generator, of_discriminator = optimizers(other)
    real, records = images(6), []
    for _ in range(2):
        fake = other.generator(other.noise(6)).detach()
        r, f = other.discriminator(real), other.discriminator(fake)
        loss_d = -F.logsigmoid(r).mean() - F.logsigmoid(-f).mean()
        of_discriminator.zero_grad()
        loss_d.backward()
        norm = np.sqrt(sum((p.grad.data.astype(float) ** 2).sum() for p in other.discriminator.parameters()))
        of_discriminator.step()
        loss_g = -F.logsigmoid(other.discriminator(other.generator(other.noise(6)))).mean()
        other.zero_grad()
        loss_g.backward()
        of_generator.step()
        records.append([loss_d.item(), r.sigmoid().mean().item(), f.sigmoid().mean().item(), norm, loss_g.item()])
    assert_equal(values(gan), values(other))
    found = [[record[name] for name in ("loss_d", "d_real", "d_fake", "grad_d", "loss_g")] for record in history]
    np.testing.assert_allclose(found, records, rtol=1e-5)


def test_real_and_generated_never_share_a_batch():
    """Each goes through the discriminator by itself, so batch norm's running mean moves once for each of three."""
    gan = dcgan()
    batches = []
    gan.discriminator.register_forward_pre_hook(lambda module, args: batches.append(args[0]))
    real = images(6)
    fit_gan(gan, *optimizers(gan), [real], epochs=1, progress=False)
    assert len(batches) == 3 and all(len(batch) == 6 for batch in batches)
    np.testing.assert_array_equal(batches[0].data, real.data)
    assert not batches[1].requires_grad and batches[2].requires_grad
    assert abs(batches[1].data - batches[2].data).max() > 1e-4  # new noise

    gan = models.DCGAN(16, latent_size=3, width=3)
    norm = next(layer for layer in gan.discriminator.main if isinstance(layer, nn.BatchNorm2d))
    means = []
    norm.register_forward_pre_hook(lambda module, args: means.append(args[0].data.mean((0, 2, 3))))
    fit_gan(gan, *optimizers(gan), [ml.rand(6, 1, 16, 16)], epochs=1, progress=False)
    expected = np.zeros(6)
    for mean in means:
        expected = 0.9 * expected + 0.1 * mean
    assert len(means) == 3
    np.testing.assert_allclose(norm.running_mean.data, expected, rtol=1e-4)


def test_modes_and_what_is_frozen_come_back():
    gan = dcgan().eval()
    frozen = gan.discriminator.main[0].weight
    frozen.requires_grad_(False)
    before = frozen.data.copy()
    trained = [p for p in gan.discriminator.parameters() if p is not frozen]
    adam = optim.Adam(trained, lr=0.01)
    fit_gan(gan, optimizers(gan)[0], adam, [images(6)], epochs=1, progress=False)
    assert not gan.training and not gan.generator.main[1].training and not frozen.requires_grad
    np.testing.assert_array_equal(frozen.data, before)


def test_labels_reach_both_networks():
    gan = models.ConditionalGAN(3, 8, latent_size=3, width=3)
    seen = []
    for network in (gan.generator, gan.discriminator):
        network.register_forward_pre_hook(lambda module, args: seen.append(args[1].tolist()))
    fit_gan(gan, *optimizers(gan), [(images(3), ml.tensor([2, 0, 1]))], epochs=1, progress=False)
    assert seen == [[2, 0, 1]] * 5
    plain = dcgan()
    fit_gan(plain, *optimizers(plain), [(images(3), ml.tensor([2, 0, 1]))], epochs=1, progress=False)  # not needed
    with pytest.raises(ArgumentError, match="this GAN has classes, but the loader gives no labels"):
        fit_gan(gan, *optimizers(gan), [images(3)], epochs=1, progress=False)


def test_the_numbers_of_an_epoch_weigh_batches_by_their_size():
    gan = models.MLPGAN((1, 8, 8), 3, (5,))
    seen = []

    class Note(Callback):
        def on_step_end(self, run):
            seen.append(dict(run.values))

    x = images(8)
    (record,) = fit_gan(gan, *optimizers(gan), [x[:6], x[6:]], epochs=1, callbacks=[Note()], progress=False)
    assert list(record) == ["epoch", "loss_d", "d_real", "d_fake", "grad_d", "loss_g", "grad_g"]
    for name in ("loss_d", "loss_g", "d_real", "grad_g"):
        assert record[name] == pytest.approx((6 * seen[0][name] + 2 * seen[1][name]) / 8)


# What is kept on the way


def test_the_average_of_the_generator():
    gan = dcgan()
    ema = GeneratorEMA(gan, decay=0.3)
    expected, shares = values(gan.generator), []

    class Follow(Callback):
        def on_generator_step(self, run):
            share = 1 - min(0.3, run_count() / (run_count() + 9))
            shares.append(share)
            for name, new in values(gan.generator).items():
                kept = expected[name]
                expected[name] = kept + share * (new - kept) if new.dtype.kind == "f" else new

    def run_count():
        return ema.updates

    fit_gan(gan, *optimizers(gan), [images(6)] * 5, epochs=1, callbacks=[ema, Follow()], progress=False)
    np.testing.assert_allclose(shares, [0.9, 9 / 11, 0.75, 0.7, 0.7])
    for name, value in values(ema.generator).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-7, err_msg=name)
    assert not any(parameter.requires_grad for parameter in ema.generator.parameters())
    assert not ema.generator.training and ema.generator(gan.noise(2)).shape == (2, 1, 8, 8)
    with pytest.raises(ArgumentError, match=r"decay must lie in \[0, 1\), got 1"):
        GeneratorEMA(gan, 1)


def test_samples_of_the_same_noise():
    gan = models.ConditionalGAN(3, 8, latent_size=3, width=3)
    recorder = FixedNoiseSamples(gan, 4, every=2)
    of_average = FixedNoiseSamples(gan, 2, labels=ml.tensor([2, 2]), generator=(ema := GeneratorEMA(gan)).generator)
    first = gan.sample(z=recorder.z).data.copy()
    batch = (images(6), F.arange(6) % 3)
    fit_gan(gan, *optimizers(gan), [batch], epochs=5, callbacks=[ema, recorder, of_average], progress=False)
    assert recorder.epochs == [0, 2, 4] and of_average.epochs == [0, 1, 2, 3, 4, 5]
    np.testing.assert_array_equal(recorder.batches[0], first)
    assert recorder.labels.tolist() == [0, 1, 2, 0] and recorder.batches[2].shape == (4, 1, 8, 8)
    assert abs(recorder.batches[1] - recorder.batches[2]).max() > 1e-4
    np.testing.assert_array_equal(of_average.batches[-1], ema.generator(of_average.z, of_average.labels).data)
    with pytest.raises(ArgumentError, match="count and every must be at least 1, got 0 and 1"):
        FixedNoiseSamples(gan, 0)


# Stopped and resumed


class Kill(Exception):
    """What a power cut looks like to the tests."""


class KillAt(Callback):
    def __init__(self, step):
        self.step = step

    def on_step_end(self, run):
        if run.step == self.step:
            raise Kill("now")


MAKERS = {
    "dcgan": dcgan,
    "mlp-dropout": lambda: models.MLPGAN((1, 8, 8), 3, (6,), dropout=0.3),
    "conditional": lambda: models.ConditionalGAN(3, 8, latent_size=3, width=3),
    "spectral": lambda: models.SNGAN(8, latent_size=3, width=3),
    "wgan-gp": lambda: models.WGANGP(16, latent_size=3, width=3, n_critic=3),
}


def session(make, seed=1, kill=None, **settings):
    """A fresh process, as far as the training can tell; returns all that it leaves."""
    ml.manual_seed(seed)
    gan = make()
    side = 16 if isinstance(gan, models.WGANGP) else 8
    x = F.interpolate(images(), size=side, mode="nearest")
    loader = DataLoader(TensorDataset(x, F.arange(22) % 3), 6, shuffle=True)
    ema = GeneratorEMA(gan, 0.9)
    recorder = FixedNoiseSamples(gan, 3)
    both = optimizers(gan)
    callbacks = [ema, recorder, *([KillAt(kill)] if kill else [])]
    history = fit_gan(gan, *both, loader, epochs=EPOCHS, callbacks=callbacks, progress=False, **settings)
    state = {f"gan.{name}": value for name, value in values(gan).items()}
    state |= {f"ema.{name}": value for name, value in values(ema.generator).items()}
    for number, optimizer in enumerate(both):
        for place, entries in optimizer.state_dict()["state"].items():
            state |= {f"optimizer{number}.{place}.{name}": value for name, value in entries.items()}
    state |= {f"samples{epoch}": batch for epoch, batch in zip(recorder.epochs, recorder.batches, strict=True)}
    state["next noise"], state["next init"] = ml.randn(3).data, gan.noise(2).data
    return history, state


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("kill", [5, 8])
def test_killed_and_resumed(tmp_path, name, kill):
    history, state = session(MAKERS[name])
    checkpoint = Checkpoint(tmp_path / "gan.npz", every_steps=2)
    with pytest.raises(Kill, match="now"):
        session(MAKERS[name], kill=kill, checkpoint=checkpoint)
    assert load(checkpoint.path)["step"] == {5: 4, 8: 6}[kill]
    history2, state2 = session(MAKERS[name], seed=2, checkpoint=checkpoint, resume=True)
    np.testing.assert_equal(list(history2), list(history))  # nan where there was no turn of the generator
    assert state.keys() == state2.keys() and len(history) == EPOCHS
    assert_equal(state, state2)


def test_checkpoints_that_do_not_fit(tmp_path):
    path = tmp_path / "gan.npz"
    session(dcgan, checkpoint=path)
    with pytest.raises(StateDictError, match=r"generator\.net"):
        session(MAKERS["mlp-dropout"], checkpoint=path, resume=True)
    ml.save({"model": np.ones(2)}, path)
    with pytest.raises(StateDictError, match="this is no checkpoint of a GAN, which has discriminator_optimizer"):
        session(dcgan, checkpoint=path, resume=True)


# What goes wrong


def test_nan_stops_with_the_step_and_the_culprit(tmp_path):
    gan = dcgan()
    bad = images(6)
    bad.data[3, 0, 0, 0] = np.nan
    path = tmp_path / "gan.npz"
    match = (
        r"the discriminator's loss is nan in epoch 1, batch 3 \(step 3\), which was not taken: the real samples hold a"
    )
    with pytest.raises(NonFiniteError, match=match):
        fit_gan(gan, *optimizers(gan), [images(6), images(6), bad], epochs=1, checkpoint=path, progress=False)
    assert load(path)["step"] == 0
    assert all(np.isfinite(parameter.data).all() for parameter in gan.parameters())

    gan.generator.main[0].weight.data[0, 0] = np.inf
    with pytest.raises(NonFiniteError, match=r"step 1.*: parameter 'generator.main.0.weight' holds a NaN or infinity"):
        fit_gan(gan, *optimizers(gan), [images(6)], epochs=1, progress=False)


class Blow(nn.Module):
    """A generator whose samples, or the gradient through them, overflow at the second call in training."""

    def __init__(self, by):
        super().__init__()
        self.weight, self.by, self.calls = nn.Parameter(np.ones(2, np.float32)), by, 0

    def forward(self, z):
        self.calls += 1
        y = z * self.weight
        if self.calls < 2:
            return y
        return y * np.float32("inf") if self.by == "samples" else y + (0 * self.weight).sqrt()


@pytest.mark.parametrize(
    ("by", "match"),
    [
        ("samples", r"the generator's loss is (nan|inf).*step 1.*the generator's samples hold a NaN or infinity"),
        ("gradient", r"the gradient of the generator's loss has norm nan in epoch 1, batch 1 \(step 1\).* is 0\.\d+"),
    ],
)
def test_the_generator_as_culprit(by, match):
    gan = models.GAN(Blow(by), models.MLPDiscriminator((2,), (4,)), 2)
    with np.errstate(all="ignore"), pytest.raises(NonFiniteError, match=match):
        fit_gan(gan, *optimizers(gan), [ml.rand(4, 2)], epochs=1, progress=False)
    assert (gan.generator.weight.data == 1).all()


def test_scores_that_overflow():
    gan = models.WGAN(latent_size=2, generator=Blow("never"), discriminator=models.MLPDiscriminator((2,), (4,)))
    gan.discriminator.net[1].weight.data *= 1e20
    with np.errstate(all="ignore"), pytest.raises(NonFiniteError, match="the discriminator's scores overflow"):
        fit_gan(gan, *optimizers(gan), [ml.full((4, 2), 1e30)], epochs=1, progress=False)


def test_arguments():
    gan = dcgan()
    of_generator, of_discriminator = optimizers(gan)
    everything = optim.SGD(gan.parameters(), lr=0.1)
    settings = {"epochs": 1, "progress": False}
    for arguments, extra, error, match in (
        ((nn.Linear(2, 2), of_generator, of_discriminator), {}, ArgumentTypeError, "must be a models.GAN .* Linear"),
        (
            (gan, of_generator, None),
            {},
            ArgumentTypeError,
            "discriminator_optimizer must be an Optimizer, got NoneType",
        ),
        ((gan, of_discriminator, of_generator), {}, ArgumentError, "generator_optimizer .* some of the discriminator;"),
        (
            (gan, everything, of_discriminator),
            {},
            ArgumentError,
            "some of the discriminator and the generator; make it",
        ),
        ((gan, optimizers(dcgan())[0], of_discriminator), {}, ArgumentError, "it holds some of neither network"),
        ((gan, of_generator, of_discriminator), {"epochs": -1}, ArgumentError, "epochs must be an integer ≥ 0, got -1"),
        (
            (gan, of_generator, of_discriminator),
            {"n_critic": 0},
            ArgumentError,
            "n_critic must be an integer ≥ 1, got 0",
        ),
        ((gan, of_generator, of_discriminator), {"resume": True}, ArgumentError, "needs a checkpoint to go on from"),
    ):
        with pytest.raises(error, match=match):
            fit_gan(*arguments, [images(6)], **{**settings, **extra})
    with pytest.raises(ArgumentError, match="the loader gave no batches"):
        fit_gan(gan, of_generator, of_discriminator, [], **settings)
    with pytest.raises(ArgumentTypeError, match="samples or .*, the loader gave a dict"):
        fit_gan(gan, of_generator, of_discriminator, [{"x": 1}], **settings)
    with pytest.raises(ArgumentTypeError, match="needs a loader with state_dict, as DataLoader, not a list"):
        fit_gan(gan, of_generator, of_discriminator, [images(6)], checkpoint=Checkpoint("a.npz", 1), **settings)


def test_a_line_for_each_epoch(capsys):
    gan = dcgan()
    fit_gan(gan, *optimizers(gan), [images(6)], epochs=2)
    assert "epoch 2/2  loss_d" in capsys.readouterr().out


# The health of a run, on a ring of eight Gaussians


ANGLES = np.arange(8) * np.pi / 4
CENTERS = np.stack([np.cos(ANGLES), np.sin(ANGLES)], 1)


def ring(count, rng):
    return ml.tensor((CENTERS[rng.integers(0, 8, count)] + 0.15 * rng.standard_normal((count, 2))).astype(np.float32))


def watched(rng, lr_g, lr_d, epochs=6, **settings):
    ml.manual_seed(0)
    gan = models.MLPGAN((2,), 2, (64, 64), output="linear")
    of_generator = optim.Adam(gan.generator.parameters(), lr=lr_g, betas=(0.5, 0.9))
    of_discriminator = optim.Adam(gan.discriminator.parameters(), lr=lr_d, betas=(0.5, 0.9))
    health = metrics.GANHealth(ring(400, rng), **settings)
    loader = DataLoader(TensorDataset(ring(40 * 128, rng)), 128)
    history = fit_gan(gan, of_generator, of_discriminator, loader, epochs=epochs, callbacks=[health], progress=False)
    return history, health


WITH_CENTERS = {"centers": CENTERS, "radius": 0.45}


def test_a_healthy_run_raises_no_alarm(rng):
    """The discriminator learns faster than the generator; warnings would be errors."""
    history, health = watched(rng, 0.001, 0.004, **WITH_CENTERS)
    assert health.alarms == [] and history[-1]["modes"] == 8 and history[-1]["near"] > 0.85
    assert 0.4 < history[-1]["d_fake"] < history[-1]["d_real"] < 0.6
    assert history[-1]["coverage"] > 0.5 * health.expected_coverage
    assert history[-1]["frechet"] < 0.2


@pytest.mark.parametrize("settings", [WITH_CENTERS, {}], ids=["modes", "coverage"])
def test_the_alarm_for_collapse(rng, settings):
    """The generator learns four times as fast as the discriminator, and runs from mode to mode."""
    with pytest.warns(metrics.GANHealthWarning, match=r"epoch 4: the generator reaches .*: its samples have collapsed"):
        history, health = watched(rng, 0.004, 0.001, epochs=5, **settings)
    assert [alarm.kind for alarm in health.alarms] == ["collapse"] and health.alarms[0].epoch == 4
    assert all(record["coverage"] < 0.3 for record in history)


def test_the_alarm_for_a_saturated_discriminator(rng):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        history, health = watched(rng, 1e-5, 0.004, epochs=5, warmup=9, **WITH_CENTERS)
    (alarm,) = health.alarms
    assert alarm.kind == "saturation" and "D(x) = 0.9" in alarm.message and "D(G(z)) = 0.0" in alarm.message
    assert len(caught) == 1 and caught[0].category is metrics.GANHealthWarning  # once, not after each epoch
    assert history[-1]["d_real"] > 0.95 and history[-1]["d_fake"] < 0.05


def test_the_alarm_for_missing_classes_and_its_memory(rng):
    """A judge's classes; and measuring changes neither the training nor, over a checkpoint, the count of ill epochs."""

    def judge(x):
        angle = np.arctan2(x.data[:, 1], x.data[:, 0])
        return np.eye(8)[np.round(angle / (np.pi / 4)).astype(int) % 8]

    def run(callbacks):
        ml.manual_seed(3)
        gan = models.MLPGAN((2,), 2, (8,), output="linear")
        gan.generator.net[2].bias.data[...] = [30, 0]  # far out, in one direction
        batch = ring(64, np.random.default_rng(7))
        fit_gan(gan, *optimizers(gan, 1e-4), [batch], epochs=3, callbacks=callbacks, progress=False)
        return values(gan)

    real = ring(200, rng)
    health = metrics.GANHealth(real, judge=judge, patience=3, warmup=0)
    with pytest.warns(metrics.GANHealthWarning, match="epoch 3: the generator reaches 1 of 8 classes"):
        one = run([health])
    assert_equal(one, run([]))
    assert health.histogram[0] == 200
    later = metrics.GANHealth(real, judge=judge)
    later.load_state_dict(health.state_dict())
    assert later.alarms == health.alarms and later.in_a_row == {"collapse": 3, "saturation": 0}
