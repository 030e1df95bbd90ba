"""The teaching weights as they are delivered, and the script that makes them."""

import importlib.util
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from nst_course import VGGWeights, forward
from nst_course.weights import IMAGENET_MEAN, TEACHING_WEIGHTS

FOLDER = pathlib.Path(__file__).parent.parent / "pretrained-model"
SCRIPT = FOLDER / "train_teaching_weights.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("train_teaching_weights", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def textures(script):
    return script.make_textures(8, seed=0)


@pytest.fixture(scope="module")
def layers(script, textures):
    return script.build(textures, seed=1)


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


def test_the_delivered_activations_have_the_sizes_the_script_sets(script, textures):
    """The shares of the layers in the style cost hang on them, so other pictures must give about the same."""
    sizes = rms(VGGWeights.read(FOLDER / TEACHING_WEIGHTS), textures)
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


def test_layers_are_built_with_unit_variance_around_their_offset(script, textures, layers):
    image = script.samples(textures, np.random.default_rng([1, 2]))
    for name, (kernel, bias) in layers.items():
        raw = tf.nn.conv2d(script.pool_before(name, image), kernel, 1, "SAME") + bias
        mean, variance = tf.nn.moments(raw, (0, 1, 2))
        np.testing.assert_allclose(mean, script.OFFSET.get(name, script.DEFAULT_OFFSET), atol=2e-3)
        # Below 1 only for a channel that hardly answers to anything.
        assert np.median(variance) == pytest.approx(1, abs=0.02) and np.max(variance) <= 1.001
        image = tf.nn.relu(raw)


def test_balance_gives_the_layers_their_sizes(script, textures, layers):
    for name, size in rms(VGGWeights(script.balance(layers, textures)), textures).items():
        assert size == pytest.approx(script.SCALE.get(name, script.DEFAULT_SCALE), rel=1e-3)


def test_balance_changes_nothing_but_the_sizes(script, textures, layers):
    image = tf.constant(textures.astype(np.float32) - IMAGENET_MEAN)
    before, after = (forward(VGGWeights(p), image) for p in (layers, script.balance(layers, textures)))
    for name in ("conv1_1", "conv3_4", "conv5_4"):
        ratio = tf.reduce_sum(after[name]) / tf.reduce_sum(before[name])
        np.testing.assert_allclose(after[name], before[name] * ratio, atol=1e-4 * float(tf.reduce_max(after[name])))
