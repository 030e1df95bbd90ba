"""The teaching weights as they are delivered, and the script that trains them."""

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


def rms(weights, pictures):
    layers = forward(weights, tf.constant(pictures.astype(np.float32) - IMAGENET_MEAN))
    return {name: float(tf.sqrt(tf.reduce_mean(a**2))) for name, a in layers.items() if name.startswith("conv")}


def test_the_delivered_file():
    file = FOLDER / TEACHING_WEIGHTS
    assert file.stat().st_size <= 6_000_000
    weights = VGGWeights.read(file)
    assert weights.network == "VGG-19" and len(weights.layers) == 16
    assert [weights[f"conv{b}_1"][0].shape[3] for b in range(1, 6)] == [48, 96, 128, 128, 128]
    assert "not the ImageNet network" in weights.description


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


def test_training_resumes_where_it_stopped(script, textures, tmp_path):
    def trainer():
        return script.Trainer(textures, seed=1, batch=4, dtype=tf.float32)

    through = trainer()
    losses = [through.step(3)[0] for _ in range(3)]
    first = trainer()
    assert [first.step(3)[0] for _ in range(2)] == pytest.approx(losses[:2], rel=1e-5)
    first.save(tmp_path / "state.npz")
    second = trainer()
    second.load(tmp_path / "state.npz")
    assert second.done == 2
    assert second.step(3)[0] == pytest.approx(losses[2], rel=1e-4)


def test_a_checkpoint_of_another_training_is_refused(script, textures, tmp_path):
    script.Trainer(textures, seed=1, batch=4, dtype=tf.float32).save(tmp_path / "state.npz")
    with pytest.raises(ValueError, match="seed 1"):
        script.Trainer(textures, seed=2, batch=4, dtype=tf.float32).load(tmp_path / "state.npz")


def test_batch_normalisation_folds_away(script, textures):
    """On the batch whose statistics were folded in, the plain network gives what the normalised one gave."""
    # TensorFlow reports the unbiased variance, which differs from the one it used by 1 in 256 samples at conv5.
    trainer = script.Trainer(textures, seed=1, batch=16, dtype=tf.float32)
    image = trainer.samples(10**6)[0]
    normalised = dict(script.walk(trainer.values, image))
    folded = VGGWeights({name: (W, b) for name, W, b in trainer.folded(batches=1)})
    plain = forward(folded, tf.constant(image))
    for name in ("conv1_1", "conv2_2", "conv4_4"):
        np.testing.assert_allclose(plain[name], normalised[name], atol=0.02 * np.abs(normalised[name]).max())


def test_balance_gives_the_layers_their_sizes(script, textures):
    trainer = script.Trainer(textures, seed=1, batch=4, dtype=tf.float32)
    layers = trainer.folded(batches=1)
    balanced = VGGWeights({name: (W, b) for name, W, b in script.balance(layers, textures)})
    for name, size in rms(balanced, textures).items():
        assert size == pytest.approx(script.SCALE.get(name, script.DEFAULT_SCALE), rel=1e-3)
