"""The sketch's file: read, recognised, refused; and the script that makes it."""

import subprocess
import sys
import zipfile

import numpy as np
import pytest

from nst_course import VGGWeights, WeightsError, read_weights
from nst_course.vgg import NETWORKS
from nst_course.weights.find import EMBEDDED_WEIGHTS
from nst_course.weights.folders import repository_folder
from nst_course.weights.sketch import SKETCH, read_sketch

FOLDER = repository_folder("pretrained-model")
REAL = read_weights(FOLDER / EMBEDDED_WEIGHTS)
NAMES = NETWORKS["VGG-19"][:13]


def test_the_file_that_comes_along():
    sketch = read_sketch()
    assert (FOLDER / SKETCH).stat().st_size < 3e6
    assert sketch.weights.layers == NAMES
    assert set(sketch.maps) == {"conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv4_2", "conv5_1"}
    for layer, A in sketch.maps.items():
        assert A.shape == (sketch.weights[layer][1].size, REAL[layer][1].size)
    assert sum(W.size for W, _ in sketch.weights.parameters.values()) < 0.1 * sum(REAL[n][0].size for n in NAMES)


def changed(layer, factor):
    return VGGWeights(REAL.parameters | {layer: (REAL[layer][0] * np.float32(factor), REAL[layer][1])})


def test_it_stands_for_the_published_network_alone():
    sketch = read_sketch()
    assert sketch.stands_for(REAL)
    assert sketch.stands_for(changed("conv3_2", 1.0001))  # as much as another rounding changes
    # What lies behind the last layer that costs are taken from does not matter.
    assert sketch.stands_for(VGGWeights({name: REAL[name] for name in NAMES}))
    for other in (
        changed("conv3_2", 1.01),
        changed("conv1_1", -1.5),
        VGGWeights.random(network="VGG-16"),
        VGGWeights.random(widths=(64, 128, 256, 512, 512)),
        VGGWeights({name: REAL[name] for name in NAMES[:5]}),
    ):
        assert not sketch.stands_for(other)


def arrays():
    with np.load(FOLDER / SKETCH) as file:
        return dict(file)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"conv1_1_W": None}, "norms has the shape"),
        ({"conv2_1_b": None}, "it has no conv2_1_b"),
        ({"norms": None}, "it has no norms"),
        ({"norms": np.ones(3, "f4")}, "norms has the shape"),
        ({"description": None}, "description"),
        ({"conv4_1_map": np.ones((5, 512), "f2")}, r"the map of conv4_1 has the shape \(5, 512\)"),
        ({"conv4_1_map": np.ones(256, "f2")}, "the map of conv4_1 has the shape"),
        ({"conv1_2_b": np.full(32, np.nan, "f2")}, "conv1_2_b holds NaN or infinity"),
        ({"conv1_2_W": np.ones((3, 3, 7, 32), "f2")}, "Expected conv1_2 to have a kernel"),
        ({"conv1_2_W": np.array([{}], object)}, "conv1_2_W is of type object"),
        ({"conv1_2_W": np.zeros((3, 3, 2048, 2048), "f2")}, "conv1_2_W takes"),
    ],
)
def test_a_damaged_file_is_refused(change, message, tmp_path):
    path = tmp_path / "sketch.npz"
    np.savez_compressed(path, **{n: a for n, a in (arrays() | change).items() if a is not None})
    with pytest.raises(WeightsError, match=f"Expected.*{message}"):
        read_sketch(path)


def test_other_files_are_refused(tmp_path):
    whole = (FOLDER / SKETCH).read_bytes()
    for content in (b"", b"no zip", whole[:-200], whole[: len(whole) // 2]):
        (tmp_path / "sketch.npz").write_bytes(content)
        with pytest.raises(WeightsError, match="Expected a sketch"):
            read_sketch(tmp_path / "sketch.npz")
    with pytest.raises(WeightsError, match="Expected a sketch"):
        read_sketch(FOLDER / EMBEDDED_WEIGHTS)
    with pytest.raises(FileNotFoundError):
        read_sketch(tmp_path / "none.npz")


def test_no_code_of_a_file_is_run(tmp_path):
    path = tmp_path / "sketch.npz"
    np.savez(path, **arrays())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("payload.npy", b"cos\nsystem\n(S'true'\ntR.")
    assert read_sketch(path).weights.layers == NAMES


def test_the_script_says_what_it_does():
    script = FOLDER / "make_sketch.py"
    if not script.is_file():
        pytest.skip("an installed wheel has no scripts")
    shown = subprocess.run([sys.executable, str(script), "--help"], capture_output=True, text=True, check=True)
    assert "--steps" in shown.stdout
