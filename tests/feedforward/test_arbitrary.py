"""Any style in one pass: a tiny pair whose numbers can be worked out, the published pair, SavedModels, the command."""

import concurrent.futures
import hashlib
import os
import sys
import types

import numpy as np
import pytest
import tensorflow as tf

from nst_course import ArbitraryStyle, Style, StyleModelError, cli, load_arbitrary, read_image, save_image
from nst_course.eager.memory import PictureTooLargeError
from nst_course.feedforward import arbitrary
from nst_course.weights.download import PUBLISHED, STYLE_MODELS

PUBLISHED_TRANSFERS = ("style_transfer_quantized_dynamic.tflite", "style_transfer_quantized_384.tflite")


def picture(n_H, n_W, seed=0):
    return np.random.RandomState(seed).randint(0, 256, (n_H, n_W, 3)).astype(np.uint8)


def plain(color, n_H=16, n_W=16):
    return np.full((n_H, n_W, 3), color, np.uint8)


def convert(function, *shapes):
    concrete = tf.function(function).get_concrete_function(*(tf.TensorSpec(shape) for shape in shapes))
    return tf.lite.TFLiteConverter.from_concrete_functions([concrete]).convert()


def mean_color(style, n=100):
    """The mean colour, and zeros."""
    return tf.pad(tf.reduce_mean(style, [1, 2], keepdims=True), [[0, 0], [0, 0], [0, 0], [0, n - 3]])


def half(content, numbers):
    """Half of the content and half of the colour in the numbers."""
    return (content + numbers[..., :3]) / 2


STYLE, ANY, NUMBERS = (1, 256, 256, 3), (1, None, None, 3), (1, 1, 1, 100)


@pytest.fixture(scope="module")
def models():
    return {
        "predict": convert(mean_color, STYLE),
        "any": convert(half, ANY, NUMBERS),
        "24": convert(half, (1, 24, 24, 3), NUMBERS),
        "swapped": convert(lambda numbers, content: half(content, numbers), NUMBERS, ANY),
        "99 numbers": convert(lambda style: mean_color(style, 99), STYLE),
        "two outputs": convert(lambda content, numbers: (content, numbers), ANY, NUMBERS),
        "nan": convert(lambda content, numbers: tf.math.log(-1 - content) + numbers[..., :3], ANY, NUMBERS),
        "smaller": convert(lambda content, numbers: half(content, numbers)[:, ::2], ANY, NUMBERS),
        "grey": convert(lambda content, numbers: content[..., :1] + numbers[..., :1], ANY, NUMBERS),
    }


@pytest.fixture(scope="module")
def tiny(models):
    return ArbitraryStyle(models["predict"], models["any"])


@pytest.fixture
def folder(models, tmp_path, monkeypatch):
    """A folder with the tiny pair, which passes for published."""
    (tmp_path / "models").mkdir()
    for name in ("predict", "transfer"):
        data = models["any" if name == "transfer" else name]
        (tmp_path / "models" / f"style_{name}.tflite").write_bytes(data)
        monkeypatch.setitem(PUBLISHED, "sha256:" + hashlib.sha256(data).hexdigest(), "the tiny pair")
    return tmp_path / "models"


# --- the pair ---


@pytest.mark.parametrize("size", [(2, 2), (5, 6), (8, 12), (3, 17), (41, 4)])
def test_painting_has_the_size_and_place_of_the_content(tiny, size):
    content, color = picture(*size), (20, 200, 90)
    painting = tiny.stylize(content, plain(color))
    assert painting.dtype == np.uint8 and painting.shape == content.shape
    np.testing.assert_allclose(painting, (content + np.float64(color)) / 2, atol=0.6)


@pytest.mark.parametrize("transfer", ["24", "swapped"])
def test_other_models_of_the_same_interface(models, transfer):
    pair = ArbitraryStyle(models["predict"], models[transfer])
    painting = pair.stylize(plain((100, 50, 0), 7, 30), plain((0, 150, 200)))
    np.testing.assert_array_equal(painting, plain((50, 100, 100), 7, 30))


def test_a_model_of_one_size_keeps_what_is_where(models):
    content = np.zeros((40, 60, 3), np.uint8)
    content[:10, 45:] = 200
    painting = ArbitraryStyle(models["predict"], models["24"]).stylize(content, plain(0))
    np.testing.assert_allclose(painting[:8, 48:], 100, atol=5)
    np.testing.assert_allclose(painting[13:, :42], 0, atol=5)


def test_predict_takes_the_middle_of_the_picture(tiny):
    style = plain(255, 30, 10)
    style[10:20] = (51, 102, 204)
    numbers = tiny.predict(style)
    assert numbers.shape == (100,) and numbers.dtype == np.float32
    np.testing.assert_allclose(numbers[:3], [0.2, 0.4, 0.8], atol=0.02)
    np.testing.assert_array_equal(numbers[3:], 0)


@pytest.mark.parametrize("strength", [0, 0.25, 1])
@pytest.mark.parametrize("weights", [(1, 1), (3, 1), (0, 2)])
def test_blends_and_strength(tiny, strength, weights):
    colors = np.array([(200, 40, 0), (0, 80, 240)])
    styles = [Style(plain(color), weight=w) for color, w in zip(colors, weights)]
    content = plain((40, 120, 60))
    z = strength * (np.array(weights) / sum(weights)) @ colors + (1 - strength) * content[0, 0]
    painting = tiny.stylize(content, styles, strength=strength)
    np.testing.assert_allclose(painting, (content + z) / 2, atol=0.6)


def test_each_style_is_predicted_once_and_a_size_prepared_once(models, monkeypatch):
    pair, prepared, predicted = ArbitraryStyle(models["predict"], models["any"]), [], []
    interpreter, allocate, predict = (
        pair._transfer._interpreter,
        pair._transfer._interpreter.allocate_tensors,
        pair.predict,
    )
    monkeypatch.setattr(interpreter, "allocate_tensors", lambda: prepared.append(1) or allocate())
    monkeypatch.setattr(pair, "predict", lambda image: predicted.append(1) or predict(image))
    for size, count in (((8, 9), 1), ((8, 9), 1), ((9, 8), 2), ((8, 9), 3)):
        pair.stylize(picture(*size), [picture(5, 5), picture(6, 6)])
        assert len(prepared) == count
    assert len(predicted) == 8


@pytest.mark.parametrize(
    "style, strength, message",
    [
        (plain(0), 1.5, "strength must be from 0 to 1; found 1.5"),
        (plain(0), -0.1, "strength must be"),
        (plain(0), float("nan"), "strength must be"),
        (plain(0) / 255, 1, "uint8 style picture"),
        ([], 1, "at least one style"),
        (Style(plain(0), scale=2), 1, "without scale and mask"),
        (Style(plain(0), mask=np.ones((2, 2))), 1, "without scale and mask"),
    ],
)
def test_what_cannot_be_painted(tiny, style, strength, message):
    with pytest.raises(ValueError, match=message):
        tiny.stylize(plain(0), style, strength=strength)


def test_contents_and_numbers_are_checked(tiny):
    with pytest.raises(ValueError, match="uint8 picture of shape"):
        tiny.stylize(plain(0) / 255, plain(0))
    for numbers in (np.zeros(99), np.zeros((1, 100)), np.full(100, np.nan)):
        with pytest.raises(ValueError, match="Expected 100 finite numbers"):
            tiny.transfer(plain(0), numbers)


@pytest.mark.parametrize(
    "limit, value, message",
    [
        ("MAX_PIXELS", 500, r"at most 500 pixels.* 40 x 20\..*width=31\)"),
        ("available_memory", lambda: 500 * 2000, r"Painting at 40 x 20 pixels takes about .*width=31\)"),
    ],
)
def test_large_pictures_are_refused_with_the_size_that_fits(tiny, models, monkeypatch, limit, value, message):
    monkeypatch.setattr(arbitrary, limit, value)
    with pytest.raises(PictureTooLargeError, match=message):
        tiny.stylize(plain(0, 20, 40), plain(0))
    assert tiny.stylize(plain(0, 16, 31), plain(0)).shape == (16, 31, 3)
    pair = ArbitraryStyle(models["predict"], models["24"])
    assert pair.stylize(plain(0, 20, 40), plain(0)).shape == (20, 40, 3)


def test_a_pair_paints_for_many_threads_as_for_one(tiny):
    sizes = [(4, 8), (8, 4), (12, 12), (16, 20)] * 6
    works = [(picture(*size, seed), plain((8 * seed, 200, 90))) for seed, size in enumerate(sizes)]
    expected = [tiny.stylize(*work) for work in works]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda work: tiny.stylize(*work), works))
    for painting, other in zip(found, expected):
        np.testing.assert_array_equal(painting, other)


# --- files ---


def test_load(folder, tiny):
    content, style = picture(9, 10), picture(12, 11, 1)
    np.testing.assert_array_equal(load_arbitrary(folder).stylize(content, style), tiny.stylize(content, style))


def test_the_model_for_any_size_is_preferred(folder, models):
    for name, model in (("24", "24"), ("dynamic", "any")):
        (folder / f"style_transfer_{name}.tflite").write_bytes(models[model])
    (folder / "style_transfer.tflite").unlink()
    assert load_arbitrary(folder, trusted=True)._transfer.any_size


def test_what_an_unfinished_download_left_is_no_model(folder, tiny):
    for name in ("style_predict", "style_transfer", "style_transfer_dynamic"):
        (folder / f".{name}-{'0' * 16}.tflite").write_bytes(b"half")
    content, style = picture(9, 10), picture(12, 11, 1)
    np.testing.assert_array_equal(load_arbitrary(folder).stylize(content, style), tiny.stylize(content, style))
    for name in ("style_predict", "style_transfer"):
        (folder / f"{name}.tflite").unlink()
    with pytest.raises(FileNotFoundError, match="nst-course weights download --source arbitrary"):
        load_arbitrary(folder)


def test_found_where_downloads_go(folder, monkeypatch, tmp_path):
    monkeypatch.setattr(arbitrary, "published_folders", lambda: (tmp_path / "none", folder))
    assert isinstance(load_arbitrary(), ArbitraryStyle)
    (folder / "style_predict.tflite").unlink()
    for place in (None, folder, tmp_path / "none"):
        with pytest.raises(FileNotFoundError, match="nst-course weights download --source arbitrary"):
            load_arbitrary(place)


@pytest.mark.parametrize("name", ["style_predict.tflite", "style_transfer.tflite"])
@pytest.mark.parametrize(
    "damage", [lambda b: b[:0], lambda b: b[: len(b) // 2], lambda b: b[:-1], lambda b: b"?" + b[1:]]
)
def test_a_damaged_file_does_not_reach_the_interpreter(folder, monkeypatch, name, damage):
    (folder / name).write_bytes(damage((folder / name).read_bytes()))
    monkeypatch.setattr(arbitrary, "_interpreter_class", lambda: pytest.fail("TensorFlow was given the file"))
    with pytest.raises(StyleModelError, match=f"{name} has another checksum.*trusted=True"):
        load_arbitrary(folder)


def test_a_trusted_file_is_loaded(folder, models):
    (folder / "style_transfer.tflite").write_bytes(models["24"])
    with pytest.raises(StyleModelError, match="another checksum"):
        load_arbitrary(folder)
    assert not load_arbitrary(folder, trusted=True)._transfer.any_size


def test_a_huge_file_is_not_read(folder):
    os.truncate(folder / "style_predict.tflite", 2**28 + 1)
    with pytest.raises(StyleModelError, match="at most 256 MiB"):
        load_arbitrary(folder, trusted=True)


@pytest.mark.parametrize(
    "predict, transfer, message",
    [
        ("99 numbers", "any", "as many numbers"),
        ("any", "any", "Expected 1 inputs"),
        ("predict", "predict", "Expected 2 inputs"),
        ("predict", "two outputs", "Expected 2 inputs and one output"),
    ],
)
def test_models_of_another_interface(models, predict, transfer, message):
    with pytest.raises(StyleModelError, match=message):
        ArbitraryStyle(models[predict], models[transfer])


def test_what_is_no_model(models):
    with pytest.raises(StyleModelError, match="Expected a TFLite model"):
        ArbitraryStyle(b"This is the page of an error, not a model." * 20, models["any"])


@pytest.mark.parametrize(
    "transfer, message",
    [("nan", "finite numbers"), ("smaller", r"Expected a painting"), ("grey", "shape .1, 16, 16, 1.")],
)
def test_models_that_give_no_painting(models, transfer, message):
    with pytest.raises(StyleModelError, match=message):
        ArbitraryStyle(models["predict"], models[transfer]).stylize(plain(9), plain(0))


def test_interpreters(monkeypatch):
    """TensorFlow's own; without tf.lite the package that goes on with it; without that, its name."""
    assert arbitrary._interpreter_class() is tf.lite.Interpreter
    monkeypatch.setattr(arbitrary, "tf", types.SimpleNamespace())
    monkeypatch.setitem(sys.modules, "ai_edge_litert", types.ModuleType("ai_edge_litert"))
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", types.SimpleNamespace(Interpreter="the package's"))
    assert arbitrary._interpreter_class() == "the package's"
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(ImportError, match="pip install ai-edge-litert"):
        arbitrary._interpreter_class()


# --- SavedModels ---


class Hub(tf.Module):
    """The interface of the module on TensorFlow Hub, which paints half of the content and half of the mean colour."""

    @tf.function(input_signature=[tf.TensorSpec(ANY, name="placeholder"), tf.TensorSpec(ANY, name="placeholder_1")])
    def __call__(self, content, style):
        tf.debugging.assert_equal(tf.shape(style), [1, 256, 256, 3])
        tf.debugging.assert_less_equal(content, 1.0)
        return [half(content, mean_color(style))]


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    tf.saved_model.save(Hub(), str(folder))
    return folder


@pytest.mark.parametrize("size", [(8, 8), (5, 7)])
def test_saved_model(hub, size):
    content = picture(*size)
    painting = load_arbitrary(hub).stylize(content, Style(plain((20, 200, 90), 9, 5)))
    assert painting.dtype == np.uint8
    np.testing.assert_allclose(painting, (content + np.float64((20, 200, 90))) / 2, atol=0.6)


def test_a_saved_model_cannot_blend(hub):
    model = load_arbitrary(hub)
    for style, strength in (([plain(0), plain(1)], 1), (plain(0), 0.5)):
        with pytest.raises(ValueError, match="paints in one style at strength 1.*TFLite pair.*--source arbitrary"):
            model.stylize(plain(0), style, strength=strength)


@pytest.mark.parametrize("damage", [lambda b: b[:0], lambda b: b[: len(b) // 2], lambda b: b"?" * 100 + b[100:]])
def test_damaged_saved_model(hub, tmp_path, damage):
    (tmp_path / "saved_model.pb").write_bytes(damage((hub / "saved_model.pb").read_bytes()))
    with pytest.raises(StyleModelError, match="is damaged|can be called"):
        load_arbitrary(tmp_path)


def test_saved_models_of_another_kind(hub, tmp_path):
    tf.saved_model.save(tf.Module(), str(tmp_path / "empty"))
    with pytest.raises(StyleModelError, match="can be called with two pictures"):
        load_arbitrary(tmp_path / "empty")
    model = tf.Module()
    model.__call__ = tf.function(lambda a: a, input_signature=[tf.TensorSpec(ANY)])
    tf.saved_model.save(model, str(tmp_path / "one"))
    with pytest.raises(StyleModelError, match="could not paint"):
        load_arbitrary(tmp_path / "one").stylize(plain(0), plain(0))


# --- the published pair ---


@pytest.fixture(scope="module")
def published(test_data):
    return load_arbitrary(test_data / "arbitrary")


@pytest.fixture(scope="module")
def pictures(test_data):
    names = ("chicago", "wave", "starry_night")
    return {name: read_image(test_data / "pictures" / f"{name}.jpg")[::2, ::2] for name in names}


def test_published_files_are_known(test_data):
    for model in STYLE_MODELS:
        data = (test_data / "arbitrary" / model.file).read_bytes()
        assert (model.hash, model.n_bytes) == (f"sha256:{hashlib.sha256(data).hexdigest()}", len(data))


def test_published_numbers(published, pictures):
    wave, night = (published.predict(pictures[name]) for name in ("wave", "starry_night"))
    assert wave.shape == night.shape == (100,) and np.isfinite([wave, night]).all()
    # A style is nearer to its own picture at half the size than to another style.
    smaller = published.predict(pictures["wave"][::2, ::2])
    assert np.linalg.norm(wave - smaller) < np.linalg.norm(wave - night) / 2
    blend = published.stylize(pictures["chicago"], [Style(pictures["wave"], 3), Style(pictures["starry_night"], 1)])
    # The same sum, to the bit: the networks round to 8 bits, and the last bit of a number moves pixels by 20.
    numbers = np.average([wave, night], axis=0, weights=[3, 1])
    np.testing.assert_array_equal(blend, published.transfer(pictures["chicago"], numbers))


@pytest.mark.parametrize("size", [(2, 2), (17, 23), (50, 64), (99, 101)])
def test_published_sizes(published, pictures, size):
    content = pictures["chicago"][: size[0], : size[1]]
    painting = published.stylize(content, pictures["wave"])
    assert painting.shape == (*size, 3) and painting.dtype == np.uint8


@pytest.mark.parametrize("transfer", PUBLISHED_TRANSFERS)
def test_published_pairs_paint_in_the_colors_of_the_style(test_data, pictures, transfer):
    files = test_data / "arbitrary"
    pair = ArbitraryStyle(*((files / name).read_bytes() for name in (STYLE_MODELS[0].file, transfer)))
    content = pictures["chicago"]

    def off(a, b):
        return np.linalg.norm(a.mean((0, 1)) - b.mean((0, 1)))

    for name in ("wave", "starry_night"):
        paintings = [pair.stylize(content, pictures[name], strength=s) for s in (0, 0.5, 1)]
        away = [np.mean((painting - np.float64(content)) ** 2) for painting in paintings]
        assert away[0] < away[1] < away[2]
        assert off(paintings[2], pictures[name]) < off(content, pictures[name]) / 2
        # What is where stays: brightness goes with the content's.
        grey, painted = content.mean(2).ravel(), paintings[0].mean(2).ravel()
        assert np.corrcoef(grey, painted)[0, 1] > 0.7


# --- the command ---


def restyle(*words):
    return cli.main(["restyle", *map(str, words)])


@pytest.fixture
def files(tmp_path):
    for seed, name in enumerate(("content", "a", "b")):
        save_image(tmp_path / f"{name}.png", picture(10, 12, seed))
    return [tmp_path / f"{name}.png" for name in ("content", "a", "b")]


def test_restyle(folder, tiny, files, tmp_path, capsys):
    output = tmp_path / "new" / "out.png"
    assert restyle(*files, "-o", output, "--models", folder, "--strength", "0.5") == 0
    content, *styles = (read_image(file) for file in files)
    np.testing.assert_array_equal(read_image(output), tiny.stylize(content, styles, strength=0.5))
    assert str(output) in capsys.readouterr().out
    assert restyle(*files[:2], "-o", output, "--models", folder, "--size", "6") == 0
    assert read_image(output).shape == (5, 6, 3)


def test_restyle_with_the_published_models(test_data, tmp_path):
    pictures = test_data / "pictures"
    words = (pictures / "chicago.jpg", pictures / "wave.jpg", pictures / "starry_night.jpg", "--size", "151")
    assert restyle(*words, "-o", tmp_path / "out.png", "--models", test_data / "arbitrary") == 0
    assert read_image(tmp_path / "out.png").shape == (101, 151, 3)


@pytest.mark.parametrize(
    "words, message",
    [
        (("--models", "none"), "type: nst-course weights download --source arbitrary"),
        (("--strength", "2"), "strength must be from 0 to 1"),
        (("-o", "content.png"), "one of your pictures"),
        (("-o", "out.txt"), "ending in .png"),
    ],
)
def test_restyle_says_what_is_wrong(folder, files, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir()), files[0].read_bytes()
    assert restyle(*files[:2], "-o", "out.png", "--models", folder, *words) == 1
    error = capsys.readouterr().err
    assert error.startswith("nst-course: ") and message in error and "Traceback" not in error
    assert (sorted(tmp_path.iterdir()), files[0].read_bytes()) == before
