"""The session edition: the graph as the course's dictionary, the style cost, the run and what can go wrong in it."""

import contextlib
import inspect
import re

import numpy as np
import pytest
import reference
import tensorflow as tf

from nst_course import (
    STYLE_LAYERS,
    DivergenceError,
    LayerNotFoundError,
    PictureTooLargeError,
    Step,
    VGGWeights,
    compute_content_cost,
    compute_layer_style_cost,
    compute_style_cost,
    generate_noise_image,
    load_vgg_model,
    model_nn,
    paint,
    print_costs,
    read_image,
    reshape_and_normalize_image,
    total_cost,
    write_mat,
)

tf1 = tf.compat.v1
SIZE = (13, 18)
#: Two style layers of different sizes and coefficients.
TWO_LAYERS = [("conv1_1", 0.3), ("relu3_1", 0.7)]


def random_weights(network="VGG-19"):
    rng = np.random.RandomState(7)
    parameters = VGGWeights.random(3, network=network, widths=(2, 3, 4, 3, 2)).parameters
    return VGGWeights({name: (W, rng.normal(0, 5, b.shape)) for name, (W, b) in parameters.items()})


def picture(seed, size=SIZE):
    return np.random.RandomState(seed).uniform(-100, 100, (1, *size, 3)).astype(np.float32)


def assign(sess, model, image):
    # Fed in place of the initial value, so that nothing is added to the graph.
    initializer = model["input"].initializer
    sess.run(initializer, {initializer.inputs[1]: image})


@pytest.fixture
def course():
    """Open a session and load a tiny model, as a notebook's first cells do."""
    with tf.Graph().as_default(), tf1.Session() as sess:
        yield sess, load_vgg_model(random_weights(), height=SIZE[0], width=SIZE[1])


# --- memory ---


def test_a_model_of_a_size_that_does_not_fit_is_refused_with_the_size_that_does(monkeypatch):
    weights = random_weights()
    monkeypatch.setattr("nst_course.session.available_memory", lambda: 101_000_000)
    with tf.Graph().as_default(), pytest.raises(PictureTooLargeError, match="A pass .* at 400 x 300 .*width="):
        load_vgg_model(weights, height=300, width=400)
    with tf.Graph().as_default():
        load_vgg_model(weights, height=SIZE[0], width=SIZE[1])


def test_a_photograph_too_large_to_be_painted_is_refused_with_the_size_that_fits(monkeypatch):
    weights, style = random_weights(), np.zeros((9, 9, 3), np.uint8)
    monkeypatch.setattr("nst_course.session.available_memory", lambda: 101_000_000)
    with pytest.raises(PictureTooLargeError, match="A run at 400 x 300 pixels takes about") as caught:
        paint(np.zeros((300, 400, 3), np.uint8), style, weights=weights, num_iterations=1)
    width, height = map(int, re.search(r"At most (\d+) x (\d+) would fit", str(caught.value)).groups())
    fitting = np.random.RandomState(0).randint(0, 256, (height, width, 3)).astype(np.uint8)
    assert paint(fitting, fitting, weights=weights, num_iterations=1, callback=quiet).shape == fitting.shape


# --- load_vgg_model ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pooling, pool", [("average", "avgpool"), ("max", "maxpool")])
@pytest.mark.parametrize("network", ["VGG-16", "VGG-19"])
def test_the_model_is_the_course_dictionary(network, pooling, pool):
    with tf.Graph().as_default(), tf1.Session() as sess:
        model = load_vgg_model(random_weights(network), height=9, width=14, pooling=pooling)
        expected = ["input"]
        for block, count in enumerate(reference.BLOCKS[network], start=1):
            expected += [f"conv{block}_{i}" for i in range(1, count + 1)] + [f"{pool}{block}"]
        assert isinstance(model, dict) and list(model) == expected
        assert model["input"].dtype == tf.float32 and model["input"].shape == (1, 9, 14, 3)
        sess.run(model["input"].assign(picture(0, (9, 14))))
        layers = reference.network(network, random_weights(network).parameters, picture(0, (9, 14)), pooling)
        for name in ("conv1_1", f"{pool}3", "relu4_2", "block5_conv1/pre"):
            canonical = {"relu4_2": "conv4_2", "block5_conv1/pre": "conv5_1/pre"}.get(name, name)
            np.testing.assert_allclose(sess.run(model[name])[0], layers[canonical], rtol=1e-4, atol=1e-2)


def test_the_course_size_is_the_default():
    with tf.Graph().as_default():
        model = load_vgg_model(random_weights())
        assert model["input"].shape == (1, 300, 400, 3)
        assert model["conv5_1"].shape == (1, 19, 25, 2)


def test_a_model_of_a_file(tmp_path, capsys):
    write_mat(VGGWeights.random(0, widths=(2, 3, 4, 3, 2)), tmp_path / "weights.mat")
    with tf.Graph().as_default():
        model = load_vgg_model(tmp_path / "weights.mat", height=8, width=8)
    assert model["conv3_1"].shape == (1, 2, 2, 4)
    assert "not trained" in capsys.readouterr().out


def test_weights_that_stop_early_make_a_model():
    parameters = dict(list(random_weights().parameters.items())[:8])
    with tf.Graph().as_default():
        model = load_vgg_model(VGGWeights(parameters), height=8, width=8)
        assert list(model)[-1] == "avgpool3"
        with pytest.raises(LayerNotFoundError, match=r"'conv4_2'.*conv1_1 \.\. avgpool3.*not to these weights"):
            model["conv4_2"]


def test_eager_mode_is_refused():
    assert tf.executing_eagerly()
    with pytest.raises(RuntimeError, match=r"eager mode.*disable_eager_execution\(\)"):
        load_vgg_model(random_weights())


@pytest.mark.parametrize("size", [{"height": 0}, {"width": -3}])
def test_a_picture_has_at_least_a_pixel(size):
    with tf.Graph().as_default(), pytest.raises(ValueError, match="height and width must be at least 1.*found"):
        load_vgg_model(random_weights(), **size)


# --- compute_style_cost -----------------------------------------------------------------------------------------------


def test_style_cost_agrees_with_the_reference(course):
    sess, model = course
    style, generated = picture(1), picture(2)
    assign(sess, model, style)
    J_style = compute_style_cost(model, TWO_LAYERS)
    assert J_style.shape == ()
    assert sess.run(J_style) == 0
    assign(sess, model, generated)
    S, G = (reference.network("VGG-19", random_weights().parameters, image) for image in (style, generated))
    expected = sum(
        coefficient * reference.layer_style_cost(S[layer][None], G[layer][None])
        for layer, coefficient in [("conv1_1", 0.3), ("conv3_1", 0.7)]
    )
    assert sess.run(J_style) == pytest.approx(expected, rel=1e-4)


def test_the_course_style_layers_are_the_default(course):
    sess, model = course
    assert STYLE_LAYERS == [(f"conv{block}_1", 0.2) for block in range(1, 6)]
    assign(sess, model, picture(1))
    default, named = compute_style_cost(model), compute_style_cost(model, [(f"conv{b}_1", 0.2) for b in range(1, 6)])
    assign(sess, model, picture(2))
    default, named = sess.run([default, named])
    assert default == named > 0


def test_style_activations_are_read_in_one_run(course, monkeypatch):
    sess, model = course
    assign(sess, model, picture(1))
    runs, run = [], sess.run
    monkeypatch.setattr(sess, "run", lambda *args, **kwargs: runs.append(args) or run(*args, **kwargs))
    compute_style_cost(model)
    assert len(runs) == 1


def test_style_cost_in_a_session_that_is_only_made_the_default():
    # The graph is not the default one here; the session is.
    with tf.Graph().as_default():
        model = load_vgg_model(random_weights(), height=8, width=9)
        sess = tf1.Session()
    with contextlib.closing(sess), sess.as_default():
        assign(sess, model, picture(1, (8, 9)))
        J_style = compute_style_cost(model, TWO_LAYERS)
        assert sess.run(J_style) == 0


def test_style_cost_without_a_session():
    with tf.Graph().as_default():
        model = load_vgg_model(random_weights(), height=8, width=8)
        with pytest.raises(RuntimeError, match=r"none is open.*InteractiveSession\(\)"):
            compute_style_cost(model)


def test_style_cost_of_a_model_from_before_a_reset(course):
    _, model = course
    with tf.Graph().as_default(), tf1.Session():
        with pytest.raises(ValueError, match="session and the model must be from the same graph; found two.*run again"):
            compute_style_cost(model)


@pytest.mark.parametrize(
    "layers, error, said",
    [
        ([], ValueError, r"at least one \(layer, coefficient\).*found none"),
        ([("conv1_1", -0.2)], ValueError, "the coefficient of conv1_1 must be .* at least 0; found -0.2"),
        ([("conv1_1", float("nan"))], ValueError, "the coefficient of conv1_1 must be a finite number"),
        ([("conv1_1", 0.2), ("conv33", 0.2)], LayerNotFoundError, "no layer 'conv33'.*Did you mean 'conv3_3'"),
    ],
)
def test_style_layers_that_cannot_be(course, layers, error, said):
    with pytest.raises(error, match=said):
        compute_style_cost(course[1], layers)


# --- model_nn ---------------------------------------------------------------------------------------------------------

C, S, START = picture(0), picture(1), picture(2)
LEARNING_RATE = 2.0


def pixel_task(learning_rate=LEARNING_RATE, content=compute_content_cost):
    """Make a task on the pixels themselves, whose gradient is known: what `model_nn` takes besides a session."""
    variable = tf1.Variable(np.zeros_like(C), name="input", use_resource=True)
    J_content, J_style = content(C, variable), compute_layer_style_cost(S, variable)
    J = total_cost(J_content, J_style, alpha=5, beta=1e-3)
    train_step = tf1.train.AdamOptimizer(learning_rate).minimize(J)
    return {"model": {"input": variable}, "train_step": train_step, "J": J, "J_content": J_content, "J_style": J_style}


def pixel_costs(x):
    J_content, J_style = reference.content_cost(C, x), reference.layer_style_cost(S, x)
    return 5 * J_content + 1e-3 * J_style, J_content, J_style


def pixel_gradient(x):
    return 5 * (x - C) / (2 * x.size) + 1e-3 * reference.style_gradient(S, x)


def quiet(step):
    pass


def run(num_iterations, callback=quiet, start=START, **options):
    with tf.Graph().as_default(), tf1.Session() as sess:
        return model_nn(sess, start, num_iterations, callback=callback, **pixel_task(**options))


def test_a_run_is_adam_and_each_step_has_the_costs_of_its_own_picture():
    steps = []
    result = run(6, steps.append)
    expected = reference.adam(START, pixel_gradient, 6, LEARNING_RATE)
    assert [step.iteration for step in steps] == [0, 1, 2, 3, 4, 5]
    for step, image in zip(steps, expected):
        assert isinstance(step, Step)
        assert step.image.shape == START.shape and step.image.dtype == np.float32
        np.testing.assert_allclose(step.image, image, rtol=1e-4, atol=1e-2)
        assert (step.J, step.J_content, step.J_style) == pytest.approx(pixel_costs(step.image), rel=1e-4)
    # Costs of neighbouring iterations are further apart than the tolerance above.
    costs = [step.J for step in steps]
    assert all(later < 0.995 * earlier for earlier, later in zip(costs, costs[1:]))
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, steps[-1].image)
    seconds = [step.seconds for step in steps]
    assert seconds == sorted(seconds) and 0 <= seconds[0] and all(type(step.J) is float for step in steps)


def test_a_run_on_a_network_is_the_bare_loop(course):
    sess, model = course
    assign(sess, model, C)
    J_content = compute_content_cost(sess.run(model["conv4_2"]), model["conv4_2"])
    assign(sess, model, S)
    J_style = compute_style_cost(model)
    J = total_cost(J_content, J_style)
    train_step = tf1.train.AdamOptimizer(2.0).minimize(J)

    sess.run(tf1.global_variables_initializer())
    assign(sess, model, START)
    expected = []
    for _ in range(4):
        sess.run(train_step)
        expected.append((sess.run([J, J_content, J_style]), sess.run(model["input"])))

    steps = []
    given = START.copy()
    task = {"model": model, "train_step": train_step, "J": J, "J_content": J_content, "J_style": J_style}
    result = model_nn(sess, given, 4, callback=steps.append, **task)
    for step, (costs, image) in zip(steps, expected, strict=True):
        np.testing.assert_allclose([step.J, step.J_content, step.J_style], costs, rtol=1e-4)
        np.testing.assert_allclose(step.image, image, atol=0.05)
    np.testing.assert_array_equal(result, steps[-1].image)
    np.testing.assert_array_equal(sess.run(model["input"]), result)
    np.testing.assert_array_equal(given, START)

    # A second run starts afresh, Adam's memory included.
    again = []
    model_nn(sess, START, 4, callback=again.append, **task)
    np.testing.assert_allclose([s.J for s in again], [s.J for s in steps], rtol=1e-4)


def test_the_course_runs_200_iterations():
    assert inspect.signature(model_nn).parameters["num_iterations"].default == 200


def test_no_iterations_give_the_picture_back():
    steps = []
    result = run(0, steps.append)
    np.testing.assert_array_equal(result, START)
    assert not np.shares_memory(result, START) and steps == []


def test_the_picture_may_be_of_another_type():
    np.testing.assert_array_equal(run(0, start=START.astype(np.float64)), START)


@pytest.mark.parametrize(
    "image, said",
    [
        (START[0], r"shape \(1, 13, 18, 3\); found \(13, 18, 3\).*Resize"),
        (START[:, :-1], r"shape \(1, 13, 18, 3\); found \(1, 12, 18, 3\)"),
        (np.where(START == START.max(), np.nan, START), "finite numbers; found NaN"),
        (np.where(START == START.max(), np.inf, START), "finite numbers; found NaN or infinity"),
    ],
)
def test_pictures_that_cannot_be_started_from(image, said):
    with pytest.raises(ValueError, match=said):
        run(1, start=image)


def test_a_negative_number_of_iterations():
    with pytest.raises(ValueError, match="num_iterations must be at least 0; found -1"):
        run(-1)


def test_costs_are_printed_as_the_course_does(capsys):
    steps = []
    run(41, steps.append)
    capsys.readouterr()
    run(41, None)
    expected = ""
    for i in (0, 20, 40):
        expected += f"Iteration {i} :\ntotal cost = {steps[i].J:.6g}\n"
        expected += f"content cost = {steps[i].J_content:.6g}\nstyle cost = {steps[i].J_style:.6g}\n"
    printed = capsys.readouterr().out.split()
    assert len(printed) == len(expected.split()) == 3 * 15
    for found, wanted in zip(printed, expected.split()):
        assert found == wanted or float(found) == pytest.approx(float(wanted), rel=1e-3)


def test_print_costs_chooses_iterations_and_digits(capsys):
    for iteration in range(4):
        print_costs(every=3, digits=3)(Step(iteration, 1234567.0, 0.0123456, 98.765, START, 1.0))
    block = "total cost = 1.23e+06\ncontent cost = 0.0123\nstyle cost = 98.8\n"
    assert capsys.readouterr().out == f"Iteration 0 :\n{block}Iteration 3 :\n{block}"


# --- a run that does not end as planned -------------------------------------------------------------------------------


def test_a_cost_that_turns_nan_stops_the_run():
    def logarithm(_, x):
        # Falls as x does, until x is negative and it is no number.
        return tf.reduce_sum(tf.math.log(x)) * 1e3

    steps = []
    start = np.full_like(START, 3.5)
    with tf.Graph().as_default(), tf1.Session() as sess:
        task = pixel_task(learning_rate=1.0, content=logarithm)
        with pytest.raises(
            DivergenceError, match=r"after iteration \d+ they are \[nan.*Lower the learning rate"
        ) as caught:
            model_nn(sess, start, 50, callback=steps.append, **task)
        kept = sess.run(task["model"]["input"])
    error = caught.value
    assert isinstance(error, ArithmeticError)
    assert len(steps) >= 2 and error.iteration == len(steps) == steps[-1].iteration + 1
    assert f"after iteration {error.iteration} " in str(error)
    assert np.isfinite(steps[-1].J) and (error.image > 0).all()
    np.testing.assert_array_equal(error.image, steps[-1].image)
    np.testing.assert_array_equal(kept, error.image)


def test_a_cost_that_turns_infinite_stops_the_run():
    steps = []
    with pytest.raises(DivergenceError, match="after iteration 0 .*inf") as caught:
        run(5, steps.append, learning_rate=1e30)
    assert caught.value.iteration == 0 and steps == []
    np.testing.assert_array_equal(caught.value.image, START)


def test_the_last_iteration_is_looked_at_too():
    with pytest.raises(DivergenceError) as caught:
        run(1, learning_rate=1e30)
    assert caught.value.iteration == 0


def test_a_picture_to_start_from_without_a_cost():
    with pytest.raises(DivergenceError, match="of the picture to start from they are .*nan") as caught:
        run(3, content=lambda _, x: tf.reduce_sum(tf.math.log(x)))
    assert caught.value.iteration == -1
    np.testing.assert_array_equal(caught.value.image, START)


def test_an_interrupt_between_iterations_keeps_the_picture(capsys):
    steps = []

    def callback(step):
        steps.append(step)
        if step.iteration == 2:
            raise KeyboardInterrupt

    result = run(10, callback)
    undisturbed = []
    run(10, undisturbed.append)
    np.testing.assert_array_equal(result, steps[-1].image)
    np.testing.assert_allclose(result, undisturbed[2].image, atol=1e-2)
    assert len(steps) == 3
    assert "Interrupted after 3 of 10 iterations; the picture so far is kept" in capsys.readouterr().err


@pytest.mark.parametrize("at", [1, 3])
def test_an_interrupt_within_an_iteration_keeps_the_picture(at, monkeypatch, capsys):
    undisturbed = []
    run(5, undisturbed.append)
    with tf.Graph().as_default(), tf1.Session() as sess:
        task, taken, sess_run = pixel_task(), [], sess.run

        def interrupted(fetches, *args, **kwargs):
            if any(fetch is task["train_step"] for fetch in (fetches if isinstance(fetches, list) else [fetches])):
                taken.append(fetches)
                if len(taken) == at:
                    raise KeyboardInterrupt
            return sess_run(fetches, *args, **kwargs)

        monkeypatch.setattr(sess, "run", interrupted)
        result = model_nn(sess, START, 5, callback=quiet, **task)
    expected = START if at == 1 else undisturbed[at - 2].image
    np.testing.assert_allclose(result, expected, atol=1e-2)
    assert f"Interrupted after {at - 1} of 5 iterations" in capsys.readouterr().err


def test_a_session_from_before_a_reset():
    with tf.Graph().as_default(), tf1.Session() as sess:
        pass
    with tf.Graph().as_default(), pytest.raises(ValueError, match="session and the model must be from the same graph"):
        model_nn(sess, START, 1, **pixel_task())


@pytest.mark.parametrize("part", ["train_step", "J", "J_content", "J_style"])
def test_costs_from_before_a_reset(part):
    with tf.Graph().as_default():
        old = pixel_task()
    with tf.Graph().as_default(), tf1.Session() as sess:
        task = {**pixel_task(), part: old[part]}
        with pytest.raises(ValueError, match=f"session and {part} must be from the same graph; found two.*run again"):
            model_nn(sess, START, 1, **task)


# --- paint ------------------------------------------------------------------------------------------------------------


def photograph(seed, size):
    return np.random.RandomState(seed).randint(0, 256, (*size, 3)).astype(np.uint8)


def test_paint_takes_two_pictures_of_different_sizes():
    content, style = photograph(0, (20, 26)), photograph(1, (31, 18))
    given = content.copy(), style.copy()
    steps = []
    options = {"weights": random_weights(), "num_iterations": 8, "callback": steps.append}
    painted = paint(content, style, seed=4, **options)
    assert painted.dtype == np.uint8 and painted.shape == content.shape
    assert steps[-1].J < 0.9 * steps[0].J and len(steps) == 8
    np.testing.assert_array_equal(content, given[0])
    np.testing.assert_array_equal(style, given[1])

    same, other = paint(content, style, seed=4, **options), paint(content, style, seed=5, **options)
    assert np.abs(same.astype(int) - painted).max() <= 1
    assert np.abs(other.astype(int) - painted).max() > 1
    # Without a seed the noise comes from NumPy's global state.
    state = np.random.get_state()
    np.random.seed(4)
    drawn = paint(content, style, **options)
    np.random.set_state(state)
    assert np.abs(drawn.astype(int) - painted).max() <= 1


def test_paint_is_the_course_step_by_step():
    content, style = photograph(0, (20, 26)), photograph(1, (20, 26))
    steps = []
    paint(content, style, weights=random_weights(), num_iterations=1, alpha=3, beta=7, seed=4, callback=steps.append)
    G, a_C, a_S = (
        reference.network("VGG-19", random_weights().parameters, image)
        for image in (steps[0].image, *map(reshape_and_normalize_image, (content, style)))
    )
    J_content = reference.content_cost(a_C["conv4_2"][None], G["conv4_2"][None])
    layers = [f"conv{block}_1" for block in range(1, 6)]
    J_style = sum(0.2 * reference.layer_style_cost(a_S[layer][None], G[layer][None]) for layer in layers)
    assert steps[0].J_content == pytest.approx(J_content, rel=1e-3)
    assert steps[0].J_style == pytest.approx(J_style, rel=1e-3)
    assert steps[0].J == pytest.approx(3 * J_content + 7 * J_style, rel=1e-3)
    # Adam's first step moves every pixel by the learning rate, 2 grey levels.
    noise = generate_noise_image(reshape_and_normalize_image(content), seed=4)
    assert np.median(np.abs(steps[0].image - noise)) == pytest.approx(2, rel=1e-3)


def test_paint_refuses_negative_weights_of_costs():
    with pytest.raises(ValueError, match="beta must be"):
        paint(photograph(0, (9, 9)), photograph(1, (9, 9)), weights=random_weights(), num_iterations=1, beta=-1)


# --- the course's own pictures and kernels ----------------------------------------------------------------------------


def test_style_cost_of_the_course_noise(test_data):
    with np.load(test_data / "vgg19" / "vgg19-blocks1to3.npz") as data:
        names = sorted({name.rpartition("_")[0] for name in data})
        weights = VGGWeights({name: (data[f"{name}_W"], data[f"{name}_b"]) for name in names})
    content, style = (
        reshape_and_normalize_image(read_image(test_data / "pictures" / f"{name}_libjpeg9.png"))
        for name in ("louvre_small", "monet")
    )
    state = np.random.get_state()
    np.random.seed(3)
    np.random.randn(), np.random.randn()
    noises = generate_noise_image(content), generate_noise_image(content)
    np.random.set_state(state)
    with tf.Graph().as_default(), tf1.Session() as sess:
        model = load_vgg_model(weights)
        assign(sess, model, style)
        J_style = compute_style_cost(model, [("conv1_1", 0.2), ("conv2_1", 0.2), ("conv3_1", 0.2)])
        costs = []
        for noise in noises:
            assign(sess, model, noise)
            costs.append(sess.run(J_style))
    # Known from runs of the course's notebook in which the noise cell ran twice.
    assert costs[1] / costs[0] == pytest.approx(0.99942, abs=5e-6)
