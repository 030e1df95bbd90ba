import io

import imageio.v3 as iio
import ipywidgets
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from nst_course import (
    Step,
    denormalize_image,
    reshape_and_normalize_image,
    save_gif,
    show_contact_sheet,
    show_costs,
    show_feature_maps,
    show_gram,
    show_pictures,
    show_source,
    watch,
)


@pytest.fixture(autouse=True)
def close_figures():
    matplotlib.use("agg")
    yield
    plt.close("all")


def drawn(ax):
    return ax.images[0].get_array()


def test_show_pictures_shows_pictures_and_network_arrays():
    picture = np.random.RandomState(0).randint(0, 256, (6, 8, 3)).astype(np.uint8)
    figure = show_pictures([picture, reshape_and_normalize_image(picture)], ["a", "b"])
    assert [ax.get_title() for ax in figure.axes] == ["a", "b"]
    for ax in figure.axes:
        np.testing.assert_array_equal(drawn(ax), picture)


def test_show_feature_maps_shows_the_brightest_channels():
    a = np.zeros((1, 4, 5, 3), np.float32)
    a[..., 0], a[..., 2] = 1, 7
    figure = show_feature_maps([a], ["conv1_1"], channels=2)
    assert [ax.get_title() for ax in figure.axes] == ["conv1_1, channel 2", "conv1_1, channel 0"]
    assert drawn(figure.axes[0]).max() == 7


def test_show_pictures_begins_a_new_row_behind_the_last_column():
    figure = show_pictures([np.full((6, 8, 3), i / 5) for i in range(5)], columns=2)
    rows, columns = figure.axes[0].get_subplotspec().get_gridspec().get_geometry()
    assert (rows, columns) == (3, 2)
    assert [len(ax.images) for ax in figure.axes] == [1, 1, 1, 1, 1, 0]
    assert drawn(figure.axes[2]).max() == 0.4


def test_show_contact_sheet_has_styles_above_and_contents_on_the_left():
    c, d, s, t, u, cs, ct, cu, ds, dt, du = (np.full((6, 8, 3), i, np.uint8) for i in range(11))
    figure = show_contact_sheet([c, d], [s, t, u], [[cs, ct, cu], [ds, dt, du]])
    shown = [ax.images[0].get_array().max() if ax.images else None for ax in figure.axes]
    assert shown == [None, 2, 3, 4, 0, 5, 6, 7, 1, 8, 9, 10]


def test_show_feature_maps_shows_the_channels_asked_for():
    a = np.arange(3) * np.ones((1, 4, 5, 3), np.float32)
    figure = show_feature_maps([a], channels=[1, 0])
    assert [drawn(ax).max() for ax in figure.axes] == [1, 0]


def test_show_feature_maps_leaves_places_without_a_channel_empty():
    figure = show_feature_maps([np.ones((1, 4, 5, 2))], channels=4)
    assert [len(ax.images) for ax in figure.axes] == [1, 1, 0, 0]


def test_show_gram():
    figure = show_gram([np.array([[9.0, -99], [-99, 999]])])
    np.testing.assert_allclose(drawn(figure.axes[0]), [[1, 2], [2, 3]])


def test_show_costs_is_logarithmic():
    steps = [Step(i, 100.0 / (i + 1), 1.0, 2.0, None, 0.1) for i in range(3)]
    ax = show_costs(steps).axes[0]
    assert ax.get_yscale() == "log"
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [100, 50, 100 / 3])
    assert [line.get_label() for line in ax.lines] == ["total", "style", "content"]


def test_show_costs_compares_runs():
    runs = {name: [Step(i, J / (i + 1), 1.0, 2.0, None, 0.1) for i in range(2)] for name, J in (("a", 6.0), ("b", 8.0))}
    ax = show_costs(runs).axes[0]
    assert ax.get_yscale() == "log"
    assert {line.get_label(): list(line.get_ydata()) for line in ax.lines} == {"a": [6, 3], "b": [8, 4]}


def test_show_costs_draws_other_costs_dotted():
    stages = ["sketch, 1/2 of the size"] * 2 + ["sketch"] * 3 + [""] * 2
    run = [Step(i, 9.0 - i, 1.0, 2.0, None, 0.1, stage=stage) for i, stage in enumerate(stages)]
    ax = show_costs({"fast": run}).axes[0]
    assert [(line.get_linestyle(), list(line.get_xdata())) for line in ax.lines] == [
        (":", [0, 1]),
        (":", [2, 3, 4]),
        ("-", [5, 6]),
    ]
    assert len({line.get_color() for line in ax.lines}) == 1
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["fast"]


def test_show_costs_against_evaluations():
    run = [Step(i, 4.0, 1.0, 2.0, None, 0.1, evaluation=3 * i + 1) for i in range(3)]
    ax = show_costs(run, against="evaluation").axes[0]
    assert ax.get_xlabel() == "evaluation" and list(ax.lines[0].get_xdata()) == [1, 4, 7]


def test_save_gif_writes_every_picture(tmp_path):
    # Colours that a palette of 256 has room for.
    pictures = [np.full((6, 8, 3), level, np.uint8) for level in (0, 80, 255)]
    save_gif(tmp_path / "new" / "run.gif", [*pictures[:2], reshape_and_normalize_image(pictures[2])], seconds=0.25)
    np.testing.assert_array_equal(iio.imread(tmp_path / "new" / "run.gif")[..., :3], pictures)
    meta = iio.immeta(tmp_path / "new" / "run.gif")
    assert (meta["duration"], meta["loop"]) == (250, 0)
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["run.gif"]


@pytest.mark.parametrize(
    "name, pictures, seconds",
    [
        ("run.gif", [], 0.1),
        ("run.gif", [np.zeros((2, 2, 3), np.uint8), np.zeros((2, 3, 3), np.uint8)], 0.1),
        ("run.gif", [np.zeros((2, 2, 3))], 0.1),
        ("run.mp4", [np.zeros((2, 2, 3), np.uint8)], 0.1),
        ("run.gif", [np.zeros((2, 2, 3), np.uint8)], 0),
        ("run.gif", [np.zeros((2, 2, 3), np.uint8)], float("nan")),
    ],
)
def test_save_gif_refuses_what_is_no_animation(tmp_path, name, pictures, seconds):
    with pytest.raises(ValueError, match="Expected"):
        save_gif(tmp_path / name, pictures, seconds=seconds)
    assert not list(tmp_path.iterdir())


# --- source and pictures on the way ---


def documented(a, b=2):
    """Add.

    Not shown.
    """
    # Shown.
    return a + b


def undocumented(a):
    return -a


def test_show_source_leaves_the_docstring_out():
    assert show_source(documented).data == ("```python\ndef documented(a, b=2):\n    # Shown.\n    return a + b\n```")
    assert show_source(undocumented).data == "```python\ndef undocumented(a):\n    return -a\n```"
    with pytest.raises(TypeError):
        show_source(len)


def steps(n):
    rng = np.random.RandomState(0)
    return [Step(i, 400.0 / (i + 1), 1.0, 2.0, rng.uniform(-100, 100, (1, 6, 8, 3)), 0.1) for i in range(n)]


def test_watch_prints_costs_where_there_are_no_widgets(capsys):
    callback = watch(costs_every=2)
    for step in steps(4):
        callback(step)
    assert capsys.readouterr().out == (
        "Iteration 0: total 4.00e+02, content 1.00e+00, style 2.00e+00\n"
        "Iteration 2: total 1.33e+02, content 1.00e+00, style 2.00e+00\n"
    )


def test_watch_shows_the_latest_picture_in_a_notebook(monkeypatch, capsys):
    shown = []
    monkeypatch.setattr("nst_course.plots._widgets", lambda: ipywidgets)
    monkeypatch.setattr("IPython.display.display", shown.append)
    callback = watch(every=3)
    picture, text = shown[0].children
    before = repr(shown[0])  # what nbval compares: it must not hold a picture
    assert picture.value == b"" and "value=b''" in before
    for step in steps(5):
        callback(step)
    image = np.asarray(Image.open(io.BytesIO(picture.value)))
    expected = denormalize_image(steps(5)[3].image)
    assert image.shape == (6, 8, 3) and np.abs(image.astype(int) - expected).mean() < 40  # a JPEG of noise
    assert text.value.startswith("Iteration 3: total 1.00e+02")
    assert capsys.readouterr().out == ""
