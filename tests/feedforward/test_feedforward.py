import importlib.util
import json
import pathlib
import shutil
import sys
import tracemalloc
import warnings
import zipfile

import feedforward_reference as reference
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from nst_course import (
    CheckpointError,
    TransformNet,
    cli,
    load_network,
    read_image,
    save_image,
    save_network,
    style_names,
)
from nst_course.decoding import decode_frames
from nst_course.feedforward import styles, transform_net
from nst_course.feedforward.checkpoint import NAMES
from nst_course.feedforward.files import plan
from nst_course.feedforward.transform_net import LAYERS, SHAPES, random_parameters, transform, without_grid

tf1 = tf.compat.v1


def drawn(seed=0):
    """Parameters with shifts and scales that are all different."""
    rng = np.random.RandomState(seed)
    draws = (lambda s: 0.1 * rng.randn(*s), lambda s: 0.3 * rng.randn(*s), lambda s: rng.uniform(0.5, 1.5, s))
    return [draws[i % 3](shape).astype(np.float32) for i, shape in enumerate(SHAPES)]


def picture(n_H, n_W, seed=0):
    return np.random.RandomState(seed).randint(0, 256, (n_H, n_W, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def net():
    return TransformNet(drawn(), style="drawn", settings={"steps": 3})


def psnr(a, b):
    return 10 * np.log10(255**2 / np.mean((a.astype(np.float64) - b) ** 2))


# --- the network ---


@pytest.mark.parametrize("padding, mode", [("zeros", "constant"), ("reflect", "symmetric")])
@pytest.mark.parametrize("size", [(17, 23), (16, 22), (15, 20)])
def test_forward_pass_against_the_reference(net, size, padding, mode):
    image = picture(*size)
    expected = reference.network(net.parameters, image, mode)[-size[0] :, -size[1] :]
    found = net(tf.constant(image[None], tf.float32), padding=padding)[0].numpy()
    np.testing.assert_allclose(found, expected, atol=2e-2)
    # Cut off, not rounded; a value next to an integer may fall on either side of it.
    cut = np.clip(expected, 0, 255).astype(np.uint8)
    applied = net.apply(image, padding=padding)
    assert np.abs(applied.astype(int) - cut).max() <= 1 and (applied == cut).mean() > 0.98


def test_a_network_is_applied_as_it_was_trained(net):
    image, mirrored = picture(9, 12), TransformNet(net.parameters, settings={"padding": "reflect"})
    assert (net.padding, mirrored.padding) == ("zeros", "reflect")
    np.testing.assert_array_equal(mirrored.apply(image), net.apply(image, padding="reflect"))
    np.testing.assert_array_equal(mirrored.apply(image, padding="zeros"), net.apply(image))
    assert (mirrored.apply(image) != net.apply(image)).any()


def test_kernels_without_a_grid():
    """A constant gives a constant, where what was drawn gives a grid."""
    drawn = random_parameters(2)
    free = [np.asarray(p) for p in without_grid(drawn)]
    for found, expected in zip(free, reference.interpolating(drawn)):
        np.testing.assert_allclose(found, expected, atol=1e-6)
    for i in (3 * i for i, (kind, *_) in enumerate(LAYERS) if kind == "up"):
        a = np.ones((4, 4, drawn[i].shape[3]))
        with_grid, without = (reference.transposed(a, p[i])[1:-1, 1:-1] for p in (drawn, free))
        assert np.ptp(without, axis=(0, 1)).max() < 1e-5 < 0.1 < np.ptp(with_grid, axis=(0, 1)).max()


def test_pictures_of_a_batch_do_not_see_each_other(net):
    images = tf.constant(np.stack([picture(9, 10, seed) for seed in (1, 2)]), tf.float32)
    together = net(images)
    for i in range(2):
        np.testing.assert_allclose(together[i], net(images[i : i + 1])[0], atol=1e-2)


@pytest.mark.parametrize("name, style, decibels", [("wave", "wave", 39.7), ("scream", "the_scream", 45.1)])
def test_published_pictures(test_data, tmp_path, name, style, decibels):
    pictures = test_data / "pictures"
    network = load_network(test_data / "feedforward" / f"lengstrom_{name}.npz")
    content, published = read_image(pictures / "chicago.jpg"), read_image(pictures / f"chicago_{style}.jpg")
    exact = network.apply(content)
    assert psnr(exact, published) >= decibels
    save_image(tmp_path / "a.jpg", exact)
    assert psnr(read_image(tmp_path / "a.jpg"), published) > psnr(exact, published) - 1
    assert psnr(network.apply(content, precision="bfloat16"), exact) >= 38


def test_bfloat16_of_drawn_parameters(net):
    image = picture(48, 64)
    assert psnr(net.apply(image, precision="bfloat16"), net.apply(image)) >= 38


def test_every_size_is_kept(net):
    for size in [(1, 1), (1, 2), (2, 3), (3, 1), (5, 9)]:
        for padding in ("zeros", "reflect"):
            painting = net.apply(picture(*size), padding=padding)
            assert painting.dtype == np.uint8 and painting.shape == (*size, 3)


def test_output_lies_where_the_picture_does():
    """A network that passes the picture through, but for its strides, puts a bright dot where it was."""
    parameters = [np.zeros(shape, np.float32) for shape in SHAPES]
    for i, W in enumerate(parameters[::3]):
        W[W.shape[0] // 2, W.shape[1] // 2, 0, 0] = 1
        parameters[3 * i + 2][0] = 1
    parameters[-1][:] = 1
    identity = TransformNet(parameters)
    for n in (32, 33, 34, 35):
        image = np.zeros((n, n, 3), np.uint8)
        # What stays with two strides of 2: where their kernels' centres fall depends on the sides.
        centre = {0: 15, 1: 16, 2: 13, 3: 14}[n % 4]
        image[centre, centre] = 255
        y = identity(tf.constant(image[None], tf.float32))[0, :, :, 0].numpy()
        assert np.unravel_index(y.argmax(), y.shape) == (centre, centre)


def test_gradients_reach_images_and_parameters():
    variables = [tf.Variable(p) for p in random_parameters(1)]
    images = tf.constant(np.stack([picture(11, 14, seed) for seed in (1, 2)]), tf.float32)
    for padding in ("zeros", "reflect"):
        with tf.GradientTape() as tape:
            tape.watch(images)
            y = transform(variables, images, padding=padding)
        gradients = tape.gradient(y, [images, *variables])
        assert all(g is not None and np.isfinite(g).all() for g in gradients)


def test_one_graph_for_each_size_and_no_warning(net, monkeypatch):
    traced = []
    walk = transform_net.transform
    monkeypatch.setattr(transform_net, "transform", lambda *args, **kw: traced.append(1) or walk(*args, **kw))
    transform_net.compiled.cache_clear()
    other = TransformNet(random_parameters(3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for seed in range(4):
            for network in (net, other):
                network.apply(picture(7, 6, seed))
        assert len(traced) == 1
        for n in range(8, 14):
            net.apply(picture(n, 6))
    assert len(traced) == 7
    assert transform_net.compiled.cache_info().currsize <= 4


def test_many_sizes_are_not_reported_by_tensorflow(net, monkeypatch):
    said = []
    # Not read from stderr: the level the tests run at would keep it silent.
    monkeypatch.setattr(tf.get_logger(), "isEnabledFor", lambda level: True)
    monkeypatch.setattr(tf.get_logger(), "handle", lambda record: said.append(record.getMessage()))
    for n in range(14, 22):
        net.apply(picture(3, n))
    assert not [text for text in said if "retracing" in text]


@pytest.mark.parametrize("seconds, precision", [((1, 0.95), "float32"), ((1, 0.5), "bfloat16")])
def test_auto_takes_what_is_clearly_faster(monkeypatch, seconds, precision):
    clock = [0.0]
    monkeypatch.setattr("nst_course.eager.precision.time.perf_counter", lambda: clock[0])

    def apply(self, image, precision):
        clock[0] += seconds[precision == "bfloat16"]

    monkeypatch.setattr(TransformNet, "apply", apply)
    assert transform_net.faster_precision.__wrapped__() == precision


def test_auto_is_one_of_the_two(net):
    image = picture(12, 13)
    painting = net.apply(image, precision="auto")
    assert any((painting == net.apply(image, precision=p)).all() for p in ("float32", "bfloat16"))


def test_residual_blocks_begin_as_the_identity():
    """Without them the network does the same."""
    parameters = [tf.constant(p) for p in random_parameters(1)]
    image = tf.constant(picture(12, 16)[None], tf.float32)
    without = [tf.zeros_like(p) if 9 <= i < 39 and i % 3 == 0 else p for i, p in enumerate(parameters)]
    np.testing.assert_array_equal(transform(parameters, image), transform(without, image))
    changed = [0.9 * p if i == 0 else p for i, p in enumerate(parameters)]
    assert (transform(changed, image).numpy() != transform(parameters, image).numpy()).any()


def test_random_parameters_belong_to_their_seed():
    first, again, other = random_parameters(1), random_parameters(1), random_parameters(2)
    assert all((a == b).all() for a, b in zip(first, again)) and (first[0] != other[0]).any()
    assert [p.shape for p in first] == list(SHAPES) and len(SHAPES) == 48


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4, 3), np.float32), np.zeros((4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8)]
)
def test_apply_says_what_a_picture_is(net, image):
    with pytest.raises(ValueError, match="Expected a uint8 picture"):
        net.apply(image)


def test_apply_needs_eager_mode(net):
    with tf.Graph().as_default(), pytest.raises(RuntimeError, match="in graph mode"):
        net.apply(picture(4, 4))


def test_unknown_options(net):
    with pytest.raises(ValueError, match="padding must be one of zeros, reflect; found 'mirror'"):
        net.apply(picture(4, 4), padding="mirror")
    with pytest.raises(ValueError, match="precision must be one of"):
        net.apply(picture(4, 4), precision="half")


def test_parameters_are_checked(net):
    with pytest.raises(ValueError, match="found 47 arrays"):
        TransformNet(net.parameters[:47])
    wrong = list(net.parameters)
    wrong[3] = wrong[3][..., :63]
    with pytest.raises(ValueError, match=r"number 3 is \(3, 3, 32, 63\), not \(3, 3, 32, 64\)"):
        TransformNet(wrong)


# --- files ---


@pytest.fixture(scope="module")
def saved(net, tmp_path_factory):
    path = tmp_path_factory.mktemp("net") / "drawn.npz"
    save_network(path, net)
    return path


def members(**changes):
    return {**dict(zip(NAMES, drawn())), **changes}


def assert_same(found, net):
    assert all(a.dtype == np.float32 and (a == b).all() for a, b in zip(found.parameters, net.parameters))


def test_round_trip(net, saved):
    found = load_network(str(saved))
    assert_same(found, net)
    assert (found.style, found.settings) == ("drawn", {"steps": 3})
    with np.load(saved, allow_pickle=False) as data:
        assert data.files[1:] == list(NAMES)
        assert json.loads(data["about"].tobytes())["version"]


def test_style_and_settings_of_the_call(net, tmp_path):
    save_network(tmp_path / "new folder" / "a.npz", net, style="other", settings={"beta": [1, 2.5]})
    found = load_network(tmp_path / "new folder" / "a.npz")
    assert (found.style, found.settings) == ("other", {"beta": [1, 2.5]})
    assert [p.name for p in (tmp_path / "new folder").iterdir()] == ["a.npz"]


def test_half_the_size_for_as_good_a_painting(net, saved, tmp_path):
    save_network(tmp_path / "small.npz", net, precision="float16")
    restored = load_network(tmp_path / "small.npz")
    assert (tmp_path / "small.npz").stat().st_size < 0.55 * saved.stat().st_size
    assert all(p.dtype == np.float32 for p in restored.parameters)
    assert psnr(restored.apply(picture(24, 32)), net.apply(picture(24, 32))) > 45
    with pytest.raises(CheckpointError, match="precision must be one of float32, float16; found 'int8'"):
        save_network(tmp_path / "no.npz", net, precision="int8")
    large = [p.copy() for p in net.parameters]
    large[1][0] = 1e5
    with pytest.raises(CheckpointError, match="nothing above 65504"):
        save_network(tmp_path / "no.npz", TransformNet(large), precision="float16")
    assert not (tmp_path / "no.npz").exists()


@pytest.fixture
def two_styles(net, tmp_path, monkeypatch):
    monkeypatch.setattr(styles, "_folder", lambda: tmp_path / "styles")
    for name in ("water-lilies", "mosaic"):
        named = TransformNet(net.parameters, style=name, settings={"picture": f"{name}.png"})
        save_network(tmp_path / "styles" / f"{name}.npz", named)


def test_styles_by_name(two_styles, net, tmp_path, monkeypatch, capsys):
    assert style_names() == ["mosaic", "water-lilies"]
    assert load_network("mosaic").style == "mosaic"
    for typed in ("water_lillies", "Waterlilies"):
        with pytest.raises(FileNotFoundError, match="Did you mean water-lilies"):
            load_network(typed)
    with pytest.raises(FileNotFoundError, match="there is no xyz. The styles are mosaic, water-lilies"):
        load_network("xyz")
    with pytest.raises(FileNotFoundError, match="none at mosaic.npz"):
        load_network("mosaic.npz")
    assert cli.main(["styles"]) == 0
    assert capsys.readouterr().out.split() == ["mosaic", "mosaic.png", "water-lilies", "water-lilies.png"]
    monkeypatch.chdir(tmp_path)
    shutil.copy(tmp_path / "styles" / "water-lilies.npz", "mosaic")
    assert load_network("mosaic").style == "water-lilies"  # a file of one's own comes first


def test_the_sheet(two_styles, tmp_path, capsys):
    save_image(tmp_path / "me.png", picture(30, 40))
    assert cli.main(["sheet", str(tmp_path / "me.png"), "-o", str(tmp_path / "sheet.png"), "--size", "40"]) == 0
    n_H, n_W, _ = read_image(tmp_path / "sheet.png").shape
    assert n_W >= 3 * 40 and n_H >= 30
    assert str(tmp_path / "sheet.png") in capsys.readouterr().out
    assert cli.main(["sheet", str(tmp_path / "me.png"), "-o", str(tmp_path / "me.png")]) == 1
    assert "is one of your pictures" in capsys.readouterr().err


def test_what_cannot_be_saved(net, tmp_path):
    with pytest.raises(CheckpointError, match="ends in .npz"):
        save_network(tmp_path / "a.ckpt", net)
    for settings in ({"a": object()}, {"a": np.float32(1)}):
        with pytest.raises(CheckpointError, match="for JSON"):
            save_network(tmp_path / "a.npz", net, settings=settings)
    with pytest.raises(CheckpointError, match="settings of type dict"):
        save_network(tmp_path / "a.npz", net, settings=[1])
    assert list(tmp_path.iterdir()) == []


def test_published_layout_without_about(net, tmp_path):
    np.savez(tmp_path / "a.npz", **dict(zip(NAMES, [np.asfortranarray(p) for p in net.parameters])))
    assert_same(load_network(tmp_path / "a.npz"), net)


def write_tensorflow(net, prefix, version, devices=1):
    prefix.parent.mkdir(exist_ok=True)
    with tf.Graph().as_default(), tf1.Session(config=tf1.ConfigProto(allow_soft_placement=True)) as sess:
        variables = []
        for n, parameter in enumerate(net.parameters):
            with tf.device(f"/cpu:{n % devices}"):
                variables.append(tf1.Variable(parameter, use_resource=False))
        assert [v.op.name for v in variables] == list(NAMES)
        if devices == 1:
            tf1.train.AdamOptimizer().minimize(tf.add_n([tf.reduce_sum(v) for v in variables]))
        sess.run(tf1.global_variables_initializer())
        tf1.train.Saver(write_version=version, sharded=devices > 1).save(sess, str(prefix))


@pytest.fixture(scope="module")
def tensorflow1(net, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tensorflow")
    write_tensorflow(net, folder / "v2" / "fns.ckpt", tf1.train.SaverDef.V2)
    write_tensorflow(net, folder / "v1" / "fns.ckpt", tf1.train.SaverDef.V1)
    write_tensorflow(net, folder / "v2 sharded" / "fns.ckpt", tf1.train.SaverDef.V2, devices=2)
    write_tensorflow(net, folder / "v1 sharded" / "fns.ckpt", tf1.train.SaverDef.V1, devices=2)
    return folder


@pytest.mark.parametrize("name", ["fns.ckpt", "fns.ckpt.index", "fns.ckpt.meta", "fns.ckpt.data-00000-of-00001", "."])
def test_tensorflow_checkpoint(net, tensorflow1, name):
    assert_same(load_network(tensorflow1 / "v2" / name), net)


@pytest.mark.parametrize("name", ["fns.ckpt", "."])
def test_tensorflow_checkpoint_of_one_file(net, tensorflow1, name):
    assert_same(load_network(tensorflow1 / "v1" / name), net)


def test_tensorflow_checkpoint_in_a_folder_that_was_moved(net, tensorflow1, tmp_path):
    folder = shutil.copytree(tensorflow1 / "v2", tmp_path / "moved")
    (folder / "checkpoint").write_text('model_checkpoint_path: "/home/someone/run 3/fns.ckpt"\n')
    assert_same(load_network(folder), net)


def test_damaged_tensorflow_checkpoints(tensorflow1, tmp_path):
    folder = shutil.copytree(tensorflow1 / "v2", tmp_path / "a")
    data = folder / "fns.ckpt.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="Expected a transform network"):
        load_network(folder)
    data.unlink()
    with pytest.raises(CheckpointError, match="Expected a transform network"):
        load_network(folder / "fns.ckpt")
    (folder / "fns.ckpt.index").write_bytes(b"not an index")
    with pytest.raises(CheckpointError, match="Expected a transform network"):
        load_network(folder / "fns.ckpt")
    (folder / "checkpoint").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(CheckpointError, match="Expected a transform network"):
        load_network(folder)
    for file in folder.glob("fns.ckpt*"):
        file.unlink()
    with pytest.raises(CheckpointError, match="folder without a TensorFlow checkpoint"):
        load_network(folder)


def moved(tensorflow1, version, folder):
    return pathlib.Path(shutil.copytree(tensorflow1 / version, folder))


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_list_of_a_folder_stands_for_its_checkpoint(net, tensorflow1, version, tmp_path):
    folder = moved(tensorflow1, version, tmp_path / "checkpoint")
    assert_same(load_network(folder), net)
    assert_same(load_network(folder / "checkpoint"), net)
    with pytest.raises(FileNotFoundError):
        load_network(folder / "more" / "checkpoint")
    folder = folder.rename(tmp_path / "a [1]")  # a pattern, to TensorFlow
    if version == "v1":
        assert_same(load_network(folder / "checkpoint"), net)
    else:
        with pytest.raises(CheckpointError, match=r"TensorFlow finds no file with \[.*Rename .*a \[1\]"):
            load_network(folder / "fns.ckpt")


@pytest.mark.parametrize("name", ["fns.ckpt", "fns.ckpt-00001-of-00002", "fns.ckpt.meta", "checkpoint", "."])
def test_a_checkpoint_of_version_1_in_several_files(net, tensorflow1, tmp_path, name):
    folder = moved(tensorflow1, "v1 sharded", tmp_path / "a")
    assert_same(load_network(folder / name), net)
    (folder / "fns.ckpt-00000-of-00002").unlink()
    with pytest.raises(CheckpointError, match="Expected 2 files of the checkpoint .*fns.ckpt; found 1. Get all"):
        load_network(folder / name)


@pytest.mark.parametrize("name", ["fns.ckpt", "fns.ckpt.data-00001-of-00002", "."])
def test_a_checkpoint_of_version_2_in_several_files(net, tensorflow1, tmp_path, name):
    folder = moved(tensorflow1, "v2 sharded", tmp_path / "a")
    assert_same(load_network(folder / name), net)
    (folder / "fns.ckpt.data-00000-of-00002").unlink()
    with pytest.raises(CheckpointError, match="fns.ckpt.data-00000-of-00002"):
        load_network(folder / name)


def test_files_that_were_renamed_are_found_where_there_are_no_others(net, tensorflow1, tmp_path):
    folder = moved(tensorflow1, "v2", tmp_path / "a")
    for file in folder.glob("fns.ckpt*"):
        file.rename(folder / file.name.replace("fns", "wave"))
    assert_same(load_network(folder), net)
    (folder / "checkpoint").unlink()
    assert_same(load_network(folder), net)
    for file in list(folder.glob("wave.ckpt*")):  # and of several, one is to be named
        shutil.copy(file, folder / file.name.replace("wave", "rain"))
    with pytest.raises(CheckpointError, match="Expected one checkpoint in .*; found 2: rain.ckpt, wave.ckpt. Name one"):
        load_network(folder)


@pytest.mark.parametrize(
    "kept, named, message",
    [
        (
            "meta",
            "fns.ckpt",
            "fns.ckpt.meta is the graph of a checkpoint without its numbers, .* in fns.ckpt.index",
        ),
        ("meta", "fns.ckpt.meta", "the graph of a checkpoint without its numbers"),
        ("meta", ".", "the list .*checkpoint names fns.ckpt, which is not in its folder. Copy"),
        ("data-00000-of-00001", "fns.ckpt.data-00000-of-00001", "Expected fns.ckpt.index beside .*Copy it there"),
        ("index", "fns.ckpt", "Expected a transform network; .*fns.ckpt.data-00000-of-00001"),
    ],
)
def test_a_part_of_a_checkpoint_is_called_what_it_is(tensorflow1, tmp_path, kept, named, message):
    folder = moved(tensorflow1, "v2", tmp_path / "a")
    for file in folder.glob("fns.ckpt*"):
        if not file.name.endswith(kept):
            file.unlink()
    with pytest.raises(CheckpointError, match=message):
        load_network(folder / named)
    (folder / "checkpoint").unlink()
    with pytest.raises(CheckpointError, match="numbers|index|fns.ckpt.data|folder without"):
        load_network(folder / named)


def test_a_graph_with_its_numbers_in_it_is_not_run(tmp_path):
    (tmp_path / "frozen.pb").write_bytes(b"a program")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "saved_model.pb").write_bytes(b"a program")
    for name in ("frozen.pb", "model"):
        with pytest.raises(CheckpointError, match="a program. Use the checkpoint it was made of"):
            load_network(tmp_path / name)


def test_tensorflow_checkpoint_of_another_network(tmp_path):
    with tf.Graph().as_default(), tf1.Session() as sess:
        variables = [tf1.Variable(tf.zeros(shape)) for shape in (SHAPES[0], (3,))]
        sess.run(tf1.global_variables_initializer())
        tf1.train.Saver(variables).save(sess, str(tmp_path / "other.ckpt"))
    with pytest.raises(CheckpointError, match="none called Variable_2, Variable_3, Variable_4, .."):
        load_network(tmp_path / "other.ckpt")


def hostile(name, saved, path):
    """Write a file that is no network."""
    if name == "shape":
        np.savez(path, **members(Variable_3=np.zeros((3, 3, 64, 32), np.float32)))
    elif name == "missing":
        np.savez(path, **{n: a for n, a in members().items() if n != "Variable_7"})
    elif name == "nan":
        np.savez(path, **members(Variable_4=np.full(64, np.nan, np.float32)))
    elif name == "infinite":
        np.savez(path, **members(Variable_4=np.full(64, 1e300)))
    elif name == "integers":
        np.savez(path, **members(Variable_4=np.zeros(64, np.int32)))
    elif name == "pickle":
        np.savez(path, **members(Variable_4=np.array([None] * 64, object)))
    elif name == "truncated":
        path.write_bytes(saved.read_bytes()[:-2000])
    elif name == "half":
        path.write_bytes(saved.read_bytes()[:3_000_000])
    elif name == "flipped":
        data = bytearray(saved.read_bytes())
        data[1_000_000:1_000_100] = bytes(100)
        path.write_bytes(data)
    elif name == "empty":
        path.write_bytes(b"")
    elif name == "jpeg":
        Image.fromarray(picture(20, 30)).save(path, "JPEG")
    elif name == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("readme.txt", "hello")
    elif name == "text":
        path.write_text("<!DOCTYPE html><html></html>")
    elif name == "large":
        with open(path, "wb") as file:
            file.truncate(2**26)
    elif name == "about":
        np.savez(path, **members(about=np.frombuffer(b"{not json", np.uint8)))
    elif name == "about list":
        np.savez(path, **members(about=np.frombuffer(b"[1]", np.uint8)))
    elif name == "about settings":
        np.savez(path, **members(about=np.frombuffer(b'{"settings": 3}', np.uint8)))


@pytest.mark.parametrize(
    "name, sentence",
    [
        ("shape", r"Variable_3 has the shape \(3, 3, 64, 32\), expected was \(3, 3, 32, 64\)"),
        ("missing", "none called Variable_7"),
        ("nan", "parameter 4 .* holds NaN"),
        ("infinite", "holds NaN or infinity"),
        ("integers", "Variable_4 is of type int32, expected was float32"),
        ("pickle", "Variable_4 is of type object"),
        ("truncated", "truncated"),
        ("half", "truncated"),
        ("flipped", "is none: ."),
        ("empty", "neither"),
        ("jpeg", "neither a .npz file nor a TensorFlow checkpoint"),
        ("zip", "none called Variable, "),
        ("text", "neither"),
        ("large", "more than any such network"),
        ("about", "is none: ."),
        ("about list", "not a dict"),
        ("about settings", "not a dict"),
    ],
)
def test_hostile_files(name, sentence, saved, tmp_path):
    path = tmp_path / "net.npz"
    hostile(name, saved, path)
    with pytest.raises(CheckpointError, match=sentence) as caught:
        load_network(path)
    assert str(path) in str(caught.value) and "Use a network that save_network wrote" in str(caught.value)


def test_zip_bombs_are_not_unpacked(tmp_path):
    """One whose directory admits its size, one whose array's header promises what is not there."""
    for name, content in (("a", bytes(2**28)), ("b", None)):
        with zipfile.ZipFile(tmp_path / f"{name}.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            for member, shape in zip(NAMES, SHAPES):
                with archive.open(f"{member}.npy", "w") as file:
                    if content is not None:
                        file.write(content if member == "Variable" else b"")
                        continue
                    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
                    if member == "Variable":
                        header["shape"] = (2**20, 2**20)
                    np.lib.format.write_array_header_1_0(file, header)
        tracemalloc.start()
        try:
            with pytest.raises(CheckpointError, match="Variable "):
                load_network(tmp_path / f"{name}.npz")
            assert tracemalloc.get_traced_memory()[1] < 2**22
        finally:
            tracemalloc.stop()


def test_no_file_and_a_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is none at"):
        load_network(tmp_path / "none.npz")
    with pytest.raises(FileNotFoundError, match="there is none at"):
        load_network(tmp_path / "none.ckpt.meta")
    with pytest.raises(CheckpointError, match="is a folder"):
        load_network(tmp_path)


# --- nst-course apply ---


def apply(*words):
    return cli.main(["apply", *map(str, words)])


def test_apply_pictures_of_all_sizes(net, saved, tmp_path, capsys):
    folder = tmp_path / "pictures"
    for name, size in (("a.png", (9, 12)), ("b.jpg", (12, 9)), ("c.webp", (5, 6))):
        save_image(folder / name, picture(*size))
    (folder / "notes.txt").write_text("not a picture")
    assert apply(saved, folder, "-o", tmp_path / "out") == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.png", "b.jpg", "c.png"]
    np.testing.assert_array_equal(read_image(tmp_path / "out" / "a.png"), net.apply(picture(9, 12)))
    assert read_image(tmp_path / "out" / "b.jpg").shape == (12, 9, 3)
    assert "3 of 3" in capsys.readouterr().out


def test_apply_options_reach_the_network(net, saved, tmp_path):
    save_image(tmp_path / "a.png", picture(9, 12))
    words = (saved, tmp_path / "a.png", "-o", tmp_path / "out", "--padding", "reflect", "--precision", "bfloat16")
    assert apply(*words) == 0
    expected = net.apply(picture(9, 12), padding="reflect", precision="bfloat16")
    np.testing.assert_array_equal(read_image(tmp_path / "out" / "a.png"), expected)


def test_apply_goes_on_past_broken_files(saved, tmp_path, capsys):
    save_image(tmp_path / "a.png", picture(9, 12))
    (tmp_path / "broken.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    (tmp_path / "broken.gif").write_bytes(b"GIF89a")
    names = ["broken.png", "broken.gif", "none.png", "a.png"]
    assert apply(saved, *(tmp_path / n for n in names), "-o", tmp_path / "out") == 1
    captured = capsys.readouterr()
    assert "1 of 4" in captured.out and "Traceback" not in captured.err
    failures = captured.err.split("not painted:\n")[1]
    assert all(name in failures for name in names[:3]) and "a.png" not in failures
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["a.png"]


def test_apply_does_not_write_over_the_pictures(saved, tmp_path, capsys):
    save_image(tmp_path / "a.png", picture(9, 12))
    before = (tmp_path / "a.png").read_bytes()
    assert apply(saved, tmp_path / "a.png", "-o", tmp_path) == 1
    assert "your picture a.png" in capsys.readouterr().err
    assert (tmp_path / "a.png").read_bytes() == before


def test_apply_refuses_names_that_meet_and_empty_folders(saved, tmp_path, capsys):
    for folder in ("x", "y"):
        save_image(tmp_path / folder / "a.png", picture(9, 12))
    assert apply(saved, tmp_path / "x", tmp_path / "y", "-o", tmp_path / "out") == 1
    assert "different names" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert apply(saved, tmp_path / "empty", "-o", tmp_path / "out") == 1
    assert "Expected a folder with pictures" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert list(plan([tmp_path / "x", tmp_path / "x" / "a.png"], tmp_path)) == [tmp_path / "x" / "a.png"]


def test_apply_says_what_a_network_is(tmp_path, capsys):
    save_image(tmp_path / "a.jpg", picture(9, 12))
    assert apply(tmp_path / "a.jpg", tmp_path / "a.jpg", "-o", tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert error.startswith("nst-course: Expected a transform network") and "Traceback" not in error


def test_apply_gif_in_gif_out(net, saved, tmp_path):
    frames = [Image.fromarray(picture(10, 12, seed)) for seed in range(3)]
    frames[0].save(
        tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=[40, 200, 90], loop=3, disposal=1
    )
    assert apply(saved, tmp_path / "a.gif", "-o", tmp_path / "out") == 0
    with Image.open(tmp_path / "out" / "a.gif") as animation:
        durations = []
        for i in range(animation.n_frames):
            animation.seek(i)
            durations.append(animation.info["duration"])
        assert durations == [40, 200, 90] and animation.info["loop"] == 3
    # 120 pixels: every colour has a place in the palette.
    first = read_image(tmp_path / "out" / "a.gif")
    np.testing.assert_array_equal(first, net.apply(read_image(tmp_path / "a.gif")))


@pytest.mark.parametrize(
    "kind, name, painted", [("WEBP", "a.webp", "a.png"), ("PNG", "a.png", "a.png"), ("GIF", "a.jpg", "a.gif")]
)
def test_apply_drops_no_frame_of_an_animation_whatever_its_name_is(net, saved, tmp_path, kind, name, painted):
    frames = [picture(10, 12, seed) for seed in range(3)]
    first, *others = map(Image.fromarray, frames)
    options = {"lossless": True} if kind == "WEBP" else {}
    first.save(tmp_path / name, kind, save_all=True, append_images=others, duration=[40, 200, 90], loop=2, **options)
    assert apply(saved, tmp_path / name, "-o", tmp_path / "out") == 0
    found = list(decode_frames(tmp_path / "out" / painted))
    assert [duration for _, duration, _ in found] == [40, 200, 90] and found[0][2] == 2
    if kind != "GIF":
        for (frame, *_), given in zip(found, frames):
            np.testing.assert_array_equal(frame, net.apply(given))


def test_apply_says_which_frames_a_jpeg_cannot_hold(saved, tmp_path, capsys):
    frames = [Image.fromarray(picture(10, 12, seed)) for seed in range(3)]
    frames[0].save(tmp_path / "a.jpg", "WEBP", save_all=True, append_images=frames[1:])
    assert apply(saved, tmp_path / "a.jpg", "-o", tmp_path / "out") == 0
    assert f"Only the first of the 3 frames of {tmp_path / 'a.jpg'} is painted." in capsys.readouterr().out


def test_apply_goes_by_what_a_picture_is(net, saved, tmp_path):
    Image.fromarray(picture(10, 12)).save(tmp_path / "a.gif", "PNG")
    assert apply(saved, tmp_path / "a.gif", "-o", tmp_path / "out") == 0
    np.testing.assert_array_equal(read_image(tmp_path / "out" / "a.png"), net.apply(picture(10, 12)))


def test_apply_passes_over_what_macos_puts_beside_pictures(saved, tmp_path):
    save_image(tmp_path / "in" / "a.jpg", picture(9, 12))
    (tmp_path / "in" / "._a.jpg").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X")
    assert apply(saved, tmp_path / "in", "-o", tmp_path / "out") == 0
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["a.jpg"]


def test_apply_lists_a_picture_too_large_for_the_memory_and_paints_the_others(saved, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("nst_course.feedforward.transform_net.available_memory", lambda: 500 * 2000)
    save_image(tmp_path / "in" / "a.png", picture(40, 60))
    save_image(tmp_path / "in" / "b.png", picture(9, 12))
    assert apply(saved, tmp_path / "in", "-o", tmp_path / "out") == 1
    assert "a.png: Painting at 60 x 40 pixels takes about" in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["b.png"]


def test_apply_lists_a_picture_for_which_tensorflow_has_no_memory(net, saved, tmp_path, capsys, monkeypatch):
    graph = transform_net.compiled((9, 12), "zeros", "float32")

    def compiled(size, padding, precision):
        def run_out(*args):
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor" + 100 * " and so on")

        return graph if size == (9, 12) else run_out

    monkeypatch.setattr(transform_net, "compiled", compiled)
    for name, size in (("a.png", (10, 12)), ("b.png", (9, 12))):
        save_image(tmp_path / "in" / name, picture(*size))
    assert apply(saved, tmp_path / "in", "-o", tmp_path / "out") == 1
    assert "a.png: Painting at 12 x 10 pixels took more memory than there is. Make" in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["b.png"]


def test_apply_refuses_what_a_jpeg_cannot_hold_before_it_is_painted(saved, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(TransformNet, "apply", None)
    Image.new("RGB", (65_501, 4)).save(tmp_path / "a.jpg", "PNG")
    assert apply(saved, tmp_path / "a.jpg", "-o", tmp_path / "out") == 1
    assert "at most 65,500 pixels" in capsys.readouterr().err


def test_what_tensorflow_says_of_a_damaged_checkpoint_does_not_reach_the_terminal(tensorflow1, tmp_path, capfd):
    for file in (tensorflow1 / "v2").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    data = next(tmp_path.glob("*.data-*"))
    data.write_bytes(data.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="Expected a transform network"):
        load_network(tmp_path / "fns.ckpt")
    index = tmp_path / "fns.ckpt.index"
    content = bytearray(index.read_bytes())
    content[len(content) // 2] ^= 0xFF
    index.write_bytes(content)
    with pytest.raises(CheckpointError, match="Expected a transform network"):
        load_network(tmp_path / "fns.ckpt")
    assert capfd.readouterr() == ("", "")


# --- the benchmark ---


def test_the_benchmarks_graph_is_the_network(net, request, monkeypatch):
    file = request.config.rootpath / "benchmarks" / "feedforward.py"
    spec = importlib.util.spec_from_file_location("benchmark", file)
    benchmark = importlib.util.module_from_spec(spec)
    monkeypatch.setattr(sys, "argv", [str(file)])
    spec.loader.exec_module(benchmark)
    image = picture(17, 23)
    expected = reference.network(net.parameters, image)
    np.testing.assert_allclose(benchmark.published(net.parameters, (17, 23))(image), expected, atol=2e-2)
