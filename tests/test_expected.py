import numpy as np
import pytest

from nst_course import (
    VGGWeights,
    expected,
    generate_noise_image,
    paint,
    read_image,
    resize_image,
    save_image,
    write_mat,
)
from nst_course.expected import EXPECTED, OLD_PIXELS, TODAYS_PIXELS, expected_value


@pytest.mark.parametrize("row", [row for row in EXPECTED if row.holds_for == "any"], ids=lambda row: row.name)
def test_this_machine_gives_the_expected_value(row):
    assert row.matches(row.measure())


# As printed in the course: the table must not drift from it.
PRINTED = {
    "J_content": (6.76559,),
    "GA": (6.42230511, -4.42912197, -2.09668207)
    + (-4.42912197, 19.46583748, 19.56387138)
    + (-2.09668207, 19.56387138, 20.6864624),
    "J_style_layer": (9.19028,),
    "J": (35.34667875478276,),
    "iteration 0": (5.05035e9, 7877.67, 1.26257e8),
}


@pytest.mark.parametrize("name", PRINTED)
def test_table_holds_what_the_course_prints(name):
    np.testing.assert_allclose(expected_value(name).value, PRINTED[name], rtol=5e-7)


def test_a_value_that_is_off_does_not_match():
    row = expected_value("J_content")
    assert row.matches(row.value[0] * (1 + 0.9 * row.tolerance))
    assert not row.matches(row.value[0] * (1 + 2 * row.tolerance))
    assert not row.matches(float("nan"))


def test_known_mistakes_of_the_course_run_do_not_match():
    """Iteration 0 tells apart what people got wrong: no transpose, assign not run or in the loop, int32 overflow."""
    old, todays = [row for row in EXPECTED if row.name == "iteration 0"]
    for total in (1.815e9, 7.4575e9, 5.857e9, -1e13):
        assert not todays.matches((total, *todays.value[1:]))
    for total in (5.04752e9 * 0.99, 4.937e9):
        assert not old.matches((total, *old.value[1:]))
    # Today's decoder gives 4.937e9: within what its row allows, and not within the other's.
    assert todays.matches((4.937e9, *todays.value[1:]))


def test_unknown_name_lists_the_names_there_are():
    with pytest.raises(KeyError, match="J_style_layer"):
        expected_value("J_styl")


@pytest.mark.parametrize("pixels", [OLD_PIXELS, TODAYS_PIXELS])
def test_course_run_is_run_where_its_files_are(pixels, tmp_path, monkeypatch):
    """With a file of the published name and two pictures of the course's names, the rows are measured."""
    weights = tmp_path / "imagenet-vgg-verydeep-19.mat"
    write_mat(VGGWeights.random(widths=(2, 2, 2, 2, 2)), weights)
    monkeypatch.setenv("NST_COURSE_WEIGHTS", str(weights))
    rng = np.random.RandomState(0)
    pictures = [tmp_path / f"{name}{pixels}" for name in ("louvre_small", "monet")]
    for picture in pictures:
        save_image(picture, rng.randint(0, 256, (20, 24, 3)).astype(np.uint8))
    monkeypatch.setattr("nst_course.weights.folders.repository_folder", lambda name: tmp_path)
    expected._course_run.cache_clear()
    try:
        measured = expected._iteration(0, pixels)()
    finally:
        expected._course_run.cache_clear()

    # The course's noise, drawn as its cells draw it.
    content, style = map(read_image, pictures)
    state = np.random.get_state()
    np.random.seed(3)
    np.random.randn()
    np.random.randn()
    steps = []
    paint(content, style, weights=weights, num_iterations=1, callback=steps.append)
    np.random.set_state(state)
    np.testing.assert_allclose(measured, steps[0][1:4], rtol=1e-6)


def test_course_run_is_not_measured_without_its_files(tmp_path, monkeypatch):
    monkeypatch.setattr("nst_course.weights.folders.repository_folder", lambda name: tmp_path)
    monkeypatch.chdir(tmp_path)
    expected._course_run.cache_clear()
    assert expected_value("iteration 0").measure() is None


def test_course_noise_on_the_course_picture(test_data):
    """The start picture of the course's run, by the course's own formula."""
    content = read_image(test_data / "pictures" / "louvre_small_libjpeg9.png")
    content = content[None] - np.array([123.68, 116.779, 103.939]).reshape(1, 1, 1, 3)
    np.random.seed(3)
    np.random.randn(2)
    noise = np.random.uniform(-20, 20, (1, 300, 400, 3)).astype("float32")
    by_hand = noise * 0.6 + content * 0.4
    np.random.seed(3)
    np.random.randn(2)
    np.testing.assert_allclose(generate_noise_image(content.astype(np.float32)), by_hand, atol=1e-4)
    assert resize_image(read_image(test_data / "pictures" / "monet.jpg"), width=400, height=300).shape == (300, 400, 3)
