"""The teaching weights as they are delivered, and the script that makes them."""

import importlib.util
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from nst_course import VGGWeights, compute_layer_style_cost, forward
from nst_course.optimizers import Adam
from nst_course.weights import IMAGENET_MEAN, TEACHING_WEIGHTS

FOLDER = pathlib.Path(__file__).parent.parent / "pretrained-model"
SCRIPT = FOLDER / "train_teaching_weights.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("train_teaching_weights", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.PATCHES = 4000  # to be quick
    return module


@pytest.fixture(scope="module")
def textures(script):
    return script.make_textures(8, seed=0)


@pytest.fixture(scope="module")
def layers(script, textures):
    return script.build(textures, seed=1)


@pytest.fixture(scope="module")
def judge(script, textures):
    return script.build(textures, seed=2, last="conv3_1")


def rms(weights, pictures):
    layers = forward(weights, tf.constant(pictures.astype(np.float32) - IMAGENET_MEAN))
    return {name: float(tf.sqrt(tf.reduce_mean(a**2))) for name, a in layers.items() if name.startswith("conv")}


def test_the_delivered_file(script):
    file = FOLDER / TEACHING_WEIGHTS
    assert file.stat().st_size <= 6_000_000
    weights = VGGWeights.read(file)
    assert weights.network == "VGG-19" and len(weights.layers) == 16
    assert [weights[f"conv{b}_1"][0].shape[3] for b in range(1, 6)] == [48, 128, 192, 96, 96]
    assert weights.description == script.DESCRIPTION and "not the ImageNet network" in script.DESCRIPTION


def test_the_delivered_activations_have_the_sizes_the_script_sets(script):
    """The shares of the layers in the style cost hang on them, so other pictures must give about the same."""
    sizes = rms(VGGWeights.read(FOLDER / TEACHING_WEIGHTS), script.make_textures(32, seed=0))
    for name in ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv4_2", "conv5_1"):
        assert sizes[name] == pytest.approx(script.SCALE.get(name, script.DEFAULT_SCALE), rel=0.3)


def test_quick_mode_writes_a_file_that_can_be_used(tmp_path):
    output = tmp_path / "quick.mat"
    subprocess.run([sys.executable, str(SCRIPT), "--quick", "--output", str(output)], check=True, capture_output=True)
    assert VGGWeights.read(output).layers == VGGWeights.read(FOLDER / TEACHING_WEIGHTS).layers
    assert list(tmp_path.iterdir()) == [output]


def test_clustered_kernels_find_the_edges_of_striped_pictures(script):
    """Patches of upright black and white stripes differ from left to right only, so must the kernels."""
    stripes = np.tile(np.array([0, 0, 0, 255, 255, 255], np.uint8), (2, 60, 10))[..., None].repeat(3, axis=-1)
    kernels = script.patch_kernels(stripes, 4, 3e-3, np.random.default_rng(0))
    assert kernels.shape == (3, 3, 3, 4)
    np.testing.assert_allclose(kernels, kernels.mean(axis=0, keepdims=True).repeat(3, 0), atol=1e-6)
    np.testing.assert_allclose(kernels[..., :2], -kernels[..., 2:])  # each with both signs
    across = kernels[0, :, 0].max(axis=0) - kernels[0, :, 0].min(axis=0)
    assert (across > 0.5 * np.abs(kernels).max(axis=(0, 1, 2))).all()  # they differ from left to right


def test_layers_are_built_with_one_variance_around_their_offset(script, textures, layers):
    a = script.samples(textures, np.random.default_rng([1, 2]))
    activations = forward(VGGWeights(layers), a)
    for name in layers:
        mean, variance = tf.nn.moments(activations[f"{name}/pre"], (0, 1, 2))
        deviation = np.sqrt(np.median(variance))
        np.testing.assert_allclose(mean / deviation, script.OFFSET.get(name, script.DEFAULT_OFFSET), atol=0.02)
        # Lower only for a channel that hardly answers to anything.
        assert np.max(variance) <= 1.05 * deviation**2
        size = float(tf.sqrt(tf.reduce_mean(activations[name] ** 2)))
        assert size == pytest.approx(script.SCALE.get(name, script.DEFAULT_SCALE), rel=1e-3)


def test_layers_that_are_there_are_built_upon(script, textures, layers):
    first = {name: layers[name] for name in script.TRAINED}
    again = script.build(textures, 1, first)
    assert list(again) == list(layers)
    assert all(again[name] is first[name] for name in first)


@pytest.fixture
def small(monkeypatch, script):
    """Make paintings small and short."""
    for name, value in {"SIDE": 32, "ITERATIONS": 4, "SAVED_EVERY": 2}.items():
        monkeypatch.setattr(script, name, value)


def pair(script, textures, seed=0):
    return script.draw_pair(np.random.default_rng(seed), textures, script.photographs())


def test_paintings_are_the_course_s(script, small, textures, layers):
    """Its cost, its noise and its Adam, as `stylize` has them, with the style layers up to conv3_1 and no content."""
    content, style, noise = pair(script, textures)
    weights = VGGWeights({name: layers[name] for name in script.TRAINED})
    targets = forward(weights, style)

    def evaluate(x):
        with tf.GradientTape() as tape:
            x = tf.constant(x)
            tape.watch(x)
            a = forward(weights, x)
            cost = sum(compute_layer_style_cost(targets[n], a[n]) for n in script.JUDGED)
        return [cost.numpy()], tape.gradient(cost, x).numpy()

    iterates = []
    start = (0.6 * noise + 0.4 * content).numpy()
    Adam().minimize(evaluate, start, 4, None, lambda x, costs: iterates.append(x))
    painting = script.paint({name: layers[name] for name in script.TRAINED}, content, style, noise)
    assert np.abs(iterates[-1] - start).max() > 5
    np.testing.assert_allclose(painting, iterates[-1], atol=1e-2)


def test_the_distance_is_that_of_whitened_gram_matrices(script, monkeypatch):
    """By hand: the mean of content and style is diag(2, 1) and the floor 0.02, so W^2 is diag(1/2.02, 1/1.02)."""
    matrices = {"result": (2.0, 1.0), "content": (3.0, 1.0), "style": (1.0, 1.0)}
    monkeypatch.setattr(script, "grams", lambda _, p: dict.fromkeys(script.JUDGED, tf.constant([np.diag(matrices[p])])))
    seen = (1 / 2.02) / (2 / 2.02 + 0.1 * np.hypot(1 / 2.02, 1 / 1.02))
    expected = sum(script.JUDGED.values()) * np.log(0.05 + seen)
    assert float(script.distance(None, "result", "content", "style")) == pytest.approx(expected, rel=1e-5)


def test_training_improves_what_it_is_for(script, small, monkeypatch, tmp_path, textures, layers, judge):
    """On one pair and one judge, a few steps have to bring the painting nearer to its style."""
    trio = pair(script, textures, seed=1)
    monkeypatch.setattr(script, "draw_pair", lambda *_: trio)
    trained = script.train(layers, [judge], textures, 0, 6, tmp_path / "state.npz")

    def loss(network):
        network = {name: network[name] for name in script.TRAINED}
        return float(script.distance(judge, script.paint(network, *trio), *trio[:2]))

    assert loss(trained) < loss(layers) - 0.01


def test_training_goes_on_where_it_was_cut_short(script, small, monkeypatch, tmp_path, textures, layers, judge):
    whole = script.train(layers, [judge], textures, 0, 4, tmp_path / "whole.npz")
    draw, drawn = script.draw_pair, []

    def interrupted(*arguments):
        drawn.append(1)
        if len(drawn) == 4:
            raise KeyboardInterrupt
        return draw(*arguments)

    monkeypatch.setattr(script, "draw_pair", interrupted)
    with pytest.raises(KeyboardInterrupt):
        script.train(layers, [judge], textures, 0, 4, tmp_path / "state.npz")
    resumed = script.train(layers, [judge], textures, 0, 4, tmp_path / "state.npz")
    assert len(drawn) == 4 + 2  # two were saved
    for name in script.TRAINED:
        np.testing.assert_allclose(resumed[name][0], whole[name][0], rtol=1e-3, atol=1e-5)
        assert np.abs(whole[name][0] - layers[name][0]).max() > 0
    with pytest.raises(ValueError, match="another seed or length"):
        script.train(layers, [judge], textures, 1, 4, tmp_path / "state.npz")
    (tmp_path / "state.npz").write_bytes((tmp_path / "state.npz").read_bytes()[:5000])
    with pytest.raises(ValueError, match="damaged"):
        script.train(layers, [judge], textures, 0, 4, tmp_path / "state.npz")
