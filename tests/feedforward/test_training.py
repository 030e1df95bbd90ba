import csv
import dataclasses
import importlib.util
import json
import os
import socket
import subprocess
import sys

import feedforward_reference
import numpy as np
import pytest
import reference
import tensorflow as tf

from nst_course import (
    Adam,
    CheckpointError,
    ImageError,
    Objective,
    PictureTooLargeError,
    Training,
    VGGWeights,
    cli,
    compute_gram_cost,
    features,
    load_network,
    load_weights,
    normalized_gram_matrix,
    read_image,
    reshape_and_normalize_image,
    save_image,
    style_names,
    train,
)
from nst_course.feedforward.checkpoint import load_progress
from nst_course.feedforward.crops import Crops
from nst_course.feedforward.styles import style_file
from nst_course.feedforward.training import _strategy
from nst_course.feedforward.transform_net import random_parameters
from nst_course.startup import computers

#: The cost of the published project with small numbers, and one that shares nothing with it but its parts.
SMALL = Training(
    Objective((("conv2_2", 1.0),), (("conv1_1", 1.0), ("conv2_1", 0.5)), 7.5, 100, 0.01, "element", pooling="max"),
    Adam(learning_rate=1e-3),
    steps=4,
    batch_size=2,
    size=16,
    seed=3,
    precision="float32",
    padding="zeros",
)


def picture(n_H, n_W, seed=0):
    return np.random.RandomState(seed).randint(0, 256, (n_H, n_W, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def weights():
    return VGGWeights.random(2, widths=(4, 6, 4, 4, 4))


@pytest.fixture(scope="module")
def style():
    return picture(20, 24, seed=9)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Five pictures of different sizes, one of them in a folder of its own, and two files that are none."""
    folder = tmp_path_factory.mktemp("pictures")
    for name, size in (("a.png", (40, 30)), ("b.jpg", (16, 16)), ("c.png", (9, 50)), ("d.png", (21, 33))):
        save_image(folder / name, picture(*size, seed=size[0]))
    save_image(folder / "more" / "e.png", picture(30, 30, seed=1))
    (folder / "broken.png").write_bytes((folder / "a.png").read_bytes()[:80])
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.fixture(scope="module")
def trained(folder, style, weights, tmp_path_factory):
    """A training of four steps: where its files are, the network, and what was reported."""
    output, steps = tmp_path_factory.mktemp("trained") / "net.npz", []
    net = train(style, folder, output, SMALL, weights=weights, sample=picture(12, 10), callback=steps.append)
    return output, net, steps


# --- the pictures ---


def test_crops_are_the_same_ones_every_time(folder):
    crops, again = Crops(folder, 16, seed=5), Crops(folder, 16, seed=5)
    taken = [crops[i] for i in range(12)]
    assert all(crop.shape == (16, 16, 3) and crop.dtype == np.uint8 for crop in taken)
    for i in (11, 3, 0):
        np.testing.assert_array_equal(again[i], taken[i])
    other = Crops(folder, 16, seed=6)
    assert any((other[i] != taken[i]).any() for i in range(12))


def test_an_epoch_takes_every_picture_once_in_another_order(tmp_path):
    chequered = np.tile(np.kron([[0, 1], [1, 0]], [30]).astype(np.uint8), (10, 10))[:, :, None].repeat(3, axis=2)
    for value in range(6):
        save_image(tmp_path / f"{value}.png", chequered + np.uint8(40 * value))
    crops = Crops(tmp_path, 16, seed=0)
    epochs = [[int(crops[i][0, 0, 0]) // 40 for i in range(6 * e, 6 * e + 6)] for e in range(3)]
    assert all(sorted(epoch) == list(range(6)) for epoch in epochs) and len(set(map(tuple, epochs))) > 1


def test_crops_are_parts_of_the_picture_and_mirrored_ones(tmp_path):
    image = picture(16, 40)
    save_image(tmp_path / "a.png", image)
    crops = [Crops(tmp_path, 16, seed=0)[i] for i in range(30)]  # as high as the picture, so never made smaller
    columns = {image[:, j].tobytes(): j for j in range(40)}
    found = [[columns[crop[:, j].tobytes()] for j in range(16)] for crop in crops]
    assert {js[1] - js[0] for js in found} == {1, -1}
    assert all(abs(js[-1] - js[0]) == 15 for js in found)
    assert len({min(js) for js in found}) > 5


def test_what_macos_puts_beside_pictures_is_no_picture(tmp_path):
    save_image(tmp_path / "a.png", picture(30, 40))
    (tmp_path / "._a.png").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X")
    assert Crops(tmp_path, 16, 0).names == ["a.png"]


def test_unreadable_pictures_are_skipped_and_counted(folder, tmp_path):
    crops = Crops(folder, 16, seed=0)
    for i in range(12):
        crops[i]
    assert [p.name for p in crops.skipped] == ["broken.png"] and len(crops.paths) == 6
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    with pytest.raises(ImageError, match="none of the 1 can be read and shows something"):
        Crops(tmp_path, 16, seed=0)[0]
    with pytest.raises(FileNotFoundError, match="there are none in"):
        Crops(tmp_path / "nowhere", 16, seed=0)


def test_parts_of_one_colour_are_not_taken(tmp_path):
    sky = np.concatenate([np.full((30, 40, 3), 9, np.uint8), picture(20, 40)])
    save_image(tmp_path / "sky.png", sky)
    save_image(tmp_path / "black.png", np.zeros((40, 40, 3), np.uint8))
    crops = Crops(tmp_path, 16, seed=0)
    assert all(crops[i].std(axis=(0, 1)).max() >= 4 for i in range(20))
    assert not crops.skipped
    (tmp_path / "sky.png").unlink()
    with pytest.raises(ImageError, match="none of the 1 can be read and shows something"):
        Crops(tmp_path, 16, seed=0)[0]


def test_computers_share_the_crops_of_a_step(folder):
    crops = Crops(folder, 16, seed=0)
    whole = [batch.numpy() for batch in crops.batches(2, 4, 4)]
    np.testing.assert_array_equal(whole[0], np.stack([crops[i] for i in range(8, 12)]))
    parts = [[batch.numpy() for batch in crops.batches(2, 4, 4, part, 2, 4)] for part in (0, 1)]
    for step in (0, 1):  # two computers of two devices each
        together = [*parts[0][2 * step : 2 * step + 2], *parts[1][2 * step : 2 * step + 2]]
        np.testing.assert_array_equal(np.concatenate(together), whole[step])


# --- the steps ---


def test_the_first_costs_are_those_of_the_reference(folder, style, weights, trained):
    crops, mean = Crops(folder, 16, SMALL.seed), np.array([123.68, 116.779, 103.939])

    def activations(image):
        return reference.network("VGG-19", weights.parameters, image[None] - mean, pooling="max")

    parameters = feedforward_reference.interpolating(random_parameters(SMALL.seed))
    S, J_content, J_style, J_variation = activations(style), 0, 0, 0
    for i in range(2):
        y = feedforward_reference.network(parameters, crops[i])
        C, G = activations(crops[i].astype(np.float64)), activations(y)
        J_content += np.mean((C["conv2_2"] - G["conv2_2"]) ** 2) / 2
        for layer, coefficient in (("conv1_1", 1.0), ("conv2_1", 0.5)):
            cost = reference.normalized_style_cost("element", S[layer][None], G[layer][None])
            J_style += coefficient * cost / 2
        J_variation += reference.total_variation(y[None]) / 2
    first = trained[2][0]
    np.testing.assert_allclose(first.J_content, J_content, rtol=1e-3)
    np.testing.assert_allclose(first.J_style, J_style, rtol=1e-3)
    np.testing.assert_allclose(first.J_variation, J_variation, rtol=1e-3)
    np.testing.assert_allclose(first.J, 7.5 * J_content + 100 * J_style + 0.01 * J_variation, rtol=1e-3)


def test_the_benchmarks_plain_loop_takes_the_same_steps(folder, style, weights, trained, request, monkeypatch):
    file = request.config.rootpath / "benchmarks" / "feedforward.py"
    spec = importlib.util.spec_from_file_location("benchmark", file)
    benchmark = importlib.util.module_from_spec(spec)
    monkeypatch.setattr(sys, "argv", [str(file)])
    spec.loader.exec_module(benchmark)
    crops = Crops(folder, 16, SMALL.seed)
    step = benchmark.plain_step(random_parameters(SMALL.seed), SMALL, style, weights)
    # Half a period of the cosine, as it falls from 1 to 0 in four steps.
    shares = (1, (1 + 0.5**0.5) / 2, 0.5, (1 - 0.5**0.5) / 2)
    costs = [step(np.stack([crops[2 * i], crops[2 * i + 1]]), share) for i, share in enumerate(shares)]
    np.testing.assert_allclose(costs, [s.J for s in trained[2]], rtol=1e-2)
    # The first step moves every parameter by about the learning rate: the costs fall by more than they differ.
    assert costs[3] < 0.97 * costs[0]


def test_files_of_a_training(trained, style):
    output, net, steps = trained
    assert [s.iteration for s in steps] == [0, 1, 2, 3]
    saved = load_network(output)
    for a, b in zip(saved.parameters, net.parameters):
        np.testing.assert_array_equal(a, b)
    assert saved.style == "net" and saved.settings["steps"] == 4 and saved.settings["size"] == 16
    assert saved.settings["objective"]["beta"] == 100 and saved.settings["optimizer"]["learning_rate"] == 1e-3
    assert saved.settings["pictures"] == 6 and saved.settings["skipped"] in (0, 1)
    with open(output.with_suffix(".csv"), newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["step", "J", "J_content", "J_style", "J_variation"]
    assert [[float(x) for x in row] for row in rows[1:]] == [
        [s.iteration, s.J, s.J_content, s.J_style, s.J_variation] for s in steps
    ]
    assert read_image(output.with_name("net-000004.jpg")).shape == (12, 10, 3)
    assert load_network(output.with_suffix(".state.npz")).parameters[0].shape == (9, 9, 3, 32)
    assert len(list(output.parent.iterdir())) == 4


# --- going on ---


def test_a_training_cut_short_goes_on_as_if_it_had_not_been(folder, style, weights, trained, tmp_path):
    steps = []

    def interrupt(step):
        steps.append(step)
        if step.iteration == 1:
            raise KeyboardInterrupt

    output = tmp_path / "net.npz"
    with pytest.raises(KeyboardInterrupt):
        train(style, folder, output, SMALL, weights=weights, callback=interrupt)
    assert load_network(output).settings["steps"] == 2
    net = train(style, folder, output, SMALL, weights=weights, callback=steps.append)
    assert [s[:4] for s in steps] == [s[:4] for s in trained[2]]
    for a, b in zip(net.parameters, trained[1].parameters):
        np.testing.assert_array_equal(a, b)
    assert output.with_suffix(".csv").read_text() == trained[0].with_suffix(".csv").read_text()


def test_another_training_is_not_gone_on_with(folder, style, weights, trained):
    output = trained[0]
    before = output.read_bytes()
    with pytest.raises(ValueError, match=r"net.state.npz; it differs in batch_size, style\."):
        train(style[:, :-1], folder, output, Training(**{**vars(SMALL), "batch_size": 3}), weights=weights)
    other = VGGWeights.random(4, widths=(4, 6, 4, 4, 4))
    with pytest.raises(ValueError, match="differs in weights"):
        train(style, folder, output, SMALL, weights=other)
    assert output.read_bytes() == before


@pytest.mark.parametrize("damage", ["truncated", "network", "costs", "nan"])
def test_damaged_states(damage, folder, style, weights, trained, tmp_path):
    state, damaged = trained[0].with_suffix(".state.npz"), tmp_path / "net.state.npz"
    if damage == "truncated":
        damaged.write_bytes(state.read_bytes()[:-100])
    elif damage == "network":
        damaged.write_bytes(trained[0].read_bytes())
    else:
        with np.load(state) as arrays:
            arrays = dict(arrays)
        if damage == "costs":
            arrays["costs"] = arrays["costs"].ravel()
        else:
            arrays["Variable_1/Adam"][0] = np.nan
        np.savez(damaged, **arrays)
    with pytest.raises(CheckpointError, match="Expected the state of a training; .* Delete it to begin anew"):
        train(style, folder, tmp_path / "net.npz", SMALL, weights=weights)
    with pytest.raises(FileNotFoundError, match="state of a training"):
        load_progress(tmp_path / "none.state.npz")


def test_a_state_of_doubles_is_gone_on_with(folder, style, weights, trained, tmp_path):
    with np.load(trained[0].with_suffix(".state.npz")) as arrays:
        doubles = {name: a.astype(">f8") if a.dtype.kind == "f" else a for name, a in arrays.items()}
        parameters = arrays["Variable_3"]
    np.savez_compressed(tmp_path / "net.state.npz", **doubles)
    progress, _ = load_progress(tmp_path / "net.state.npz")
    assert {a.dtype for a in (*progress.parameters, *progress.means, *progress.squares)} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(progress.parameters[3], parameters)
    net = train(style, folder, tmp_path / "net.npz", dataclasses.replace(SMALL, steps=5), weights=weights)
    assert net.settings["steps"] == 5
    doubles["Variable_3"][0] = 1e300
    np.savez_compressed(tmp_path / "net.state.npz", **doubles)
    with pytest.raises(CheckpointError, match="holds NaN or infinity"):
        load_progress(tmp_path / "net.state.npz")


# --- what goes wrong ---


@pytest.mark.parametrize("too_large", ["sample", "style"])
def test_pictures_too_large_for_the_memory_are_refused_before_the_training(
    too_large, folder, style, weights, tmp_path, monkeypatch
):
    for module in ("training", "transform_net"):
        monkeypatch.setattr(f"nst_course.feedforward.{module}.available_memory", lambda: 10**6)
    large = picture(300, 400)
    pictures = (large, style) if too_large == "style" else (style, large)
    what = {"sample": "Painting", "style": "A look at the style picture"}[too_large]
    with pytest.raises(PictureTooLargeError, match=f"{what} at 400 x 300 pixels takes about .* would fit"):
        train(pictures[0], folder, tmp_path / "net.npz", SMALL, weights=weights, sample=pictures[1])
    assert not list(tmp_path.iterdir())


def test_a_sample_that_a_jpeg_cannot_hold_is_refused_before_the_training(folder, style, weights, tmp_path):
    with pytest.raises(ValueError, match="at most 65,500 pixels"):
        train(style, folder, tmp_path / "net.npz", SMALL, weights=weights, sample=np.zeros((4, 65_501, 3), np.uint8))


def test_costs_that_are_no_numbers_end_it(folder, style, weights, tmp_path):
    wild = Training(**{**vars(SMALL), "optimizer": Adam(learning_rate=1e30)})
    with pytest.raises(ArithmeticError, match="Expected finite costs and gradients; in step 1 "):
        train(style, folder, tmp_path / "net.npz", wild, weights=weights)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "change", [{"steps": 0}, {"batch_size": 0}, {"size": 15}, {"seed": -1}, {"steps": 2.5}, {"steps": "many"}]
)
def test_settings_out_of_range(change):
    with pytest.raises(ValueError, match=f"{next(iter(change))} must be a whole number of at least"):
        Training(**change)


def test_precisions(folder, style, weights, trained, tmp_path):
    with pytest.raises(ValueError, match="precision must be one of float32, bfloat16, auto; found 'half'"):
        Training(precision="half")
    steps, in_bfloat16 = [], Training(**{**vars(SMALL), "precision": "bfloat16"})
    net = train(style, folder, tmp_path / "net.npz", in_bfloat16, weights=weights, callback=steps.append)
    assert net.settings["precision"] == "bfloat16" and trained[1].settings["precision"] == "float32"
    costs, exact = ([s.J for s in run] for run in (steps, trained[2]))
    assert costs != exact  # bfloat16 has 8 bits
    np.testing.assert_allclose(costs, exact, rtol=0.05)
    with pytest.raises(ValueError, match="differs in precision"):
        train(style, folder, tmp_path / "net.npz", SMALL, weights=weights)


def test_a_training_may_begin_with_another_network(folder, style, weights, trained, tmp_path):
    steps = []
    train(style, folder, tmp_path / "net.npz", SMALL, weights=weights, start=trained[1], callback=steps.append)
    # The same crops and style, so that only what was learned before can make the difference.
    assert steps[0].J < 0.9 * trained[2][0].J
    with pytest.raises(ValueError, match="differs in start"):
        train(style, folder, tmp_path / "net.npz", SMALL, weights=weights)


def test_arguments_that_cannot_be_used(folder, style, weights, tmp_path):
    with pytest.raises(ValueError, match="Expected a uint8 style picture"):
        train(style / 255, folder, tmp_path / "net.npz", SMALL, weights=weights)
    with pytest.raises(ValueError, match=r"ends in \.npz"):
        train(style, folder, tmp_path / "net.jpg", SMALL, weights=weights)
    with pytest.raises(ValueError, match="outside of"):
        train(style, folder, folder / "more" / "net.npz", SMALL, weights=weights)
    with tf.Graph().as_default(), pytest.raises(RuntimeError, match="eager mode"):
        train(style, folder, tmp_path / "net.npz", SMALL, weights=weights)


def test_names_that_are_no_text_do_not_stop_a_training(folder, style, weights, tmp_path):
    pictures = tmp_path / os.fsdecode(b"pictures \xff")
    try:
        pictures.mkdir()
    except OSError:
        pytest.skip("the file system takes only names that are UTF-8")
    (pictures / os.fsdecode(b"\xe9t\xe9.png")).write_bytes(min(folder.glob("*.png")).read_bytes())
    output, training = tmp_path / os.fsdecode(b"\xff.npz"), dataclasses.replace(SMALL, steps=1)
    net = train(style, pictures, output, training, weights=weights, sample=style)
    again = load_network(output)
    assert again.style == net.style == os.fsdecode(b"\xff")
    assert all(np.array_equal(a, b) for a, b in zip(again.parameters, net.parameters))
    assert len(list(tmp_path.iterdir())) == 5  # the pictures, the network, the state, the costs and the sample


# --- several devices ---


@pytest.mark.parametrize(
    "value, number",
    [
        ("", 0),
        ("{}", 0),
        ('{"cluster": {}, "task": {"type": "master", "index": 0}}', 0),
        ('{"cluster": null}', 0),
        (
            '{"cluster": {"chief": ["127.0.0.1:2222"]}, "environment": "cloud", "task": {"type": "chief", "index": 0}}',
            1,
        ),
        ('{"cluster": {"worker": {"0": "10.0.0.1:2222"}}, "task": {"type": "worker", "index": "0"}}', 1),
        ('{"cluster": {"chief": ["10.0.0.1:1"], "worker": ["10.0.0.2:1", "10.0.0.3:1"]}}', 3),
    ],
)
def test_the_computers_that_are_named(monkeypatch, value, number):
    monkeypatch.setenv("TF_CONFIG", value)
    assert computers() == number
    if number < 2:  # then TensorFlow is not asked, which would refuse what services set for one computer
        assert _strategy(4) is tf.distribute.get_strategy()


@pytest.mark.parametrize("value", ["yes", "[]", '{"cluster": 3}', '{"cluster": {"worker": 3}}', "[" * 100_000])
def test_a_setting_that_cannot_be_read_is_named(monkeypatch, value):
    monkeypatch.setenv("TF_CONFIG", value)
    with pytest.raises(
        ValueError, match="Expected TF_CONFIG to be JSON like .*unset it to train on this computer alone"
    ):
        _strategy(4)


def test_computers_that_cannot_train_together_are_refused_by_name(monkeypatch):
    task = '{"cluster": {"worker": ["10.0.0.1:1"], "ps": ["10.0.0.2:1"]}, "task": {"type": "someone", "index": 0}}'
    monkeypatch.setenv("TF_CONFIG", task)
    with pytest.raises(ValueError, match="Expected TF_CONFIG to name computers that can train together; .*unset it"):
        _strategy(4)


SCRIPT = """
import json, sys
import numpy as np
import tensorflow as tf
folder, output, devices = sys.argv[1:]
if devices == "2":
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
sys.path[:0] = {tests!r}
from test_training import SMALL, picture
from nst_course import VGGWeights, train
costs = []
arguments = picture(20, 24, seed=9), folder, output, SMALL
weights = VGGWeights.random(2, widths=(4, 6, 4, 4, 4))
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]) if devices == "2" else None
if strategy:
    with strategy.scope():
        train(*arguments, weights=weights, callback=lambda step: costs.append(step.J))
else:
    train(*arguments, weights=weights, callback=lambda step: costs.append(step.J))
print(json.dumps(costs))
"""


def free_port():
    with socket.socket() as s:
        s.bind(("localhost", 0))
        return s.getsockname()[1]


def test_several_devices_take_the_steps_of_one(folder, trained, tmp_path, request):
    """Two worker processes with one picture each, and one process with two devices: the steps of one with two."""
    script = SCRIPT.replace("{tests!r}", repr([str(folder) for folder in request.path.parents[:2]]))
    workers = [f"localhost:{free_port()}" for _ in range(2)]

    def start(devices, **environment):
        words = [sys.executable, "-c", script, str(folder), str(tmp_path / f"{devices}.npz"), devices]
        environment = {**os.environ, **environment, "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"}
        return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    processes = [start("2")]
    for index in range(2):
        task = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
        processes.append(start("workers", TF_CONFIG=json.dumps(task)))
    try:
        outputs = [process.communicate(timeout=1800) for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, (stdout, stderr) in zip(processes, outputs):
        assert process.returncode == 0, stderr[-3000:]
        np.testing.assert_allclose(json.loads(stdout.splitlines()[-1]), [s.J for s in trained[2]], rtol=1e-3)
    for devices in ("2", "workers"):
        net = load_network(tmp_path / f"{devices}.npz")
        for a, b in zip(net.parameters, trained[1].parameters):
            # A step is about 1e-3 for each; where a gradient is nearly 0, rounding decides on its direction.
            assert np.abs(a - b).mean() < 3e-5


# --- nst-course train ---


def test_the_command(folder, style, tmp_path, capsys):
    save_image(tmp_path / "style.png", style)
    words = ["train", tmp_path / "style.png", "--pictures", folder, "-o", tmp_path / "net.npz"]
    words += ["--steps", 2, "--batch-size", 1, "--size", 16, "--beta", 5, "--every", 1]
    assert cli.main(list(map(str, words))) == 0
    net = load_network(tmp_path / "net.npz")
    assert net.settings["steps"] == 2 and net.settings["objective"]["beta"] == 5
    names = {p.name for p in tmp_path.iterdir()}
    assert {"net.npz", "net.csv", "net.state.npz", "net-000001.jpg", "net-000002.jpg"} <= names
    assert f"Network: {tmp_path / 'net.npz'}" in capsys.readouterr().out
    words[words.index(folder)] = tmp_path / "empty"
    assert cli.main(list(map(str, words))) == 1
    assert "there are none in" in capsys.readouterr().err


# --- the networks of our own ---


@pytest.mark.parametrize("name", style_names())
def test_our_networks_paint_in_their_styles(name, request):
    """On a photograph they were not trained with, seen by the five layers of the course's style cost."""
    net = load_network(name)
    assert style_file(name).stat().st_size <= 3.5e6 and net.style == name and net.padding == "reflect"
    images = request.config.rootpath / "images"
    content, style = read_image(images / "glass_pyramid.png"), read_image(images / net.settings["picture"])
    painting = net.apply(content)
    layers = [f"conv{block}_1" for block in range(1, 6)]
    network = features(load_weights(), layers)

    def grams(image):
        activations = network(reshape_and_normalize_image(image))
        return [normalized_gram_matrix(activations[layer]) for layer in layers]

    of_style, of_content, of_painting = map(grams, (style, content, painting))
    ratios = [compute_gram_cost(S, G) / compute_gram_cost(S, C) for S, C, G in zip(of_style, of_content, of_painting)]
    assert np.mean(ratios) < 0.3
    grey, painted = (image.mean(axis=2).ravel() for image in (content, painting))
    assert abs(np.corrcoef(grey, painted)[0, 1]) > 0.15  # and the photograph is still there


def test_there_are_four_styles():
    assert style_names() == ["brush-strokes", "colour-dots", "stained-glass", "woodcut-wave"]
