"""Weights files: read, written, cached, found, refused."""

import dataclasses
import gzip
import io
import os
import pathlib
import pickle
import re
import subprocess
import sys
import time
import zipfile

import h5py
import numpy as np
import pytest
import scipy.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nst_course import VGGWeights, WeightsError, find_weights, load_weights, read_weights, write_levels, write_mat
from nst_course.vgg import NETWORKS, LayerNotFoundError
from nst_course.weights import apart, cache, download, find, folders, keras_h5, matconvnet, reading
from nst_course.weights.find import EMBEDDED_WEIGHTS

RETRY = "nst-course weights download"
CONVOLUTIONS = {
    "VGG-19": [f"conv{b}_{i}" for b, n in enumerate((2, 2, 4, 4, 4), 1) for i in range(1, n + 1)],
    "VGG-16": [f"conv{b}_{i}" for b, n in enumerate((2, 2, 3, 3, 3), 1) for i in range(1, n + 1)],
}
WIDTHS = 4, 5, 6, 7, 8
CLASSES = ["tench, Tinca tinca", "goldfish", "great white shark"]


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("NST_COURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("NST_COURSE_WEIGHTS", raising=False)


# ------------------------------------------------------------- an independent writer of the two MatConvNet layouts


def numbers(network="VGG-19", classifier=True, widths=WIDTHS, seed=0):
    """Random parameters by layer."""
    rng, found, n_in = np.random.RandomState(seed), {}, 3
    for name in CONVOLUTIONS[network]:
        n_out = widths[int(name[4]) - 1]
        found[name] = rng.randn(3, 3, n_in, n_out).astype("f4"), rng.randn(n_out).astype("f4")
        n_in = n_out
    if classifier:
        for name, height, n_out in (("fc6", 7, 9), ("fc7", 1, 10), ("fc8", 1, len(CLASSES))):
            found[name] = rng.randn(height, height, n_in, n_out).astype("f4"), rng.randn(n_out).astype("f4")
            n_in = n_out
    return found


def table(network):
    """The 43 or 37 layers of the published files: (kind, name)."""
    names = CONVOLUTIONS[network]
    for name, following in zip(names, [*names[1:], ""]):
        yield "conv", name
        yield "relu", f"relu{name[4:]}"
        if following[:5] != name[:5]:
            yield "pool", f"pool{name[4]}"
    yield from (("conv", "fc6"), ("relu", "relu6"), ("conv", "fc7"), ("relu", "relu7"), ("conv", "fc8"))
    yield "softmax", "prob"


def struct(**fields):
    array = np.empty((1, 1), [(name, object) for name in fields])
    array[0, 0] = tuple(fields.values())
    return array


def cells(*items):
    array = np.empty((1, len(items)), object)
    for i, item in enumerate(items):
        array[0, i] = item
    return array


def layer(layout, kind, name, pair, column):
    pair = pair and cells(pair[0], pair[1][:, None] if column else pair[1][None])
    four, two = np.array([[1.0, 1, 1, 1]]), np.array([[1.0, 1]])
    if layout == "new":
        if pair is not None:
            extra = {"size": np.array([[3.0, 3, 3, 3]]), "pad": four, "stride": two, "precious": 0.0}
            return struct(name=name, type=kind, weights=pair, **extra, dilate=1.0, opts=np.empty((0, 0), object))
        if kind == "pool":
            extra = {"pool": 2 * two, "stride": 2 * two, "pad": 0 * four}
            return struct(name=name, type=kind, method="max", **extra, precious=0.0, opts=np.empty((0, 0), object))
        return struct(name=name, type=kind, leak=0.0, weights=np.empty((0, 0), object), precious=0.0)
    if pair is not None:
        return struct(weights=pair, pad=four, type=kind, name=name, stride=two)
    if kind == "pool":
        return struct(name=name, stride=2 * two, pad=0 * four, type=kind, method="max", pool=2 * two)
    return struct(type=kind, name=name)


def contents(layout="new", network="VGG-19", found=None, column=False, stop=None):
    found = numbers(network) if found is None else found
    rows = list(table(network))
    if stop:
        rows = rows[: [name for _, name in rows].index(stop) + 1]
    layers = cells(*(layer(layout, kind, name, found.get(name), column) for kind, name in rows))
    classes = struct(name=cells("n01440764", "n01443537", "n01484850"), description=cells(*CLASSES))
    mean = np.array([123.68, 116.779, 103.939])
    if layout == "new":
        normalization = struct(imageSize=np.array([[224.0, 224, 3, 10]]), averageImage=mean[:, None], keepAspect=1.0)
        return {
            "layers": layers,
            "meta": struct(inputs=struct(name="data"), classes=classes, normalization=normalization),
        }
    picture = np.broadcast_to(mean, (224, 224, 3))
    return {"layers": layers, "classes": classes, "normalization": struct(averageImage=picture, keepAspect=1.0)}


def write(path, compressed=True, **options):
    scipy.io.savemat(path, contents(**options), do_compression=compressed)
    return path


def assert_parameters(read, expected):
    assert list(read.layers) == list(expected)
    for name, (W, b) in expected.items():
        assert read[name][0].dtype == read[name][1].dtype == np.float32
        np.testing.assert_array_equal(read[name][0], W, err_msg=name)
        np.testing.assert_array_equal(read[name][1], b, err_msg=name)


def convolutions(found):
    return {name: pair for name, pair in found.items() if name.startswith("conv")}


# ------------------------------------------------------------------------------------------------------ reading .mat


def test_weights_say_in_a_line_what_they_are():
    weights = VGGWeights.random(network="VGG-16")
    assert repr(weights) == "<VGG-16, conv1_1 .. conv5_3, from random VGG-16 (seed 0)>"


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("column", [False, True])
@pytest.mark.parametrize("network", ["VGG-19", "VGG-16"])
@pytest.mark.parametrize("layout", ["new", "old"])
def test_both_layouts(tmp_path, layout, network, column, compressed):
    path = write(tmp_path / "a.mat", compressed, layout=layout, network=network, column=column)
    assert scipy.io.loadmat(path)["layers"].shape == (1, {"VGG-19": 43, "VGG-16": 37}[network])
    read = read_weights(path)
    assert_parameters(read, convolutions(numbers(network)))
    assert read.network == network and layout in read.layout and read.classes == tuple(CLASSES)
    assert read.source == str(path)
    assert_parameters(read_weights(path, classifier=True), numbers(network))


@pytest.mark.parametrize("layout, place", [("new", 2), ("old", 0)])
def test_reads_what_loadmat_reads_the_courses_way(tmp_path, layout, place):
    path = write(tmp_path / "a.mat", layout=layout)
    vgg_layers = scipy.io.loadmat(path)["layers"]
    read = read_weights(path)
    for i, (_, name) in enumerate(table("VGG-19")):
        if name in read:
            wb = vgg_layers[0][i][0][0][place]
            np.testing.assert_array_equal(read[name][0], wb[0][0])
            np.testing.assert_array_equal(read[name][1], wb[0][1].ravel())
            assert vgg_layers[0][i][0][0][0 if layout == "new" else 3][0] == name


def test_doubles_become_float32(tmp_path):
    found = {name: (W.astype("f8"), b.astype("f8")) for name, (W, b) in numbers().items()}
    # MATLAB stores doubles without a fraction as small integers.
    found["conv1_1"] = np.arange(3 * 3 * 3 * 4).reshape(3, 3, 3, 4).astype("u1"), np.zeros(4, "u1")
    assert_parameters(read_weights(write(tmp_path / "a.mat", found=found)), convolutions(found))


def test_a_double_beyond_float32_is_infinite(tmp_path):
    found = numbers()
    found["conv2_1"] = found["conv2_1"][0].astype("f8") * 1e300, found["conv2_1"][1]
    with pytest.raises(WeightsError, match="conv2_1 of .* holds NaN or infinity"):
        read_weights(write(tmp_path / "a.mat", found=found))


def test_a_file_that_stops_after_block_3(tmp_path):
    read = read_weights(write(tmp_path / "a.mat", stop="pool3"))
    assert read.layers[-1] == "conv3_4" and len(read.layers) == 8 and read.network == "VGG-19"
    with pytest.raises(LayerNotFoundError, match="There is no layer 'conv4_2'.*conv1_1 .. conv3_4"):
        read["conv4_2"]
    assert "conv3_4" in read and "conv4_2" not in read


def test_the_first_matconvnet_had_filters_and_biases(tmp_path):
    found = numbers(classifier=False)
    layers = [struct(type="conv", name=name, filters=W, biases=b[None]) for name, (W, b) in found.items()]
    scipy.io.savemat(tmp_path / "a.mat", {"layers": cells(*layers)})
    assert_parameters(read_weights(tmp_path / "a.mat"), found)


def test_odd_texts_do_no_harm(tmp_path):
    for odd in (np.arange(6.0), cells("a", np.arange(3.0)), "text", struct(description=np.arange(4.0))):
        made = contents()
        made["meta"] = struct(classes=odd, description=np.arange(5.0), normalization=odd)
        scipy.io.savemat(tmp_path / "a.mat", made)
        read = read_weights(tmp_path / "a.mat")
        assert (read.description, read.classes) == ("", ()) and len(read.layers) == 16


# ------------------------------------------------------------------------------------------------------ writing .mat


@pytest.mark.parametrize("classifier, n_layers", [(True, 43), (False, 37)])
@pytest.mark.parametrize("layout, name_at, weights_at", [("new", 0, 2), ("old", 3, 0)])
def test_write_mat_is_read_the_courses_way(tmp_path, layout, name_at, weights_at, classifier, n_layers):
    found = numbers(classifier=classifier)
    write_mat(VGGWeights(found, description="made for a test"), tmp_path / "a.mat", layout=layout)
    loaded = scipy.io.loadmat(tmp_path / "a.mat")
    vgg_layers = loaded["layers"]
    assert vgg_layers.shape == (1, n_layers)
    for i, (kind, name) in zip(range(n_layers), table("VGG-19")):
        one = vgg_layers[0][i][0][0]
        if name in found:
            assert one[name_at][0] == name
            np.testing.assert_array_equal(one[weights_at][0][0], found[name][0])
            np.testing.assert_array_equal(one[weights_at][0][1].ravel(), found[name][1])
        assert one["name"][0] == name and one["type"][0] == kind
    normalization = loaded["meta"]["normalization"][0, 0] if layout == "new" else loaded["normalization"]
    np.testing.assert_allclose(normalization["averageImage"][0, 0].ravel(), [123.68, 116.779, 103.939], rtol=1e-6)
    read = read_weights(tmp_path / "a.mat", classifier=classifier)
    assert_parameters(read, found)
    assert layout in read.layout and read.description == "made for a test"
    assert os.listdir(tmp_path) == ["a.mat"]


def test_write_mat_of_a_short_vgg_16(tmp_path):
    found = dict(list(numbers("VGG-16", classifier=False).items())[:9])
    write_mat(VGGWeights(found), tmp_path / "a.mat")
    names = [str(one["name"][0, 0][0]) for one in scipy.io.loadmat(tmp_path / "a.mat")["layers"][0]]
    assert names[-3:] == ["relu4_1", "conv4_2", "relu4_2"] and "pool3" in names
    assert_parameters(read_weights(tmp_path / "a.mat"), found)


def test_write_mat_refuses(tmp_path):
    with pytest.raises(ValueError, match="layout must be 'new' or 'old'; found 'newest'"):
        write_mat(VGGWeights.random(), tmp_path / "a.mat", layout="newest")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="Could not write"):
        write_mat(VGGWeights.random(), tmp_path / "file" / "a.mat")


# --------------------------------------------------------------------------------------------------------- Keras .h5


def write_keras(path, found, nested):
    with h5py.File(path, "w") as file:
        for name, (W, b) in found.items():
            W = W[:, :, ::-1] if name == "conv1_1" else W
            name = f"block{name[4]}_conv{name[6]}"
            kernel, bias = (f"{name}/kernel:0", f"{name}/bias:0") if nested else (f"{name}_W_1:0", f"{name}_b_1:0")
            file[f"{name}/{kernel}"], file[f"{name}/{bias}"] = W, b
        for i in range(1, 6):
            file.create_group(f"block{i}_pool")
    return path


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("network", ["VGG-19", "VGG-16"])
def test_keras(tmp_path, network, nested):
    found = numbers(network, classifier=False)
    read = read_weights(write_keras(tmp_path / "a.h5", found, nested))
    assert_parameters(read, found)
    assert read.network == network and read.layout == "Keras .h5"


def test_what_a_file_is_is_read_off_its_content(tmp_path):
    assert read_weights(write_keras(tmp_path / "a.mat", numbers(classifier=False), False)).layout == "Keras .h5"
    path = write(tmp_path / "b.mat")
    path.rename(tmp_path / "b.h5")
    assert "MatConvNet" in read_weights(tmp_path / "b.h5").layout


@pytest.mark.parametrize("kind", ["external link", "soft link", "external data", "virtual"])
def test_keras_links_are_not_followed(tmp_path, kind):
    found = numbers(classifier=False)
    path, name = write_keras(tmp_path / "a.h5", found, False), "block1_conv2/block1_conv2_b_1:0"
    other = write_keras(tmp_path / "secret.h5", found, False)
    (tmp_path / "secret.bin").write_bytes(found["conv1_2"][1].tobytes())
    with h5py.File(path, "a") as file:
        del file[name]
        if kind == "external link":
            file[name] = h5py.ExternalLink(str(other), name)
        elif kind == "soft link":
            file[name] = h5py.SoftLink("/block1_conv1/block1_conv1_b_1:0")
        elif kind == "external data":
            external = [(str(tmp_path / "secret.bin"), 0, 16)]
            file.create_dataset(name, (4,), "f4", external=external)
        else:
            virtual = h5py.VirtualLayout((4,), "f4")
            virtual[:] = h5py.VirtualSource(str(other), name, (4,))
            file.create_virtual_dataset(name, virtual)
    with h5py.File(path, "r") as file:
        assert file[name].shape == (4,)  # whoever follows it is given an array
    with pytest.raises(WeightsError, match=f"Expected block1_conv2 .* a kernel and a bias; it holds block1_.*{RETRY}"):
        read_weights(path)


def test_keras_truncated(tmp_path):
    path = write_keras(tmp_path / "a.h5", numbers(classifier=False), False)
    content = path.read_bytes()
    for keep in (9, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:keep])
        with pytest.raises(WeightsError, match=f"a.h5 is damaged or truncated: .*{RETRY} --source keras"):
            read_weights(path)


def test_keras_unrelated(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["dense/kernel:0"] = np.ones((3, 3))
        file["block1_conv1"] = np.ones(3)  # a data set where a group is expected
    with pytest.raises(WeightsError, match=f"a layer block1_conv1; .* has none.*{RETRY}"):
        read_weights(tmp_path / "a.h5")


@pytest.mark.parametrize("shape", [(), (3,), (3, 3), (3, 3, 3, 4, 1)])
def test_keras_of_a_wrong_shape(tmp_path, shape):
    path = write_keras(tmp_path / "a.h5", numbers(classifier=False), True)
    with h5py.File(path, "a") as file:
        del file["block1_conv1/block1_conv1/kernel:0"]
        file["block1_conv1/block1_conv1/kernel:0"] = np.ones(shape, "f4")
    with pytest.raises(WeightsError, match="Expected conv1_1 to have a kernel of shape"):
        read_weights(path)


@pytest.mark.parametrize("shape, chunks", [((2**20, 2**20), None), ((3, 3, 3, 4), (2**10, 2**10, 2**8, 2))])
def test_keras_that_declares_huge_arrays(tmp_path, shape, chunks):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        maxshape = (None,) * 4 if chunks else None
        file.create_dataset("block1_conv1/kernel:0", shape, "f4", chunks=chunks or True, maxshape=maxshape)
        file["block1_conv1/bias:0"] = np.ones(4)
    with pytest.raises(WeightsError, match=f"Expected at most 134,[0-9,]+ bytes of kernels; .*declares.*{RETRY}"):
        read_weights(tmp_path / "a.h5")


def test_keras_groups_that_hold_themselves(tmp_path, monkeypatch):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        group = file.create_group("block1_conv1")
        for i in range(200):
            group[f"a{i:03}"] = group
    looked, hard_links = [], keras_h5._hard_links
    monkeypatch.setattr(keras_h5, "_hard_links", lambda *args: looked.append(args) or hard_links(*args))
    with pytest.raises(WeightsError, match="it holds nothing"):
        keras_h5.read_here(tmp_path / "a.h5", 2**20)
    assert 2 <= len(looked) < 20


DYING = """
import os, signal, sys
if sys.argv[1:2] == ["keras_h5"]:  # in the reader's process only
    {}
"""


@pytest.mark.parametrize(
    "death, reason",
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "its reader ended with SIGSEGV"),
        ("os._exit(17)", "its reader ended with 17"),
        ("bytearray(2**31)", "its reader ended with MemoryError"),
        ("while True: pass", "it took more than 2 seconds to read"),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="signals and limits are POSIX'")
def test_what_ends_the_reader_of_keras_files_does_not_end_python(tmp_path, monkeypatch, death, reason):
    path = write_keras(tmp_path / "a.h5", numbers(classifier=False), False)
    (tmp_path / "h5py.py").write_text(DYING.format(death))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(apart, "_SECONDS", 2)
    with pytest.raises(WeightsError, match=f"Expected Keras VGG weights; .*a.h5 is damaged: {reason}.*{RETRY}"):
        read_weights(path)


def test_the_published_keras_file_is_read_without_another_process(tmp_path, monkeypatch):
    path = write_keras(tmp_path / "a.h5", numbers(classifier=False), False)
    published = dataclasses.replace(
        download.SOURCES["keras"], n_bytes=path.stat().st_size, hash=download.checksums(path)[1]
    )
    monkeypatch.setitem(download.SOURCES, "keras", published)
    monkeypatch.setattr(keras_h5, "read_apart", None)
    assert_parameters(read_weights(path), numbers(classifier=False))


def test_a_file_that_ended_python(test_data):
    with pytest.raises(WeightsError, match="h5_segfault_min.h5 is damaged"):
        read_weights(test_data / "faults" / "h5_segfault_min.h5")


def test_a_keras_file_that_another_program_writes_to_is_locked_not_damaged(tmp_path):
    path = write_keras(tmp_path / "a.h5", numbers(classifier=False), False)
    with h5py.File(path, "a"), pytest.raises(WeightsError, match="a.h5 is locked: another .* Close the file there"):
        read_weights(path)
    assert len(read_weights(path).layers) == 16


def write_keras_3(file, found, inside=""):
    """Write the layout of .weights.h5, in an order in which groups are not sorted as layers are."""
    for i, (name, (W, b)) in enumerate(found.items()):
        vars = file.create_group(f"{inside}layers/conv2d{f'_{i}' if i else ''}/vars")
        vars["0"], vars["1"] = W[:, :, ::-1] if name == "conv1_1" else W, b
    file.create_group("layers/max_pooling2d/vars")
    file["optimizer/layers/conv2d/vars/0"] = np.zeros((3, 3, 3, 4))


@pytest.mark.parametrize("inside", ["", "layers/functional/"])
@pytest.mark.parametrize("network", ["VGG-19", "VGG-16"])
def test_weights_of_keras_3(tmp_path, network, inside):
    found = numbers(network, classifier=False)
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        write_keras_3(file, found, inside)
    read = read_weights(tmp_path / "a.weights.h5")
    assert_parameters(read, found)
    assert read.network == network
    with zipfile.ZipFile(tmp_path / "a.keras", "w") as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", "{}")
        archive.write(tmp_path / "a.weights.h5", "model.weights.h5")
    read = read_weights(tmp_path / "a.keras")
    assert_parameters(read, found)
    assert read.network == network and read.layout == "Keras .keras"


def test_a_network_of_keras_3_that_stops_early_ends_where_its_channels_say(tmp_path):
    for network in ("VGG-19", "VGG-16"):
        found = dict(list(numbers(network, classifier=False).items())[:9])
        with h5py.File(tmp_path / "a.weights.h5", "w") as file:
            write_keras_3(file, found)
        assert_parameters(read_weights(tmp_path / "a.weights.h5"), found)


@pytest.mark.parametrize("inside", ["model_weights", "model_weights/vgg19"])
def test_a_whole_keras_model(tmp_path, inside):
    found = numbers(classifier=False)
    with h5py.File(write_keras(tmp_path / "a.h5", found, True), "a") as file:
        layers = list(file)
        for name in layers:
            file.move(name, f"{inside}/{name}")
        file["optimizer_weights/block1_conv1/kernel:0"] = np.zeros((3, 3, 3, 4))
    assert_parameters(read_weights(tmp_path / "a.h5"), found)


def test_a_keras_model_that_is_no_vgg(tmp_path):
    found = {f"conv{i}": (np.ones((3, 3, 4, 4), "f4"), np.ones(4, "f4")) for i in range(20)}
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        write_keras_3(file, found)
    with pytest.raises(WeightsError, match=f"a layer block1_conv1; .*a.weights.h5 has none.*{RETRY}"):
        read_weights(tmp_path / "a.weights.h5")


def test_a_keras_archive_that_unpacks_to_too_much(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", bytes(2**28))
    with pytest.raises(WeightsError, match="Expected at most 138,[0-9,]+ bytes of weights; .*declares 268,435,456"):
        read_weights(tmp_path / "a.keras")


# --------------------------------------------------------------------------------------------------------- bad files


def test_a_missing_file(tmp_path):
    for path in (tmp_path / "none.mat", tmp_path):
        with pytest.raises(FileNotFoundError, match=f"Expected a weights file; there is none at .*{RETRY}"):
            read_weights(path)


def _matlab_4():
    file = io.BytesIO()
    scipy.io.savemat(file, {"layers": np.ones((30, 3))}, format="4")
    return file.getvalue()


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "is empty"),
        (b"\n <!DOCTYPE html><html><body>404 Not Found</body></html>", "is a web page saved under that name"),
        (b"<html lang='en'>", "is a web page"),
        (_matlab_4(), "it is not a MATLAB 5 file"),
    ],
)
def test_what_is_no_weights_file(tmp_path, content, message):
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(WeightsError, match=f"Expected .*a.mat.* {message}.*Delete it and fetch it again.*{RETRY}"):
        read_weights(tmp_path / "a.mat")


def _zipped(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), content)
    return file.getvalue()


def _npy():
    file = io.BytesIO()
    np.save(file, np.ones(3))
    return file.getvalue()


@pytest.mark.parametrize(
    "content, what",
    [
        (_npy(), r"is a NumPy array \(.npy\)"),
        (_zipped(vgg19__data_pkl=b"\x80\x02", vgg19__data__0=b"1234"), "is a PyTorch file"),
        (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19." + b"\x80\x02}" * 99, "is a PyTorch file"),
        (pickle.dumps({"conv1_1": 1}), "is a Python pickle"),
        (gzip.compress(b"MATLAB 5.0", mtime=0), "is packed by gzip. Unpack it first"),
        (_zipped(a_txt=b"a"), "is a ZIP archive of 1 file. Unpack it first"),
        (_zipped(a_mat=b"a", b_mat=b"b"), "is a ZIP archive of 2 files. Unpack it first"),
    ],
)
def test_a_healthy_file_of_another_kind_is_called_what_it_is(tmp_path, content, what):
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(WeightsError, match=rf"Expected VGG weights \(.*\); .*a.mat {what}") as caught:
        read_weights(tmp_path / "a.mat")
    assert "elete" not in str(caught.value) and "MATLAB" not in str(caught.value)


@pytest.mark.parametrize("compressed", [True, False])
def test_a_mat_that_is_still_zipped(tmp_path, compressed):
    path = write(tmp_path / "a.mat", compressed)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, "models/a.mat")
        archive.writestr("__MACOSX/models/._a.mat", b"Mac OS X")
    read = read_weights(tmp_path / "a.zip")
    assert_parameters(read, convolutions(numbers()))
    assert read.classes == tuple(CLASSES) and "new" in read.layout
    content = bytearray((tmp_path / "a.zip").read_bytes())
    content[len(content) // 2] ^= 0xFF
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(WeightsError, match="Expected MatConvNet weights; .*a.zip cannot be read"):
        read_weights(tmp_path / "a.zip")


def test_a_zipped_mat_that_unpacks_to_too_much(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.mat", bytes(2**28))
    with pytest.raises(WeightsError, match="it unpacks to 268,435,456 bytes, expected were at most"):
        read_weights(tmp_path / "a.zip")


def test_matlab_7_3(tmp_path):
    with h5py.File(tmp_path / "a.mat", "w", userblock_size=512) as file:
        file["layers"] = np.ones(3)
    with open(tmp_path / "a.mat", "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64")
    with pytest.raises(
        WeightsError, match=r"Expected a MATLAB 5 file; .*a.mat is a MATLAB 7.3 file .*'-v7'\).*" + RETRY
    ):
        read_weights(tmp_path / "a.mat")


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("layout", ["new", "old"])
def test_truncated(tmp_path, layout, compressed):
    path = write(tmp_path / "a.mat", compressed, layout=layout)
    content = path.read_bytes()
    for keep in {20, 127, 128, 130, 140, 200, len(content) // 2, len(content) - 1, len(content) - 9}:
        path.write_bytes(content[:keep])
        with pytest.raises(WeightsError, match=rf"Expected MatConvNet weights; .*a\.mat.*{RETRY}"):
            read_weights(path)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(WeightsError, match=r"truncated: [\d,]+ bytes are expected, [\d,]+ are there"):
        read_weights(path)


def test_43_cells_that_are_no_vgg(tmp_path):
    for cell in (np.ones((3, 3)), "conv", struct(name="conv1_1"), struct(name="dense", weights=cells(1.0, 2.0))):
        scipy.io.savemat(tmp_path / "a.mat", {"layers": cells(*[cell] * 43)})
        with pytest.raises(WeightsError, match=f"holds no cell array of VGG layers.*{RETRY}"):
            read_weights(tmp_path / "a.mat")


@pytest.mark.parametrize("layers", [np.zeros((10**6, 1), "u1"), "layers", struct(name="conv1_1")])
def test_layers_that_are_no_cells(tmp_path, layers):
    scipy.io.savemat(tmp_path / "a.mat", {"layers": layers})
    with pytest.raises(WeightsError, match="holds no cell array of VGG layers"):
        read_weights(tmp_path / "a.mat")
    scipy.io.savemat(tmp_path / "a.mat", {"x": layers})
    with pytest.raises(WeightsError, match="holds no cell array of VGG layers"):
        read_weights(tmp_path / "a.mat")


def test_what_is_no_cell_array_is_not_walked(tmp_path, monkeypatch):
    """A few bytes can unpack to an array of half a billion rows."""
    scipy.io.savemat(tmp_path / "a.mat", {"layers": np.zeros((10, 1))})
    called = []
    monkeypatch.setattr(matconvnet, "_mat_parameters", lambda cell: called.append(cell) or ("", None))
    with pytest.raises(WeightsError):
        read_weights(tmp_path / "a.mat")
    assert not called


def test_layers_of_another_name_are_passed_over(tmp_path):
    made = contents(stop="pool3")
    extra = layer("new", "conv", "conv3_4_bn", (np.ones((1, 1, 6, 6), "f4"), np.ones(6, "f4")), False)
    made["layers"] = cells(*made["layers"][0], extra)
    scipy.io.savemat(tmp_path / "a.mat", made)
    assert read_weights(tmp_path / "a.mat").layers[-1] == "conv3_4"


def test_a_variable_that_comes_twice(tmp_path):
    path = write(tmp_path / "a.mat")
    content = path.read_bytes()
    path.write_bytes(content + content[128:])
    with pytest.raises(WeightsError, match="two variables called layers"):
        read_weights(path)


@pytest.mark.parametrize(
    "gone, what", [("conv1_1", "has no conv1_1"), ("conv3_2", "has no conv3_2"), ("conv5_1", "has no conv5_1")]
)
def test_a_layer_missing(tmp_path, gone, what):
    found = numbers()
    del found[gone]
    with pytest.raises(WeightsError, match=f"Expected the convolutions .*a.mat {what}. Use another copy"):
        read_weights(write(tmp_path / "a.mat", found=found))


def test_a_layer_no_vgg_has():
    found = numbers(classifier=False)
    found["conv6_1"] = found["conv5_4"]
    with pytest.raises(WeightsError, match="these weights has conv6_1, which no VGG has"):
        VGGWeights(found)


@pytest.mark.parametrize(
    "W, b",
    [
        (np.ones((5, 5, 4, 5), "f4"), np.ones(5, "f4")),
        (np.ones((3, 3, 9, 5), "f4"), np.ones(5, "f4")),
        (np.ones((3, 3, 4), "f4"), np.ones(5, "f4")),
        (np.ones((3, 3, 4, 5), "f4"), np.ones(4, "f4")),
        (np.ones((3, 3, 4, 0), "f4"), np.ones(0, "f4")),
    ],
)
def test_a_layer_of_a_wrong_shape(tmp_path, W, b):
    found = numbers() | {"conv2_1": (W, b)}
    message = rf"Expected conv2_1 .* shape \(3, 3, 4, n_C\) and n_C biases; .*a\.mat has .*{b.size} biases. Use another"
    with pytest.raises(WeightsError, match=message):
        read_weights(write(tmp_path / "a.mat", found=found))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("part", [0, 1])
def test_a_number_that_is_none(tmp_path, bad, part):
    found = numbers()
    found["conv3_2"][part].flat[3] = bad
    with pytest.raises(WeightsError, match="Expected finite numbers; conv3_2 of .*a.mat holds NaN or infinity. Use"):
        read_weights(write(tmp_path / "a.mat", found=found))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_give_weights_or_a_weights_error(tmp_path, data):
    for compressed in (True, False):
        good = tmp_path / f"good{compressed}.mat"
        if not good.exists():
            write(good, compressed, found=numbers(widths=(2, 2, 2, 2, 2)), stop="pool1")
    content = bytearray((tmp_path / f"good{data.draw(st.booleans())}.mat").read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(100, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "a.mat").write_bytes(content[: data.draw(st.sampled_from([len(content), len(content) - 8]))])
    try:
        read_weights(tmp_path / "a.mat", classifier=data.draw(st.booleans()))
    except WeightsError:
        pass


def test_running_out_of_memory_is_a_weights_error(tmp_path, monkeypatch):
    path = write(tmp_path / "a.mat")

    def fail(*args, **kwargs):
        raise MemoryError

    monkeypatch.setattr(matconvnet, "_mat_parameters", fail)
    with pytest.raises(WeightsError, match="it asks for more memory than there is"):
        read_weights(path)


# ------------------------------------------------------------------------------------------------------------- cache


@pytest.fixture
def big(tmp_path, monkeypatch):
    """A file that counts as large, old enough to be cached."""
    monkeypatch.setattr(cache.Cache, "MIN_BYTES", 1000)
    path = write(tmp_path / "big.mat")
    time.sleep(0.15)
    return path


def cached(tmp_path):
    return sorted((tmp_path / "cache").glob("*")) if (tmp_path / "cache").exists() else []


def no_parser(monkeypatch):
    def fail(*args, **kwargs):
        raise AssertionError("the file was parsed again")

    monkeypatch.setattr(reading, "_read_file", fail)


def test_the_second_read_parses_nothing(tmp_path, monkeypatch, big):
    first = read_weights(big)
    (file,) = cached(tmp_path)
    no_parser(monkeypatch)
    again = read_weights(big)
    assert_parameters(again, convolutions(numbers()))
    for field in ("source", "layout", "description", "classes", "network"):
        assert getattr(again, field) == getattr(first, field)
    assert cached(tmp_path) == [file]


def test_a_small_or_brand_new_file_is_not_cached(tmp_path, monkeypatch):
    read_weights(write(tmp_path / "small.mat"))
    assert cached(tmp_path) == []
    monkeypatch.setattr(cache.Cache, "MIN_BYTES", 1000)
    # Within a tick of the clock it could change again without a trace.
    read_weights(write(tmp_path / "new.mat"))
    assert cached(tmp_path) == []


def test_the_classifier_is_never_served_from_the_cache(big):
    read_weights(big)
    assert_parameters(read_weights(big, classifier=True), numbers())


def _in_place(path, content, stat):
    with open(path, "r+b") as file:
        file.write(content)


def _in_place_with_its_old_time(path, content, stat):
    _in_place(path, content, stat)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def _replaced(path, content, stat):
    other = path.with_name("other")
    other.write_bytes(content)
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    os.replace(other, path)


@pytest.mark.parametrize("change", [_in_place, _in_place_with_its_old_time, _replaced])
def test_a_file_that_changed_is_read_again(tmp_path, monkeypatch, change):
    monkeypatch.setattr(cache.Cache, "MIN_BYTES", 1000)
    path = write(tmp_path / "big.mat", compressed=False)
    other = write(tmp_path / "new.mat", compressed=False, found=numbers(seed=1)).read_bytes()
    time.sleep(0.15)
    stat = path.stat()
    assert len(other) == stat.st_size
    read_weights(path)
    assert len(cached(tmp_path)) == 1
    change(path, other, stat)
    for pause in (0, 0.15, 0):  # not cached yet, cached anew, served
        time.sleep(pause)
        assert_parameters(read_weights(path), convolutions(numbers(seed=1)))
    assert len(cached(tmp_path)) == 1


def test_two_files_of_one_name_do_not_share(tmp_path, monkeypatch):
    monkeypatch.setattr(cache.Cache, "MIN_BYTES", 1000)
    for seed in (0, 1):
        (tmp_path / str(seed)).mkdir()
        write(tmp_path / str(seed) / "big.mat", found=numbers(seed=seed))
    time.sleep(0.15)
    for _ in range(2):
        for seed in (0, 1):
            assert_parameters(read_weights(tmp_path / str(seed) / "big.mat"), convolutions(numbers(seed=seed)))
    assert len(cached(tmp_path)) == 2


def test_a_file_that_changes_while_it_is_read_is_not_cached(tmp_path, monkeypatch, big):
    read_file = reading._read_file

    def slow(*args, **kwargs):
        found = read_file(*args, **kwargs)
        os.utime(big)
        return found

    monkeypatch.setattr(reading, "_read_file", slow)
    read_weights(big)
    assert cached(tmp_path) == []


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "text", "folder"])
def test_a_damaged_cache_is_not_used(tmp_path, big, damage):
    read_weights(big)
    (file,) = cached(tmp_path)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    if damage == "folder":
        file.unlink()
        file.mkdir()
    else:
        choices = {"truncated": content[:-100], "flipped": content, "empty": b"", "text": b"not a cache" * 100}
        file.write_bytes(choices[damage])
    for _ in range(2):
        assert_parameters(read_weights(big), convolutions(numbers()))


def test_a_cache_of_another_version_is_not_used(tmp_path, monkeypatch, big):
    read_weights(big)
    monkeypatch.setattr(cache.Cache, "_key", lambda self: ["next", *map(str, self._stat)])
    called = []
    monkeypatch.setattr(reading, "_read_file", lambda *a, **k: called.append(1) or VGGWeights(numbers()))
    read_weights(big)
    assert called


def test_no_cache_can_be_written(tmp_path, monkeypatch, big):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("NST_COURSE_CACHE", str(tmp_path / "file" / "cache"))
    for _ in range(2):
        assert_parameters(read_weights(big), convolutions(numbers()))
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_full_disk_only_costs_the_cache(tmp_path, monkeypatch, big):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    assert_parameters(read_weights(big), convolutions(numbers()))
    assert cached(tmp_path) == []


READER = """
import sys
from nst_course.weights import cache
from nst_course.weights.reading import read_weights
cache.Cache.MIN_BYTES = 1000
print("ready", flush=True)
sys.stdin.readline()
for _ in range(5):
    read = read_weights(sys.argv[1])
    print(sum(float(W.sum(dtype="f8") + b.sum(dtype="f8")) for W, b in read.parameters.values()))
"""


def test_processes_that_read_at_once_share_one_whole_cache(tmp_path, monkeypatch, big):
    start = [sys.executable, "-c", READER, str(big)]
    readers = [subprocess.Popen(start, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    for reader in readers:
        assert reader.stdout.readline() == "ready\n"
    for reader in readers:
        reader.stdin.write("go\n")
        reader.stdin.flush()
    found = [reader.communicate(timeout=1800)[0].split() for reader in readers]
    expected = sum(float(W.sum(dtype="f8") + b.sum(dtype="f8")) for W, b in convolutions(numbers()).values())
    np.testing.assert_allclose(np.array(found, float), np.full((3, 5), expected), rtol=1e-12)
    assert len(cached(tmp_path)) == 1 and cached(tmp_path)[0].suffix == ".npz"
    no_parser(monkeypatch)
    assert_parameters(read_weights(big), convolutions(numbers()))


def test_the_cache_folder(monkeypatch):
    monkeypatch.setenv("NST_COURSE_CACHE", "/somewhere/else")
    assert folders.cache_folder() == pathlib.Path("/somewhere/else")
    monkeypatch.delenv("NST_COURSE_CACHE")
    assert "nst_course" in folders.cache_folder().parts


# ----------------------------------------------------------------------------------------------------------- finding


@pytest.fixture
def places(tmp_path, monkeypatch):
    """The three folders searched, none of them there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(folders, "repository_folder", lambda name: tmp_path / "project" / name)
    return tmp_path


def test_the_order_in_which_weights_are_found(places, monkeypatch):
    assert find_weights() == places / "project" / "pretrained-model" / "imagenet-vgg-verydeep-19.npz"
    for folder in (places / "cache", places / "project" / "pretrained-model", pathlib.Path("pretrained-model")):
        folder.mkdir(parents=True)
        for source in reversed(download.SOURCES.values()):  # the .mat comes before the .h5
            (folder / source.file).write_bytes(b"")
            assert find_weights() == folder / source.file
    monkeypatch.setenv("NST_COURSE_WEIGHTS", str(places / "chosen.mat"))
    assert find_weights() == places / "chosen.mat"
    assert find_weights("named.mat") == pathlib.Path("named.mat")


def test_weights_named_but_missing_are_an_error(places, monkeypatch):
    monkeypatch.setenv("NST_COURSE_WEIGHTS", str(places / "chosen.mat"))
    with pytest.raises(FileNotFoundError, match=r"there is none at .*chosen\.mat"):
        load_weights()


def test_the_embedded_network_is_the_default_and_is_announced_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(find, "SOURCES", {})  # published weights that a user has fetched come first
    read = load_weights()
    out = capsys.readouterr().out
    assert out.startswith("Weights: VGG-19 by K. Simonyan and A. Zisserman") and out.count("\n") == 1
    assert read.layers == NETWORKS["VGG-19"] and read["conv5_4"][0].shape == (3, 3, 512, 512)


COURSE_FILE = "imagenet-vgg-verydeep-19.mat"


@pytest.mark.parametrize("variable", [False, True])
def test_for_the_courses_file_the_levels_beside_it_are_read(places, monkeypatch, capsys, variable):
    folder = pathlib.Path("pretrained-model")
    write_levels(VGGWeights(numbers(classifier=False), description="Small."), folder / EMBEDDED_WEIGHTS)
    named = folder / COURSE_FILE
    if variable:
        monkeypatch.setenv("NST_COURSE_WEIGHTS", str(named))
    read = load_weights(None if variable else named)
    assert read.source == str(folder / EMBEDDED_WEIGHTS)
    assert capsys.readouterr().out == (
        "Weights: Small (imagenet-vgg-verydeep-19.npz, as there is no imagenet-vgg-verydeep-19.mat beside it).\n"
    )
    # Where the course's file is there, it is what was asked for; and no other name is answered so.
    write(named)
    assert_parameters(load_weights(named), convolutions(numbers()))
    with pytest.raises(FileNotFoundError, match=r"none at .*other\.mat"):
        load_weights(folder / "other.mat")


def test_the_courses_file_without_anything_beside_it_is_missing(places):
    with pytest.raises(FileNotFoundError, match=f"none at .*{COURSE_FILE}"):
        load_weights(pathlib.Path("pretrained-model") / COURSE_FILE)


def test_published_weights_are_not_announced(places, capsys, monkeypatch):
    path = write(places / "a.mat")
    assert_parameters(load_weights(path), convolutions(numbers()))
    monkeypatch.setenv("NST_COURSE_WEIGHTS", str(path))
    assert_parameters(load_weights(classifier=True), numbers())
    assert capsys.readouterr().out == ""


def test_what_a_file_says_of_itself_is_one_line(places, capsys):
    write_mat(VGGWeights(numbers(), description="Trained on drawings.\nNot ImageNet. " + "x" * 1000), "a.mat")
    load_weights("a.mat")
    out = capsys.readouterr().out
    assert out.startswith("Weights: Trained on drawings. Not ImageNet. xxx") and out.count("\n") == 1 and len(out) < 220


def test_weights_that_were_read_are_passed_on(capsys):
    read = VGGWeights.random()
    assert load_weights(read) is read


# ------------------------------------------------------------------------------------------------------------ random


@pytest.mark.parametrize("network", ["VGG-19", "VGG-16"])
def test_random_weights(network):
    read = VGGWeights.random(3, network=network, widths=(16, 16, 32, 32, 64))
    assert list(read.layers) == CONVOLUTIONS[network] and read.network == network
    assert_parameters(VGGWeights.random(3, network=network, widths=(16, 16, 32, 32, 64)), dict(read.parameters))
    assert not np.array_equal(read["conv1_1"][0], VGGWeights.random(4, widths=(16, 16, 32, 32, 64))["conv1_1"][0])
    W, b = read["conv5_3"]
    assert W.shape == (3, 3, 64, 64) and not b.any()
    assert W.var() == pytest.approx(2 / (9 * 64), rel=0.03)


def test_weights_cannot_be_changed_by_accident():
    read = VGGWeights.random()
    with pytest.raises(TypeError):
        read.parameters["conv1_1"] = None
    with pytest.raises(AttributeError):
        read.source = "elsewhere"


# ------------------------------------------------------------------------------------------------ the published ones


def test_real_vgg_19_survives_both_layouts(test_data, tmp_path):
    with np.load(test_data / "vgg19" / "vgg19-blocks1to3.npz") as data:
        names = CONVOLUTIONS["VGG-19"][:8]
        real = {name: (data[f"{name}_W"], data[f"{name}_b"]) for name in names}
    for layout in ("new", "old"):
        write_mat(VGGWeights(real), tmp_path / "a.mat", layout=layout)
        assert_parameters(read_weights(tmp_path / "a.mat"), real)
    assert_parameters(read_weights(write_keras(tmp_path / "a.h5", real, False)), real)


def test_messages_are_one_line(tmp_path):
    (tmp_path / "a.mat").write_bytes(b"junk" * 100)
    with pytest.raises(WeightsError) as caught:
        read_weights(tmp_path / "a.mat")
    assert re.fullmatch(r"[^\n]{50,400}", str(caught.value))
