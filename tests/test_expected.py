import pathlib
import re

import numpy as np
import pytest
import tensorflow as tf

from nst_course import (
    Objective,
    VGGWeights,
    cli,
    compute_content_cost,
    compute_layer_style_cost,
    expected,
    generate_noise_image,
    gram_matrix,
    paint,
    published,
    read_image,
    read_weights,
    reshape_and_normalize_image,
    resize_image,
    save_image,
    session,
    write_levels,
    write_mat,
)
from nst_course.eager.evaluation import Evaluator
from nst_course.expected import EXPECTED, OLD_PIXELS, SLIPS, TODAYS_PIXELS, check, expected_value
from nst_course.weights.find import EMBEDDED_WEIGHTS
from nst_course.weights.folders import repository_folder

PAGE = (pathlib.Path(__file__).parent.parent / "docs" / "expected-values.md").read_text()
NETWORK = [row for row in EXPECTED if row.pictures]

# The picture of the bridge is not in the test data, and the whole run takes minutes.
LONGEST = "iteration 20"
TESTED = [r for r in NETWORK if "golden_gate.jpg" not in r.pictures and (r.name == LONGEST or not r.is_long)]


def named(rows):
    return pytest.mark.parametrize("row", rows, ids=lambda row: row.name.replace(" ", "-"))


@named([row for row in EXPECTED if not row.pictures])
def test_this_machine_gives_the_expected_value(row):
    assert row.holds_for == "any"
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


def test_weights_in_levels_have_a_tolerance_of_their_own(tmp_path):
    row, exact = expected_value("iteration 0"), VGGWeights.random(widths=(2, 2, 2, 2, 2))
    write_levels(exact, tmp_path / "tiny.npz")
    levels = read_weights(tmp_path / "tiny.npz")
    off = np.array(row.value) * 1.005
    assert row.matches(off, levels) and not row.matches(off, exact) and not row.matches(off)
    assert not row.matches(np.array(row.value) * 1.02, levels)


def test_names_are_unique_and_unknown_ones_are_told_so():
    assert len({row.name for row in EXPECTED}) == len(EXPECTED)
    with pytest.raises(KeyError, match="J_style_layer"):
        expected_value("J_styl")


# --- the published network --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def levels():
    """Return the weights that come with the project."""
    return read_weights(repository_folder("pretrained-model") / EMBEDDED_WEIGHTS)


@pytest.fixture(scope="module")
def mixed(test_data, levels):
    """Return exact blocks 1 to 3, and blocks 4 and 5 in levels."""
    with np.load(test_data / "vgg19" / "vgg19-blocks1to3.npz") as exact:
        parameters = dict(levels.parameters)
        for name in parameters:
            if f"{name}_W" in exact:
                parameters[name] = exact[f"{name}_W"], exact[f"{name}_b"]
    return VGGWeights(parameters, source="exact blocks 1 to 3")


# From the last to the first, so that a program runs once: as far as its last row needs.
@named([*reversed(TESTED), *SLIPS])
def test_published_number_with_exact_first_blocks(row, mixed, test_data):
    assert row.matches(row.measure(mixed, test_data / "pictures"), mixed)


@named([row for row in TESTED if not row.is_long])
def test_published_number_with_the_weights_of_the_project(row, levels, test_data):
    assert row.matches(row.measure(levels, test_data / "pictures"), levels)


def test_todays_pixels_come_within_4_percent_of_what_the_course_prints(levels, test_data):
    measured = expected_value("iteration 0 (today's pixels)").measure(levels, test_data / "pictures")
    np.testing.assert_allclose(measured, expected_value("iteration 0").value, rtol=4e-2)


def test_known_slips_do_not_match_the_right_row():
    """With exact weights. In levels, running the noise cell twice is within what rounding the weights changes."""
    row = expected_value("iteration 0")
    for slip in SLIPS:
        assert not row.matches(slip.value)
    for total in (1.815e9, 4.93689e9, 5.857e9, 7.4575e9, -1e13):
        assert not row.matches((total, *row.value[1:]))


def no_transpose(a_S, a_G):
    _, n_H, n_W, n_C = a_G.shape
    GS, GG = (gram_matrix(tf.reshape(a, [n_C, n_H * n_W])) for a in (a_S, a_G))
    return tf.reduce_sum(tf.square(GS - GG)) / (4.0 * n_C**2 * (n_H * n_W) ** 2)


def int32_overflow(a_S, a_G):
    _, n_H, n_W, n_C = tf.unstack(tf.shape(a_G))
    GS, GG = (gram_matrix(tf.transpose(tf.reshape(a, [n_H * n_W, n_C]))) for a in (a_S, a_G))
    return tf.reduce_sum(tf.square(GS - GG)) / tf.cast(4 * n_C**2 * (n_H * n_W) ** 2, tf.float32)


@pytest.mark.parametrize("slip, total", [(no_transpose, 1.815e9), (int32_overflow, -1e13)])
def test_wrong_style_cost_prints_what_the_page_says(slip, total, mixed, test_data, monkeypatch):
    monkeypatch.setattr(session, "compute_layer_style_cost", slip)
    measured = published.course(mixed, test_data / "pictures")[0][0]
    assert total == pytest.approx(measured, rel=2e-3 if total > 0 else 0.2)


def test_costs_of_the_noisy_picture_itself(mixed, test_data):
    """They are what every iteration prints that assigns it again after its step."""
    content, style = (read_image(test_data / "pictures" / f"{n}{OLD_PIXELS}") for n in ("louvre_small", "monet"))
    content, style = map(reshape_and_normalize_image, (content, style))
    state = np.random.get_state()
    np.random.seed(3)
    np.random.randn(2)
    start = generate_noise_image(content)
    np.random.set_state(state)
    evaluator = Evaluator(mixed, Objective(), "float32", (300, 400))
    targets = evaluator.look(content)[0], [(1.0, evaluator.look(style)[1][0], None)]
    assert evaluator.costs_and_gradient(start, *targets)[0][0] == pytest.approx(5.857e9, rel=1e-3)


# --- programs, with a small network -----------------------------------------------------------------------------------


@pytest.fixture
def small():
    return VGGWeights.random(widths=(2, 2, 2, 2, 2))


@pytest.fixture
def images(tmp_path, monkeypatch):
    """Make a folder in the place of images/, with small pictures of every name the table has."""
    rng = np.random.RandomState(0)
    for name in {name for row in EXPECTED for name in row.pictures}:
        save_image(tmp_path / name, rng.randint(0, 256, (20, 24, 3)).astype(np.uint8))
    monkeypatch.setattr("nst_course.weights.folders.repository_folder", lambda name: tmp_path)
    return tmp_path


@pytest.mark.parametrize("pixels", [OLD_PIXELS, TODAYS_PIXELS])
def test_course_draws_the_noise_as_its_cells_do(pixels, small, images):
    content, style = (read_image(images / f"{name}{pixels}") for name in ("louvre_small", "monet"))
    np.random.seed(3)
    np.random.randn()
    np.random.randn()
    steps = []
    paint(content, style, weights=small, num_iterations=3, callback=steps.append)
    state = np.random.get_state()[1].copy()
    measured = published.course(small, images, 3, pixels=pixels)
    np.testing.assert_allclose(measured, [step[1:4] for step in steps], rtol=1e-6)
    np.testing.assert_array_equal(np.random.get_state()[1], state)


@named([row for row in (*EXPECTED, *SLIPS) if row.pictures and not row.is_long])
def test_every_program_gives_as_many_numbers_as_its_row_has(row, small, images):
    measured = row.measure(small)
    assert len(measured) == len(row.value) and np.isfinite(measured).all()


def test_programs_take_as_many_steps_as_are_wanted(small, images):
    for program, steps in (("course", 2), ("course_never_assigned", 2), ("course_tensorflow2", 3)):
        assert len(getattr(published, program)(small, images, steps)) == steps
    assert len(published.tensorflow_tutorial(small, images, 2)) == 2
    assert len(published.school_project(small, images, 1)) == 1


def test_an_interrupted_run_gives_no_numbers(small, images, monkeypatch):
    def interrupted(*args, callback, **kwargs):
        callback(session.Step(0, 1.0, 2.0, 3.0, None, 0.0))  # and returns what was painted so far

    monkeypatch.setattr(published, "paint", interrupted)
    row = expected_value("iteration 20")
    with pytest.raises(KeyboardInterrupt):
        row.measure(small)


def test_a_run_goes_on_from_what_is_kept(small, images, monkeypatch):
    """Each program runs once for weights and folder, as far as it is needed."""
    runs, course = [], published.course
    monkeypatch.setattr(published, "course", lambda *a, **k: runs.append(a[2]) or course(*a, **k))
    last, first = expected_value("iteration 20"), expected_value("iteration 0")
    for row in (first, last, first, last):
        row.measure(small)
    assert runs == [1, 21]
    first.measure(VGGWeights.random(1, widths=(2, 2, 2, 2, 2)))
    assert runs == [1, 21, 1]


def test_check_runs_the_course_once_and_after_its_first_row(small, images, monkeypatch):
    runs = []

    def course(weights, folder, steps, pixels):
        runs.append((steps, pixels))
        return [(1.0, 2.0, 3.0)] * steps

    monkeypatch.setattr(published, "course", course)
    monkeypatch.setattr(expected, "is_published", lambda weights: True)
    rows = [row for row in EXPECTED if row.name.startswith("iteration")]
    results = list(check(rows, small))
    assert [row for row, _, _ in results] == rows
    assert all(measured == (1.0, 2.0, 3.0) and result is False for _, measured, result in results)
    assert runs == [(1, OLD_PIXELS), (181, OLD_PIXELS), (1, TODAYS_PIXELS), (181, TODAYS_PIXELS)]


def test_check_measures_nothing_with_another_network(small, images):
    (row, measured, needed), *_ = check(NETWORK, small)
    assert row is NETWORK[0] and measured is None
    assert needed == "the published VGG-19 in place of random VGG-19 (seed 0)"


def test_published_weights_are_known_by_their_biases(levels, small):
    assert expected.is_published(levels)
    assert not expected.is_published(small)
    assert not expected.is_published(VGGWeights.random(network="VGG-16"))
    assert not expected.is_published(VGGWeights(dict(list(levels.parameters.items())[:4])))


def test_nothing_is_measured_without_its_pictures(small, tmp_path, monkeypatch):
    monkeypatch.setattr("nst_course.weights.folders.repository_folder", lambda name: tmp_path)
    row = expected_value("iteration 0")
    assert row.measure(small) is None
    assert row.missing() == list(row.pictures)
    assert list(check([row], small)) == [(row, None, "louvre_small_libjpeg9.png and monet_libjpeg9.png")]


# --- the command ------------------------------------------------------------------------------------------------------


def test_command_says_in_few_lines_what_it_has_not_checked(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("nst_course.weights.folders.repository_folder", lambda name: tmp_path)
    assert cli.main(["check"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "Not checked: Kandinsky conv1_1 and 4 more. Needed: kandinsky.jpg." in lines
    assert sum(line.startswith("Not checked") for line in lines) <= 8
    assert "check --run" in lines[-1]


@pytest.mark.parametrize("options", [[], ["--run"]])
def test_command_runs_the_long_rows_on_demand(options, small, images, capsys, monkeypatch):
    row, long = expected_value("TF2 first cost"), expected_value("iteration 20")
    right = row._replace(value=tuple(row.measure(small)))
    monkeypatch.setattr(expected, "is_published", lambda weights: True)
    monkeypatch.setattr(expected, "EXPECTED", (right, long))
    write_mat(small, images / "small.mat")
    monkeypatch.setenv("NST_COURSE_WEIGHTS", str(images / "small.mat"))
    assert cli.main(["check", *options]) == (1 if options else 0)
    printed = capsys.readouterr().out
    assert "ok   TF2 first cost" in printed
    assert ("OFF  iteration 20" in printed) == bool(options)


# --- the page ---------------------------------------------------------------------------------------------------------


def percent(tolerance):
    return "-" if tolerance is None else f"{100 * tolerance:g} %"


@named([*EXPECTED, *SLIPS])
def test_page_has_the_row(row):
    found = re.search(rf"^\| {re.escape(row.name)} \| ([^|]*) \| ([^|]*) \| ([^|]*) \|", PAGE, re.MULTILINE)
    assert found, f"docs/expected-values.md has no row | {row.name} | {row.show(row.value)} |"
    numbers, exact, rounded = found.groups()
    numbers = [float(number) for number in numbers.removesuffix("...").split()]  # of a matrix the first row
    np.testing.assert_allclose(numbers, row.value[: len(numbers)], rtol=1e-6)
    assert len(numbers) == len(row.value) or row.name == "GA"
    assert (exact, rounded) == (percent(row.tolerance), percent(row.rounded_tolerance))


@pytest.mark.parametrize(
    "name, shapes, cost",
    [
        ("J_content", [[1, 4, 4, 3]] * 2, compute_content_cost),
        ("J_style_layer", [[1, 4, 4, 3]] * 2, compute_layer_style_cost),
        ("GA", [[3, 2]], gram_matrix),
    ],
)
def test_page_has_what_cells_print_without_op_seeds(name, shapes, cost):
    with tf.Graph().as_default(), tf.compat.v1.Session() as sess:
        tf.compat.v1.set_random_seed(1)
        tensors = [tf.compat.v1.random_normal(shape, mean=1, stddev=4) for shape in shapes]
        measured = np.ravel(sess.run(cost(*tensors)))[0]
    printed, right = re.search(
        rf"^\| `{name}`[^|]* \| (\S+) \| (\S+) \| .*(?:seeds|the same) \|$", PAGE, re.MULTILINE
    ).groups()
    assert float(printed) == pytest.approx(measured, rel=1e-5)
    assert float(right) == pytest.approx(expected_value(name).value[0], rel=1e-5)


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
