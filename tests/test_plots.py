import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

from nst_course import Step, reshape_and_normalize_image, show_costs, show_feature_maps, show_gram, show_pictures


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
