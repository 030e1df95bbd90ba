import warnings

import numpy as np
import pytest
from test_feedforward import drawn, picture, psnr

from nst_course import TransformNet, cli, load_network, read_image, resize_image, save_network
from nst_course.feedforward.arbitrary import _interpreter_class


def painter(path):
    """Return an interpreter as a function from a picture to the painting."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"\s*Warning: tf\.lite\.Interpreter is deprecated", UserWarning)
        interpreter = _interpreter_class()(model_path=str(path))
    [given], [found] = interpreter.get_input_details(), interpreter.get_output_details()

    def paint(image):
        interpreter.resize_tensor_input(given["index"], (1, *image.shape))
        interpreter.allocate_tensors()
        interpreter.set_tensor(given["index"], image[None])
        interpreter.invoke()
        return interpreter.get_tensor(found["index"])[0]

    return paint


@pytest.fixture(scope="module", params=["zeros", "reflect"])
def exported(request, tmp_path_factory):
    """A network, and the folder with its two files."""
    net, folder = TransformNet(drawn(), settings={"padding": request.param}), tmp_path_factory.mktemp("exported")
    for precision in ("float32", "float16"):
        net.save_tflite(folder / f"{precision}.tflite", precision=precision)
    return net, folder


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_one_file_paints_pictures_of_all_sizes(exported, precision):
    net, folder = exported
    paint = painter(folder / f"{precision}.tflite")
    for size in ((48, 64), (45, 61), (70, 50), (33, 34), (20, 17), (48, 64)):
        painting = paint(picture(*size))
        assert painting.dtype == np.uint8 and painting.shape == (*size, 3)
        assert psnr(painting, net.apply(picture(*size)) + 1e-6) >= 40


def test_a_file_for_one_size(exported, tmp_path):
    net = exported[0]
    net.save_tflite(tmp_path / "net.tflite", size=(21, 34))
    painting = painter(tmp_path / "net.tflite")(picture(21, 34))
    assert psnr(painting, net.apply(picture(21, 34)) + 1e-6) >= 40
    with pytest.raises(ValueError, match="height and width, each at least 4; found"):
        net.save_tflite(tmp_path / "net.tflite", size=(3, 34))


def test_float16_takes_half_the_room(exported):
    small, large = ((exported[1] / f"{p}.tflite").stat().st_size for p in ("float16", "float32"))
    assert small < 0.55 * large and large < 7.5e6


def test_published_network(test_data, tmp_path):
    net = load_network(test_data / "feedforward" / "lengstrom_wave.npz")
    net.save_tflite(tmp_path / "wave.tflite")
    content = resize_image(read_image(test_data / "pictures" / "chicago.jpg"), width=101)
    assert psnr(painter(tmp_path / "wave.tflite")(content), net.apply(content) + 1e-6) >= 40


def test_names_and_failures(exported, tmp_path, monkeypatch):
    net = exported[0]
    with pytest.raises(ValueError, match=r"ends in \.tflite; found 'net.npz'"):
        net.save_tflite(tmp_path / "net.npz")
    with pytest.raises(ValueError, match="precision must be one of float32, float16; found 'int8'"):
        net.save_tflite(tmp_path / "net.tflite", precision="int8")
    (tmp_path / "folder").write_text("no folder")
    with pytest.raises(OSError, match="Could not write"):
        net.save_tflite(tmp_path / "folder" / "net.tflite")
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_the_command(exported, tmp_path, capsys):
    net, folder = exported
    save_network(tmp_path / "net.npz", net)
    words = ["export", tmp_path / "net.npz", "-o", tmp_path / "net.tflite", "--precision", "float16"]
    assert cli.main(list(map(str, words))) == 0
    assert f"Network: {tmp_path / 'net.tflite'}, 3.5 MB" in capsys.readouterr().out
    assert (tmp_path / "net.tflite").stat().st_size == (folder / "float16.tflite").stat().st_size


def test_a_file_is_made_without_a_word(tmp_path, caplog):
    TransformNet(drawn()).save_tflite(tmp_path / "net.tflite")
    assert [record.getMessage() for record in caplog.records] == []
