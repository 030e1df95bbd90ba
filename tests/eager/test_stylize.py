"""The eager edition: features, presets, optimisers, the run, and what can go wrong in it."""

import dataclasses
import re

import numpy as np
import pytest
import reference
import tensorflow as tf
from skimage.exposure import match_histograms

import nst_course.eager.evaluation as evaluation
import nst_course.eager.graphs as graphs
import nst_course.eager.memory as memory
import nst_course.eager.precision as precision
import nst_course.eager.stylize as eager
from nst_course import (
    COURSE,
    FAST,
    GATYS,
    LBFGS,
    LBFGS_VGG19,
    STYLE_LAYERS,
    TF_TUTORIAL,
    Adam,
    DivergenceError,
    LayerNotFoundError,
    Objective,
    PictureTooLargeError,
    Preset,
    Style,
    VGGWeights,
    compute_gram_cost,
    denormalize_image,
    estimate_memory,
    features,
    normalized_gram_matrix,
    paint,
    read_image,
    reshape_and_normalize_image,
    stylize,
    total_variation_cost,
)
from nst_course.eager.colors import recolored
from nst_course.eager.presets import PRESETS
from nst_course.vgg import layer_size
from nst_course.weights.network import IMAGENET_MEAN

SIZE = (16, 32)


def photograph(seed, size=SIZE):
    return np.random.RandomState(seed).randint(0, 256, (*size, 3)).astype(np.uint8)


def tiny_weights(network="VGG-19"):
    rng = np.random.RandomState(7)
    parameters = VGGWeights.random(3, network=network, widths=(2, 3, 4, 3, 2)).parameters
    return VGGWeights({name: (W, rng.normal(0, 5, b.shape)) for name, (W, b) in parameters.items()})


WEIGHTS = tiny_weights()
CONTENT, STYLE = photograph(0), photograph(1, (40, 30))
#: Two layers of the front: runs of a few milliseconds a step.
SHALLOW = Objective(
    content_layers=(("conv2_1", 1.0),), style_layers=(("conv1_1", 0.4), ("conv2_2/pre", 0.6)), alpha=10, beta=1
)
QUICK = Preset(SHALLOW, LBFGS(), iterations=6, start="content")


def run(preset=QUICK, content=CONTENT, style=STYLE, weights=WEIGHTS, **options):
    return stylize(content, style, preset, weights=weights, **options)


def at_unit(image, objective):
    """Return a network array in the unit of total variation, and as the network takes it."""
    greys = np.asarray(image, np.float64) + IMAGENET_MEAN
    if objective.preprocessing == "unit":
        return greys / 255, (greys / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    return greys / (1 if objective.preprocessing == "course" else 255), greys - IMAGENET_MEAN


def reference_costs(objective, content, styles, image, weights=WEIGHTS):
    """Return J, J_content, J_style, J_variation; `styles` are (share, network array, mask)."""

    def activations(picture):
        pools = objective.pooling, objective.pool_padding
        return reference.network(weights.network, weights.parameters, at_unit(picture, objective)[1], *pools)

    a_C, a_G = activations(content), activations(image)
    J_content = J_style = 0
    for layer, coefficient in objective.content_layers:
        J = reference.content_cost(a_C[layer][None], a_G[layer][None])
        J_content += coefficient * J * (1 if objective.normalization == "course" else 4)
    for share, picture, mask in styles:
        a_S = activations(picture)
        for layer, coefficient in objective.style_layers:
            small = None if mask is None else reference.block_mean(mask, a_G[layer].shape[:2])
            J = reference.normalized_style_cost(objective.normalization, a_S[layer][None], a_G[layer][None], small)
            J_style += share * coefficient * J
    J_variation = reference.total_variation(at_unit(image, objective)[0])
    J = objective.alpha * J_content + objective.beta * J_style + objective.variation * J_variation
    return J, J_content, J_style, J_variation


# --- features ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", ["average", "max"])
def test_features_agree_with_the_reference(pooling):
    extract = features(WEIGHTS, ["relu3_1", "conv2_2/pre", "conv1_1"], pooling=pooling)
    pictures = [reshape_and_normalize_image(photograph(seed)) for seed in (0, 1)]
    found = extract(np.concatenate(pictures))
    assert list(found) == ["relu3_1", "conv2_2/pre", "conv1_1"]
    for i, picture in enumerate(pictures):
        expected = reference.network("VGG-19", WEIGHTS.parameters, picture, pooling)
        for name, layer in (("relu3_1", "conv3_1"), ("conv2_2/pre", "conv2_2/pre"), ("conv1_1", "conv1_1")):
            np.testing.assert_allclose(found[name][i], expected[layer], rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("layers, convolutions", [(["conv3_1", "conv1_1"], 5), (["avgpool2"], 4), (["relu2_1/pre"], 3)])
def test_features_compute_no_layer_behind_the_last_one(layers, convolutions, monkeypatch):
    calls, conv2d = [], tf.nn.conv2d
    monkeypatch.setattr(tf.nn, "conv2d", lambda *args, **kwargs: calls.append(args) or conv2d(*args, **kwargs))
    features(WEIGHTS, layers)(np.zeros((1, 8, 8, 3), np.float32))
    assert len(calls) == convolutions


def test_features_have_a_gradient_in_a_users_own_graph():
    extract, x = features(WEIGHTS, ["conv2_1"]), tf.Variable(reshape_and_normalize_image(CONTENT))

    def gradient():
        with tf.GradientTape() as tape:
            J = tf.reduce_sum(extract(x)["conv2_1"])
        return tape.gradient(J, x)

    found = tf.function(gradient)()
    assert np.abs(found).max() > 0
    np.testing.assert_allclose(found, gradient(), rtol=1e-5)


def test_features_of_many_sizes_print_nothing(capfd):
    extract = features(WEIGHTS, "conv1_1")
    for size in range(8, 20):
        extract(np.zeros((1, size, size, 3), np.float32))
        features(WEIGHTS, "conv1_1")(np.zeros((1, 8, 8, 3), np.float32))
    assert capfd.readouterr() == ("", "")


def test_features_in_bfloat16_are_about_the_same():
    x = reshape_and_normalize_image(CONTENT)
    short, full = (features(WEIGHTS, ["conv4_1"], dtype=dtype)(x)["conv4_1"] for dtype in (tf.bfloat16, tf.float32))
    assert short.dtype == tf.bfloat16
    error = np.abs(tf.cast(short, tf.float32) - full).max() / np.abs(full).max()
    assert 0 < error < 0.05


def test_features_need_a_layer_that_exists():
    with pytest.raises(ValueError, match="at least one layer"):
        features(WEIGHTS, [])
    for layers in (["conv4_9", "conv5_1"], ["conv9_1"], ["foo", "conv1_1"]):
        with pytest.raises(LayerNotFoundError, match=f"no layer '{layers[0]}'"):
            features(WEIGHTS, layers)(reshape_and_normalize_image(CONTENT))


# --- costs ------------------------------------------------------------------------------------------------------------


def draw(seed, *shape):
    return np.random.RandomState(seed).normal(1, 4, shape).astype(np.float32)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("style_size", [(6, 5), (9, 4)])
@pytest.mark.parametrize("normalization", ["course", "location", "element"])
def test_normalisations_agree_with_the_reference(normalization, style_size, masked):
    a_S, a_G = draw(0, 1, *style_size, 4), draw(1, 1, 6, 5, 4)
    mask = np.random.RandomState(2).uniform(0, 1, (6, 5)) if masked else None
    GG = normalized_gram_matrix(tf.constant(a_G), normalization, None if mask is None else mask[None, :, :, None])
    found = compute_gram_cost(normalized_gram_matrix(tf.constant(a_S), normalization), GG, normalization)
    assert float(found) == pytest.approx(reference.normalized_style_cost(normalization, a_S, a_G, mask), rel=1e-5)


def test_the_course_normalisation_is_the_course_cost():
    a_S, a_G = draw(0, 1, 6, 5, 4), draw(1, 1, 6, 5, 4)
    GS, GG = (normalized_gram_matrix(tf.constant(a), "course") for a in (a_S, a_G))
    assert float(compute_gram_cost(GS, GG)) == pytest.approx(reference.layer_style_cost(a_S, a_G), rel=1e-5)


def test_gram_matrices_of_several_pictures_in_float32():
    a = tf.constant(draw(0, 3, 40, 40, 2), tf.bfloat16)
    G = normalized_gram_matrix(a, "location")
    assert G.shape == (3, 2, 2) and G.dtype == tf.float32
    for i in range(3):
        expected = reference.gram(tf.cast(a, tf.float64).numpy()[i : i + 1]) / 1600
        np.testing.assert_allclose(G[i], expected, rtol=1e-5)


def test_total_variation_agrees_with_the_reference():
    image = draw(0, 1, 5, 7, 3)
    assert float(total_variation_cost(image)) == pytest.approx(reference.total_variation(image), rel=1e-5)
    both = np.concatenate([image, draw(1, 1, 5, 7, 3)])
    assert float(total_variation_cost(both)) == pytest.approx(
        float(tf.reduce_sum(tf.image.total_variation(tf.constant(both))))
    )
    assert float(total_variation_cost(np.full((1, 4, 4, 3), 7.0))) == 0
    with pytest.raises(ValueError, match=r"shape \(m, n_H, n_W, 3\); found shape \(5, 7, 3\).*\[None"):
        total_variation_cost(image[0])


@pytest.mark.parametrize("function", [normalized_gram_matrix, lambda a, n: compute_gram_cost(a, a, n)])
def test_a_normalisation_that_is_not_known(function):
    with pytest.raises(ValueError, match="normalization must be one of course, location, element; found 'sum'"):
        function(tf.zeros((1, 2, 2, 2)), "sum")


@pytest.mark.parametrize("name", PRESETS)
def test_the_costs_of_every_preset_agree_with_the_reference(name):
    preset = PRESETS[name].but(iterations=2, sketch=(), precision="float32")
    steps = []
    run(preset, style=photograph(1), seed=0, callback=steps.append)
    content, style = (reshape_and_normalize_image(p) for p in (CONTENT, photograph(1)))
    for step in steps:
        expected = reference_costs(preset.objective, content, [(1, style, None)], step.image)
        assert (step.J, step.J_content, step.J_style) == pytest.approx(expected[:3], rel=1e-3)
        assert step.J_variation == pytest.approx(expected[3] if preset.objective.variation else 0, rel=1e-3)


@pytest.mark.parametrize("preprocessing", ["course", "keras", "unit"])
def test_gradients_agree_with_finite_differences_of_the_reference(preprocessing):
    objective = dataclasses.replace(SHALLOW, preprocessing=preprocessing, variation=0.3, normalization="element")
    mask = np.random.RandomState(5).uniform(0, 1, SIZE).astype(np.float32)
    pictures = [photograph(seed) for seed in (1, 2)]
    styles = [Style(pictures[0], 1), Style(pictures[1], 3, mask=mask)]
    task = eager._Run(WEIGHTS, None, Preset(objective), "float64", CONTENT, styles, None, None)
    arrays = [reshape_and_normalize_image(p).astype(np.float64) for p in (CONTENT, *pictures, photograph(3))]
    evaluator, targets = task._prepare(SIZE)
    grey = 1 if preprocessing == "course" else 255
    x = arrays[3] if grey == 1 else (arrays[3] + IMAGENET_MEAN) / 255
    costs, gradient = evaluator.costs_and_gradient(x, *targets)

    def J(image):
        return reference_costs(objective, arrays[0], [(0.25, arrays[1], None), (0.75, arrays[2], mask)], image)

    np.testing.assert_allclose(costs, J(arrays[3]), rtol=1e-5)
    rng = np.random.RandomState(4)
    for _ in range(4):
        index = 0, rng.randint(SIZE[0]), rng.randint(SIZE[1]), rng.randint(3)
        h = np.zeros_like(arrays[3])
        h[index] = 1e-4
        difference = (J(arrays[3] + h)[0] - J(arrays[3] - h)[0]) / 2e-4 * grey
        assert gradient[index] == pytest.approx(difference, rel=1e-3)


def test_the_costs_of_the_published_kernels(test_data):
    with np.load(test_data / "vgg19" / "vgg19-blocks1to3.npz") as data:
        names = [f"conv{n}" for n in ("1_1", "1_2", "2_1", "2_2", "3_1")]
        weights = VGGWeights({name: (data[f"{name}_W"], data[f"{name}_b"]) for name in names})
    content, style = (
        read_image(test_data / "pictures" / f"{name}_libjpeg9.png")[140:156, 180:204]
        for name in ("louvre_small", "monet")
    )
    steps = []
    stylize(content, style, LBFGS_VGG19.but(iterations=1), weights=weights, callback=steps.append)
    expected = reference_costs(
        LBFGS_VGG19.objective,
        *(reshape_and_normalize_image(content), [(1, reshape_and_normalize_image(style), None)]),
        *(steps[0].image, weights),
    )
    assert steps[0][1:4] == pytest.approx(expected[:3], rel=1e-4)


# --- optimisers -------------------------------------------------------------------------------------------------------

CURVATURE = np.geomspace(1, 300, 12, dtype=np.float32).reshape(3, 4)


def quadratic(x):
    return np.array([0.5 * (CURVATURE * (x - 1) ** 2).sum()]), CURVATURE * (x - 1)


def iterates(optimizer, iterations, bounds=None):
    found = []
    optimizer.minimize(
        quadratic, np.zeros((3, 4), np.float32), iterations, bounds, lambda x, costs: found.append((x, costs))
    )
    return found


def test_adam_agrees_with_the_reference():
    expected = reference.adam(np.zeros((3, 4)), lambda x: CURVATURE * (x - 1), 20, 0.05)
    found = iterates(Adam(0.05), 20)
    np.testing.assert_allclose([x for x, _ in found], expected, rtol=1e-4, atol=1e-5)


def test_epsilon_keeps_small_gradients_small():
    (x, _), (y, _) = iterates(Adam(0.05), 1) + iterates(Adam(0.05, epsilon=1e3), 1)
    np.testing.assert_allclose(x, 0.05, rtol=1e-4)
    assert 0 < y.min() < 0.1 * y.max() < 0.05


def test_lbfgs_finds_the_minimum():
    found = iterates(LBFGS(), 80)
    assert len(found) <= 80
    np.testing.assert_allclose(found[-1][0], 1, atol=1e-3)
    costs = [costs[0] for _, costs in found]
    assert costs == sorted(costs, reverse=True)
    # Each iterate is reported with its own costs.
    assert costs == [quadratic(x)[0][0] for x, _ in found]


@pytest.mark.parametrize("optimizer", [Adam(0.3), LBFGS()])
def test_bounds_hold(optimizer):
    bounds = np.float32(-0.5), np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    found = iterates(optimizer, 30, bounds)
    assert all((x <= bounds[1]).all() and (x >= bounds[0]).all() for x, _ in found)
    np.testing.assert_allclose(found[-1][0], np.broadcast_to(bounds[1], (3, 4)), atol=1e-6)


@pytest.mark.parametrize("normalization", ["course", "location", "element"])
def test_accepted_steps_of_lbfgs_never_go_up(normalization):
    painting = run(QUICK.but(iterations=25, normalization=normalization))
    costs = [step.J for step in painting.steps]
    assert len(costs) > 5 and costs == sorted(costs, reverse=True) and costs[-1] < 0.9 * costs[0]
    evaluations = [step.evaluation for step in painting.steps]
    assert evaluations == sorted(set(evaluations)) and evaluations[0] >= 2
    assert [step.iteration for step in painting.steps] == list(range(len(costs)))
    seconds = [step.seconds for step in painting.steps]
    assert seconds == sorted(seconds) and seconds[0] > 0


def test_adam_ends_lower_than_it_started():
    painting = run(COURSE.but(iterations=30, start="content"))
    assert painting.steps[-1].J < 0.5 * painting.steps[0].J
    assert [step.evaluation for step in painting.steps] == list(range(2, 32))


def test_no_iterations_give_the_start_back():
    for preprocessing in ("course", "keras", "unit"):
        painting = run(QUICK.but(iterations=0, preprocessing=preprocessing))
        np.testing.assert_array_equal(painting.image, CONTENT)
        assert painting.steps == [] and not np.shares_memory(painting.image, CONTENT)


# --- the course -------------------------------------------------------------------------------------------------------


def test_the_course_preset_is_the_session_edition():
    assert list(COURSE.objective.style_layers) == STYLE_LAYERS
    steps = []
    painted = paint(CONTENT, STYLE, weights=WEIGHTS, num_iterations=8, seed=4, callback=steps.append)
    painting = run(COURSE.but(iterations=8), seed=4)
    assert np.abs(painting.image.astype(int) - painted).max() <= 1
    assert [s.J for s in painting.steps] == pytest.approx([s.J for s in steps], rel=1e-3)


def test_presets_are_what_their_sources_say():
    assert (COURSE.optimizer, COURSE.iterations, COURSE.start) == (Adam(2.0), (200,), "blend")
    assert (TF_TUTORIAL.optimizer, TF_TUTORIAL.clip) == (Adam(0.02, 0.99, epsilon=1e-1), True)
    assert TF_TUTORIAL.objective.pooling == LBFGS_VGG19.objective.pooling == GATYS.objective.pooling == "max"
    # Keras and PyTorch (ceil_mode=False) round down at odd sizes, Caffe and the course up.
    paddings = {name: preset.objective.pool_padding for name, preset in PRESETS.items()}
    assert {name for name, padding in paddings.items() if padding == "VALID"} == {"tf-tutorial", "lbfgs-vgg19"}
    assert FAST.objective == COURSE.objective


def test_a_preset_with_changes():
    changed = COURSE.but(iterations=[3, 4], alpha=5, clip=True)
    assert changed.iterations == (3, 4) and changed.clip and changed.objective == Objective(alpha=5)
    assert COURSE.iterations == (200,) and COURSE.objective.alpha == 10
    with pytest.raises(TypeError, match="fields .*iterations.*found learning_rate"):
        COURSE.but(learning_rate=3)


# --- starts -----------------------------------------------------------------------------------------------------------


def test_same_seed_same_picture():
    preset = QUICK.but(start="noise")
    one, same, other = (run(preset, seed=seed).image for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one.astype(int) - other).max() > 5
    np.testing.assert_array_equal(run(QUICK, seed=1).image, run(QUICK, seed=2).image)


def test_starts():
    def start(value):
        return run(QUICK.but(iterations=0, start=value), seed=3).image.astype(int)

    noise = start("noise") - np.rint(IMAGENET_MEAN).astype(int)
    assert np.abs(noise).max() <= 21 and noise.std() > 5
    np.testing.assert_array_equal(start("blend"), start(0.6))
    np.testing.assert_array_equal(start(0.0), CONTENT)
    assert np.abs(start(0.3) - CONTENT).max() < np.abs(start(0.9) - CONTENT).max()
    np.testing.assert_array_equal(start(photograph(8)), photograph(8))
    assert start(photograph(8, (8, 8))).shape == CONTENT.shape


def test_the_recolored_start_has_the_style_colours():
    rng = np.random.RandomState(0)
    a = rng.normal(0, 20, (1, 30, 40, 3)).astype(np.float32)
    colors = rng.normal(0, 10, (500, 3)) @ rng.normal(size=(3, 3)) + [40, -20, 10]
    found = recolored(a, colors)
    assert found.shape == a.shape and found.dtype == np.float32
    np.testing.assert_allclose(found.reshape(-1, 3).mean(axis=0), colors.mean(axis=0), atol=1e-3)
    expected = np.cov(colors, rowvar=False)
    np.testing.assert_allclose(np.cov(found.reshape(-1, 3), rowvar=False), expected, atol=1e-2 * np.abs(expected).max())
    # A picture of one colour stays one, and gives no NaN.
    assert np.ptp(recolored(np.full_like(a, 7), colors)) < np.ptp(colors.mean(axis=0)) + 1e-3


def test_a_run_goes_on_from_its_picture():
    first = run(QUICK.but(iterations=8))
    second = run(QUICK.but(iterations=4, start=first.image))
    fresh = run(QUICK.but(iterations=1))
    # Rounding to 256 greys costs a little; starting over would cost far more.
    assert second.steps[0].J < 1.02 * first.steps[-1].J < 0.9 * fresh.steps[0].J
    assert second.steps[-1].J < first.steps[-1].J


# --- styles -----------------------------------------------------------------------------------------------------------


def test_a_style_goes_where_its_mask_is():
    objective = dataclasses.replace(SHALLOW, style_layers=(("conv1_1", 1.0),), alpha=0)
    mask = np.zeros(SIZE, bool)
    mask[:, :16] = True
    preset = QUICK.but(objective=objective)
    image = run(preset, style=Style(STYLE, mask=mask)).image.astype(int)
    # A 3 x 3 convolution sees one pixel beyond the mask.
    np.testing.assert_array_equal(image[:, 17:], CONTENT[:, 17:])
    assert np.abs(image[:, :16] - CONTENT[:, :16]).max() > 5
    assert np.abs(run(preset).image.astype(int)[:, 17:] - CONTENT[:, 17:]).max() > 5


def test_a_mask_of_ones_is_no_mask():
    plain = run()
    for mask in (np.ones(SIZE, bool), np.full(SIZE, 255, np.uint8), np.ones((5, 9))):
        masked = run(style=Style(STYLE, mask=mask))
        assert [s.J for s in masked.steps] == pytest.approx([s.J for s in plain.steps], rel=1e-3)


def test_styles_are_blended_by_their_weights():
    a, b = photograph(1), photograph(2)
    only = run(style=a)
    for same in ([a], [a, a], Style(a, weight=9), [Style(a), Style(b, weight=0)]):
        assert [s.J for s in run(style=same).steps] == pytest.approx([s.J for s in only.steps], rel=1e-3)
    # The first cost is of one picture for all weights: that of a blend is the blend of the costs.
    (J_a, J_b, J_ab) = (
        run(QUICK.but(optimizer=Adam(1e-6), iterations=1), style=style).steps[0].J_style
        for style in (a, b, [Style(a, 1), Style(b, 3)])
    )
    assert J_a != pytest.approx(J_b, rel=0.01)
    assert J_ab == pytest.approx(0.25 * J_a + 0.75 * J_b, rel=1e-4)


def test_a_layer_may_serve_twice_and_under_any_of_its_names():
    plain = run(QUICK.but(style_layers=[("conv2_1", 1.0)]))
    twice = run(QUICK.but(style_layers=[("relu2_1", 0.25), ("block2_conv1", 0.5), ("relu2_1", 0.25)]))
    assert [s.J for s in twice.steps] == pytest.approx([s.J for s in plain.steps], rel=1e-3)


def test_the_scale_of_a_style_is_the_size_of_its_picture():
    a = photograph(1, (32, 64))
    J = {
        scale: run(QUICK.but(optimizer=Adam(1e-6), iterations=1), style=Style(a, scale=scale)).steps[0].J_style
        for scale in (1, 2)
    }
    content = reshape_and_normalize_image(CONTENT)
    expected = reference_costs(SHALLOW, content, [(1, reshape_and_normalize_image(a), None)], content)
    assert J[2] == pytest.approx(expected[2], rel=1e-3) and J[1] != pytest.approx(J[2], rel=0.01)


# --- colours and sizes ------------------------------------------------------------------------------------------------


def test_luminance_keeps_the_chroma_of_the_photograph():
    content = (100 + CONTENT // 8).astype(np.uint8)
    image = run(QUICK.but(color="luminance"), content=content).image.astype(float)
    plain = run(content=content).image.astype(float)
    inside = ((image > 0) & (image < 255)).all(axis=2)
    assert inside.mean() > 0.9
    for one, two in ((0, 1), (1, 2)):
        chroma = image[..., one] - image[..., two] - (content[..., one].astype(float) - content[..., two])
        assert np.abs(chroma[inside]).max() <= 1
        assert (
            np.abs(plain[..., one] - plain[..., two] - (content[..., one].astype(float) - content[..., two])).max() > 5
        )
    luma = [0.299, 0.587, 0.114]
    np.testing.assert_allclose((image @ luma)[inside], (plain @ luma)[inside], atol=1.01)


def test_histogram_gives_the_style_the_colours_of_the_photograph():
    content = (100 + CONTENT // 8).astype(np.uint8)
    expected_style = np.rint(match_histograms(STYLE, content, channel_axis=-1)).astype(np.uint8)
    expected = run(content=content, style=expected_style)
    found = run(QUICK.but(color="histogram"), content=content)
    np.testing.assert_array_equal(found.image, expected.image)
    assert np.abs(found.image.astype(int) - run(content=content).image).max() > 5


def test_coarse_to_fine():
    sizes, content = [], photograph(0, (17, 27))
    painting = run(
        QUICK.but(iterations=(2, 3, 4)), content=content, callback=lambda s: sizes.append(s.image.shape[1:3])
    )
    assert sizes == [(5, 7)] * 2 + [(9, 14)] * 3 + [(17, 27)] * 4
    assert painting.image.shape == content.shape
    assert [s.iteration for s in painting.steps] == list(range(9))
    # What the smaller sizes found is kept: it is a better start than the content picture.
    without = run(QUICK.but(iterations=4), content=content)
    assert not np.array_equal(painting.image, without.image)


@pytest.mark.parametrize("optimizer", [Adam(40.0), LBFGS()])
def test_clip_keeps_every_step_in_range(optimizer):
    def extremes(clip):
        greys = []
        preset = QUICK.but(optimizer=optimizer, iterations=5, clip=clip)
        run(preset, callback=lambda s: greys.append(s.image + IMAGENET_MEAN))
        return np.min(greys), np.max(greys)

    low, high = extremes(True)
    assert low > -1e-3 and high < 255 + 1e-3
    low, high = extremes(False)
    assert low < -1 and high > 256


# --- speed and memory -------------------------------------------------------------------------------------------------


def test_other_pictures_of_the_same_size_need_no_other_graph():
    graphs.graphs.cache_clear()
    for seed in range(3):
        run(content=photograph(seed), style=photograph(seed + 10, (9 + seed, 20)))
    step = evaluation.Evaluator(WEIGHTS, SHALLOW, "float32", SIZE)._graphs.step
    assert graphs.graphs.cache_info().currsize == 1 and step.experimental_get_tracing_count() == 1
    run(weights=tiny_weights())
    run(style=Style(STYLE, weight=3, scale=0.5))
    run(QUICK.but(optimizer=Adam(), iterations=2, start="noise", clip=True))
    run(QUICK.but(alpha=3, beta=0.5))
    assert step.experimental_get_tracing_count() == 1
    run(style=Style(STYLE, mask=np.eye(*SIZE)))
    assert step.experimental_get_tracing_count() == 2


def test_the_faster_precision_is_taken(monkeypatch):
    monkeypatch.setattr(evaluation, "has_bfloat16", lambda: True)
    painting = run(QUICK.but(precision="auto"))
    assert set(painting.timings) == {"float32", "bfloat16"} and min(painting.timings.values()) > 0
    for short, faster in ((0.5, "bfloat16"), (0.95, "float32"), (2.0, "float32")):
        times = {"float32": 1.0, "bfloat16": short}
        monkeypatch.setattr(evaluation, "_time_evaluations", lambda *_, times=times: times)
        monkeypatch.setattr(evaluation, "_timings", {})
        assert run(QUICK.but(precision="auto")).precision == faster


def test_without_arithmetic_for_bfloat16_nothing_is_timed(monkeypatch):
    monkeypatch.setattr(evaluation, "has_bfloat16", lambda: False)
    monkeypatch.setattr(evaluation, "_time_evaluations", None)
    painting = run(QUICK.but(precision="auto", iterations=1))
    assert (painting.precision, painting.timings) == ("float32", {})


@pytest.mark.parametrize(
    "cpuinfo, expected",
    [
        ("processor: 0\nflags\t\t: fpu avx2 avx512f\n", False),
        ("flags\t\t: fpu avx512f avx512_bf16\n", True),
        ("flags\t\t: fpu amx_bf16\n", True),
        ("Features\t: fp asimd bf16\n", True),
        ("Features\t: fp asimd\n", False),
        ("processor: 0\n", True),  # nothing is said
    ],
)
def test_what_a_processor_says_of_bfloat16(cpuinfo, expected, monkeypatch):
    monkeypatch.setattr(precision.sys, "platform", "linux")
    monkeypatch.setattr(precision.tf.config, "list_logical_devices", lambda kind: [])
    monkeypatch.setattr(precision.pathlib.Path, "read_text", lambda path: cpuinfo)
    assert precision.has_bfloat16() == expected
    monkeypatch.setattr(precision.tf.config, "list_logical_devices", lambda kind: ["a GPU"])
    assert precision.has_bfloat16()
    monkeypatch.setattr(precision.tf.config, "list_logical_devices", lambda kind: [])
    monkeypatch.setattr(precision.sys, "platform", "darwin")
    assert precision.has_bfloat16()


def test_precisions_are_timed_once_for_networks_of_one_shape(monkeypatch):
    calls = []
    monkeypatch.setattr(evaluation, "has_bfloat16", lambda: True)
    monkeypatch.setattr(evaluation, "_time_evaluations", lambda *_: calls.append(1) or {"float32": 1, "bfloat16": 2})
    monkeypatch.setattr(evaluation, "_timings", {})
    for weights, beta in ((WEIGHTS, 1), (tiny_weights(), 1), (WEIGHTS, 2)):
        run(QUICK.but(precision="auto", iterations=1, beta=beta), weights=weights)
    assert len(calls) == 1
    run(QUICK.but(precision="auto", iterations=1, style_layers=[("conv1_2", 1)]))
    assert len(calls) == 2


def test_bfloat16_paints_about_the_same_picture():
    full, short = run(), run(QUICK.but(precision="bfloat16"))
    assert (full.precision, short.precision, short.timings) == ("float32", "bfloat16", {})
    difference = np.abs(full.image.astype(int) - short.image)
    assert difference.max() > 0 and np.median(difference) < 0.5 * np.median(np.abs(full.image.astype(int) - CONTENT))


EVERYTHING = Objective(
    content_layers=(("conv4_2", 1.0), ("maxpool1", 0.1)),
    style_layers=(("conv1_1", 0.2), ("conv2_2/pre", 0.5), ("conv3_4", 0.3), ("maxpool3", 0.2), ("conv5_1", 0.4)),
    alpha=2,
    beta=3,
    variation=0.5,
    preprocessing="unit",
    pooling="max",
)


VALID = dataclasses.replace(EVERYTHING, pool_padding="VALID")


@pytest.mark.parametrize("objective", [EVERYTHING, SHALLOW, VALID])
@pytest.mark.parametrize("size", [(64, 48), (95, 33)])
def test_strips_give_what_the_whole_picture_gives(objective, size, monkeypatch):
    rng, found = np.random.RandomState(0), []
    x, content, *styles = (rng.uniform(0, 1, (1, *s, 3)) for s in (size, size, size, (70, 51)))
    sizes = {n: layer_size(n, *size, objective.pool_padding) for n, _ in objective.style_layers}
    masks = {n: rng.uniform(0, 1, (1, *sizes[n], 1)) for n in sizes}
    # Some strips lie outside the mask.
    masks = {
        n: m / m.sum()
        for n, m in ((n, m * (np.arange(m.shape[1]) > m.shape[1] / 2)[:, None, None]) for n, m in masks.items())
    }
    evaluator = evaluation.Evaluator(WEIGHTS, objective, "float64", size)
    taken = []
    monkeypatch.setattr(memory, "_STRIP", 1e4)
    for whole in (1e12, 0):
        monkeypatch.setattr(memory, "_WHOLE", whole)
        contents, _ = evaluator.look(content)
        grams = [evaluator.look(style)[1][0] for style in styles]
        targets = [(0.3, grams[0], None), (0.7, grams[1], masks)]
        found.append((contents, grams, *evaluator.costs_and_gradient(x, contents, targets)))
        monkeypatch.setattr(
            evaluation._Strip, "of", lambda strip, a, of=evaluation._Strip.of: taken.append(strip) or of(strip, a)
        )
    assert {block: sum(strip.block == block for strip in taken) > 10 for block in (1, 2)} == {1: True, 2: True}
    flat = [tf.nest.flatten(tf.nest.map_structure(np.asarray, results)) for results in found]
    for a, b in zip(*flat):
        np.testing.assert_allclose(b, a, rtol=1e-7, atol=1e-9 * np.abs(a).max())


def test_a_run_in_strips_paints_the_same_picture(monkeypatch):
    preset = COURSE.but(iterations=3, clip=True)
    content = photograph(0, (48, 40))
    whole = run(preset, content=content, seed=1)
    for name in ("_WHOLE", "_STRIP"):
        monkeypatch.setattr(memory, name, 0)
    strips = run(preset, content=content, seed=1)
    assert [s.J for s in strips.steps] == pytest.approx([s.J for s in whole.steps], rel=1e-4)
    assert np.abs(strips.image.astype(int) - whole.image).max() <= 1
    short = run(preset.but(precision="bfloat16"), content=content, seed=1)
    assert short.steps[-1].J == pytest.approx(whole.steps[-1].J, rel=0.05)


def test_more_of_anything_takes_more_memory(monkeypatch):
    monkeypatch.setattr(memory, "_ASIDE", 0)  # more than a tiny network takes
    least = estimate_memory(WEIGHTS, (64, 64), QUICK)
    assert estimate_memory(WEIGHTS, (128, 64), QUICK) > 1.5 * least
    assert estimate_memory(WEIGHTS, (64, 64), QUICK.but(objective=Objective())) > least
    assert estimate_memory(WEIGHTS, (64, 64), QUICK.but(optimizer=LBFGS(20))) > least
    assert estimate_memory(WEIGHTS, (64, 64), QUICK.but(optimizer=Adam())) < least
    wide = VGGWeights.random(widths=(32, 32, 32, 32, 32))
    assert estimate_memory(wide, (64, 64), QUICK) > least
    assert estimate_memory(wide, (64, 64), QUICK, "bfloat16") < estimate_memory(wide, (64, 64), QUICK)


def test_a_picture_too_large_is_refused_with_the_size_that_fits(monkeypatch):
    n_bytes = memory._ASIDE + 2_000_000
    monkeypatch.setattr(memory, "available_memory", lambda: n_bytes)
    content = photograph(0, (300, 400))
    with pytest.raises(PictureTooLargeError, match=r"400 x 300 pixels takes about .* GB .*resize_image") as caught:
        run(content=content)
    assert isinstance(caught.value, ValueError) and isinstance(caught.value, MemoryError)
    width, height = map(int, re.search(r"At most (\d+) x (\d+) would fit", str(caught.value)).groups())
    assert width / height == pytest.approx(4 / 3, rel=0.02)
    assert estimate_memory(WEIGHTS, (height, width), QUICK) <= n_bytes
    assert estimate_memory(WEIGHTS, (height + 1, width + 1), QUICK) > n_bytes
    small = photograph(0, (height, width))
    assert run(QUICK.but(iterations=1), content=small).memory <= n_bytes
    monkeypatch.setattr(memory, "available_memory", lambda: 10)
    with pytest.raises(PictureTooLargeError, match="No size fits"):
        run()
    monkeypatch.setattr(memory, "available_memory", lambda: None)
    assert run(QUICK.but(iterations=1)).memory > 0


def test_a_style_larger_than_the_picture_is_in_the_estimate(monkeypatch):
    monkeypatch.setattr(memory, "_ASIDE", 0)  # more than a tiny network takes
    size, picture = (64, 64), photograph(0, (20, 20))
    sizes = [estimate_memory(WEIGHTS, size, QUICK, styles=[Style(picture, scale=s)]) for s in (0.5, 1, 8)]
    assert sizes[0] == sizes[1] == estimate_memory(WEIGHTS, size, QUICK) and sizes[2] > 2 * sizes[0]


def test_a_style_too_large_for_the_memory_is_refused_before_the_run(monkeypatch):
    content, style = photograph(0, (64, 64)), photograph(1, (20, 20))
    n_bytes = estimate_memory(WEIGHTS, (64, 64), QUICK)
    monkeypatch.setattr(memory, "available_memory", lambda: n_bytes)
    stylize(content, style, QUICK.but(iterations=1), weights=WEIGHTS)
    with pytest.raises(PictureTooLargeError, match="A run at 64 x 64 pixels takes about .* would fit"):
        stylize(content, Style(style, scale=8), QUICK, weights=WEIGHTS)


def test_features_of_a_picture_too_large_are_refused_with_the_size_that_fits(monkeypatch):
    extract = features(WEIGHTS, ["conv2_1"])
    monkeypatch.setattr("nst_course.eager.stylize.available_memory", lambda: 10**6)
    with pytest.raises(PictureTooLargeError, match=r"A pass through the network at 400 x 300 .*width=(\d+)") as caught:
        extract(np.zeros((1, 300, 400, 3), np.float32))
    width = int(re.search(r"width=(\d+)", str(caught.value))[1])
    assert extract(np.zeros((1, width * 3 // 4, width, 3), np.float32))["conv2_1"].shape[2] == -(-width // 2)


def test_tensorflow_that_runs_out_of_memory_is_said_in_a_sentence(monkeypatch):
    def run_out(*args):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor" + 100 * " and so on")

    monkeypatch.setattr("nst_course.eager.evaluation.call", run_out)
    with pytest.raises(
        PictureTooLargeError, match="^A run at .* pixels took more memory than there is. Make"
    ) as caught:
        run(QUICK)
    assert caught.value.painting.image.shape == CONTENT.shape


# --- a run that does not end as planned -------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", [Adam(), LBFGS()])
def test_an_interrupt_keeps_the_picture(optimizer):
    steps = []

    def callback(step):
        steps.append(step)
        if step.iteration == 2:
            raise KeyboardInterrupt

    painting = run(QUICK.but(optimizer=optimizer), callback=callback)
    assert painting.interrupted and len(painting.steps) == len(steps) == 3
    np.testing.assert_array_equal(painting.image, denormalize_image(steps[-1].image))
    assert not np.array_equal(painting.image, CONTENT)
    assert not run().interrupted


def test_an_interrupt_at_a_smaller_size_gives_a_picture_of_the_full_size():
    def callback(step):
        raise KeyboardInterrupt

    painting = run(QUICK.but(iterations=(3, 3)), callback=callback)
    assert painting.interrupted and len(painting.steps) == 1 and painting.image.shape == CONTENT.shape


def test_an_interrupt_within_an_evaluation_keeps_the_picture(monkeypatch):
    taken, steps = [], []

    def isfinite(values, original=np.isfinite):
        taken.append(1)
        if len(taken) == 9:
            raise KeyboardInterrupt
        return original(values)

    monkeypatch.setattr(eager.np, "isfinite", isfinite)
    painting = run(QUICK.but(optimizer=Adam()), callback=steps.append)
    assert painting.interrupted and 1 <= len(steps) < 6
    np.testing.assert_array_equal(painting.image, denormalize_image(steps[-1].image))


def test_a_cost_that_turns_infinite_stops_the_run():
    steps = []
    with pytest.raises(
        DivergenceError, match=r"after iteration 0 they are \[(inf|nan).*Lower the learning rate"
    ) as caught:
        run(QUICK.but(optimizer=Adam(1e30)), callback=steps.append)
    assert caught.value.iteration == 0 and steps == []
    np.testing.assert_array_equal(denormalize_image(caught.value.image), CONTENT)
    np.testing.assert_array_equal(caught.value.painting.image, CONTENT)


def test_a_picture_to_start_from_without_a_cost():
    with pytest.raises(DivergenceError, match="of the picture to start from") as caught:
        run(QUICK.but(beta=3e38))
    assert caught.value.iteration == -1


@pytest.mark.parametrize("error", [PermissionError, StopIteration])
@pytest.mark.parametrize("optimizer", [Adam(), LBFGS()])
def test_the_callbacks_own_error_is_passed_on_with_the_picture(optimizer, error):
    steps = []

    def callback(step):
        steps.append(step)
        if step.iteration == 1:
            raise error("no room")

    with pytest.raises(error, match="no room") as caught:
        run(QUICK.but(optimizer=optimizer), callback=callback)
    painting = caught.value.painting
    assert len(painting.steps) == 2
    np.testing.assert_array_equal(painting.image, denormalize_image(steps[-1].image))


def test_a_run_prints_nothing_and_changes_no_argument(capfd):
    content, style = CONTENT.copy(), STYLE.copy()
    for size in range(8, 16):  # TensorFlow warns of many sizes
        run(QUICK.but(iterations=1), content=photograph(0, (size, size)))
    run()
    np.testing.assert_array_equal(content, CONTENT)
    np.testing.assert_array_equal(style, STYLE)
    assert capfd.readouterr() == ("", "")


def test_the_record_holds_no_pictures():
    seen = []
    painting = run(callback=seen.append)
    assert all(step.image is None for step in painting.steps)
    assert [step._replace(image=None) for step in seen] == painting.steps
    assert len({step.image.tobytes() for step in seen}) == len(seen)


# --- what cannot be run -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make, said",
    [
        (
            lambda: run(content=CONTENT[:, :, 0]),
            r"uint8 content picture of shape \(n_H, n_W, 3\); found uint8 .*\(16, 32\)",
        ),
        (lambda: run(content=CONTENT / 255), "uint8 content picture.*found float64"),
        (lambda: run(style=STYLE[..., :2]), r"uint8 style picture.*found uint8 of shape \(40, 30, 2\)"),
        (lambda: run(style=[]), "at least one style with a weight above 0; found 0"),
        (lambda: run(style=Style(STYLE, weight=0)), "at least one style with a weight above 0; found 1"),
        (lambda: run(QUICK.but(start=CONTENT / 2)), "uint8 start picture.*found float64"),
        (lambda: Style(STYLE, weight=-1), "weight of a style must be a finite number of at least 0; found -1"),
        (lambda: Style(STYLE, scale=0), "scale of a style must be above 0 .*found 0"),
        (lambda: Style(STYLE, mask=np.zeros((4, 4))), r"not all 0; found float64 of shape \(4, 4\) from 0 to 0"),
        (lambda: Style(STYLE, mask=np.full((4, 4), 2.0)), "0 to 1.*from 2 to 2"),
        (lambda: Style(STYLE, mask=np.full((4, 4), np.nan)), "0 to 1.*nan"),
        (lambda: Style(STYLE, mask=np.ones((4, 4, 1))), r"shape \(n_H, n_W\).*found float64 of shape \(4, 4, 1\)"),
        (lambda: Objective(alpha=-1), "alpha must be a finite number of at least 0; found -1"),
        (lambda: Objective(variation=float("nan")), "variation must be a finite number.*nan"),
        (lambda: Objective(style_layers=()), "style_layers must hold at least one .layer, coefficient.*found"),
        (lambda: Objective(content_layers="conv4_2"), "content_layers must hold.*found 'conv4_2'"),
        (lambda: Objective(content_layers=["conv4_2"]), "content_layers must hold"),
        (lambda: Objective(style_layers=[("conv1_1", -2)]), "coefficient of conv1_1 must be .*found -2"),
        (lambda: Objective(normalization="sum"), "normalization must be one of course, location, element; found 'sum'"),
        (lambda: Objective(preprocessing="bgr"), "preprocessing must be one of course, keras, unit; found 'bgr'"),
        (lambda: Objective(pooling="min"), "pooling must be one of average, max; found 'min'"),
        (lambda: Adam(0), "learning_rate must be a number above 0; found 0"),
        (lambda: Adam(beta_2=1), "beta_2 must be at least 0 and below 1; found 1"),
        (lambda: LBFGS(0), "memory must be at least 1 step; found 0"),
        (lambda: COURSE.but(iterations=-1), "iterations must be a whole number of at least 0, or several; found -1"),
        (lambda: COURSE.but(iterations=()), "iterations must be a whole number"),
        (lambda: COURSE.but(iterations=2.5), "iterations must be a whole number.*found 2.5"),
        (lambda: COURSE.but(start="white"), "start must be one of content, blend, noise, recolored; found 'white'"),
        (lambda: COURSE.but(start=CONTENT[0]), r"start must be .*found an array of shape \(32, 3\)"),
        (lambda: COURSE.but(start=1.5), "share of noise from 0 to 1; found 1.5"),
        (lambda: COURSE.but(color="sepia"), "color must be one of style, luminance, histogram; found 'sepia'"),
        (lambda: COURSE.but(precision="float16"), "precision must be one of float32, bfloat16, auto; found 'float16'"),
        (lambda: COURSE.but(optimizer="adam"), "optimizer must be made by Adam or LBFGS; found 'adam'"),
    ],
)
def test_what_was_expected_and_what_was_found(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_a_layer_the_weights_do_not_have():
    with pytest.raises(LayerNotFoundError, match="no layer 'conv4_4'.*'conv4_3'"):
        run(QUICK.but(content_layers=[("conv4_4", 1)]), weights=tiny_weights("VGG-16"))


def test_graph_mode_is_refused():
    with tf.Graph().as_default(), pytest.raises(RuntimeError, match="eager mode; it is in graph mode"):
        run()
