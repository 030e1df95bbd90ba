"""Painting on the sketch: its costs are the network's, estimated; they are corrected, and the finish is exact."""

import numpy as np
import pytest
import reference

import nst_course.eager.memory as memory
import nst_course.eager.stylize as eager
from nst_course import (
    COURSE,
    FAST,
    DivergenceError,
    Objective,
    Style,
    VGGWeights,
    load_weights,
    read_image,
    reshape_and_normalize_image,
    resize_image,
    stylize,
)
from nst_course.eager.evaluation import Evaluator, corrected
from nst_course.eager.presets import CORRECTED_EVERY, Preset, Stage
from nst_course.weights.folders import repository_folder
from nst_course.weights.sketch import Sketch

OBJECTIVE = Objective(content_layers=(("conv2_1", 1.0),), style_layers=(("conv1_1", 0.4), ("conv2_2", 0.6)), beta=1)
LAYERS = ("conv1_1", "conv1_2", "conv2_1", "conv2_2")
REAL = VGGWeights({n: p for n, p in VGGWeights.random(1, widths=(4, 6, 1, 1, 1)).parameters.items() if n in LAYERS})
NARROW = VGGWeights({n: p for n, p in VGGWeights.random(2, widths=(2, 3, 1, 1, 1)).parameters.items() if n in LAYERS})
RNG = np.random.RandomState(3)
MAPS = {n: RNG.standard_normal((NARROW[n][1].size, REAL[n][1].size)) for n in ("conv1_1", "conv2_1", "conv2_2")}
NORMS = np.array([np.linalg.norm(REAL[n][0]) for n in LAYERS], np.float32)
SKETCH = Sketch(NARROW, MAPS, NORMS)
SIZE = (16, 24)


def photograph(seed, size=SIZE):
    return np.random.RandomState(seed).randint(0, 256, (*size, 3)).astype(np.uint8)


def network_array(seed):
    return reshape_and_normalize_image(photograph(seed)).astype(np.float64)


def evaluators():
    return Evaluator(REAL, OBJECTIVE, "float64", SIZE), Evaluator(NARROW, OBJECTIVE, "float64", SIZE, MAPS)


def masks():
    found = {}
    for layer, size in (("conv1_1", SIZE), ("conv2_2", (8, 12))):
        mask = np.random.RandomState(5).uniform(0, 1, (1, *size, 1))
        found[layer] = mask / mask.sum()
    return found


@pytest.mark.parametrize("whole", [1e12, 0])
def test_the_gram_matrix_of_a_mapped_layer(whole, monkeypatch):
    monkeypatch.setattr(memory, "_WHOLE", whole)
    monkeypatch.setattr(memory, "_STRIP", 1e4)
    x, mask = network_array(0), masks()
    _, sketch = evaluators()
    contents, (grams, masked) = sketch.look(x, [None, mask])
    narrow = reference.network(NARROW.network, NARROW.parameters, x, "average", "SAME")
    np.testing.assert_allclose(contents["conv2_1"][0], narrow["conv2_1"] @ MAPS["conv2_1"], rtol=1e-4, atol=1e-2)
    for layer in ("conv1_1", "conv2_2"):
        a = (narrow[layer] @ MAPS[layer]).reshape(-1, MAPS[layer].shape[1])
        np.testing.assert_allclose(grams[layer][0], a.T @ a / len(a), rtol=1e-4)
        weighed = (a * mask[layer].reshape(-1, 1)).T @ a
        np.testing.assert_allclose(masked[layer][0], weighed, rtol=1e-4, atol=1e-4 * weighed.max())


@pytest.mark.parametrize("whole", [1e12, 0])
def test_its_costs_are_measured_against_the_networks_targets(whole, monkeypatch):
    monkeypatch.setattr(memory, "_WHOLE", whole)
    monkeypatch.setattr(memory, "_STRIP", 1e4)
    real, sketch = evaluators()
    targets = real.look(network_array(1))[0], [(1.0, real.look(network_array(2))[1][0], None)]
    x = network_array(0)
    (J, J_content, J_style, _), g = sketch.costs_and_gradient(x, *targets)
    contents, (grams,) = sketch.look(x)
    np.testing.assert_allclose(J_content, np.mean((contents["conv2_1"] - targets[0]["conv2_1"]) ** 2) / 4, rtol=1e-6)
    expected = [c * np.mean((grams[n] - targets[1][0][1][n]) ** 2) / 4 for n, c in OBJECTIVE.style_layers]
    np.testing.assert_allclose(J_style, sum(expected), rtol=1e-6)
    np.testing.assert_allclose(J, 10 * J_content + J_style, rtol=1e-6)
    for index in ((0, 3, 4, 1), (0, 15, 23, 0)):
        h = np.zeros_like(x)
        h[index] = 1e-3
        above, below = (sketch.costs_and_gradient(x + s * h, *targets)[0][0] for s in (1, -1))
        assert g[index] == pytest.approx((above - below) / 2e-3, rel=1e-4)


def test_where_it_was_corrected_its_costs_are_the_networks_own():
    real, sketch = evaluators()
    mask = masks()
    _, (grams,) = real.look(network_array(2))
    targets = real.look(network_array(1))[0], [(0.3, grams, None), (0.7, grams, mask)]
    x, elsewhere = network_array(0), network_array(4)
    here = corrected(targets, real, sketch, x)
    exact = real.costs_and_gradient(x, *targets)[0]
    np.testing.assert_allclose(sketch.costs_and_gradient(x, *here)[0], exact)
    assert not np.allclose(sketch.costs_and_gradient(x, *targets)[0], exact, rtol=0.01)
    estimate, exact = (e.costs_and_gradient(elsewhere, *t)[0] for e, t in ((sketch, here), (real, targets)))
    assert not np.allclose(estimate, exact, rtol=0.01)


# --- runs -------------------------------------------------------------------------------------------------------------

PRESET = Preset(OBJECTIVE, FAST.optimizer, sketch=(4, CORRECTED_EVERY + 3), iterations=2, start="content", clip=True)


@pytest.fixture
def own_sketch(monkeypatch):
    monkeypatch.setattr(eager, "read_sketch", lambda: SKETCH)


def test_stages():
    assert PRESET.stages == [(True, 2, 4), (True, 1, CORRECTED_EVERY + 3), (False, 1, 2)]
    assert [stage.name for stage in PRESET.stages] == ["sketch, 1/2 of the size", "sketch", ""]
    assert Stage(False, 4, 1).name == "1/4 of the size"
    assert COURSE.stages == [(False, 1, 200)]


def test_a_run_goes_through_its_stages(own_sketch, monkeypatch, capfd):
    corrections = []
    monkeypatch.setattr(eager, "corrected", lambda *a: corrections.append(a[3].shape[1:3]) or corrected(*a))
    steps = []
    painting = stylize(photograph(0), photograph(1), PRESET, weights=REAL, callback=steps.append)
    named = [(step.stage, step.image.shape[1:3]) for step in steps]
    sketched = [("sketch, 1/2 of the size", (8, 12))] * 4 + [("sketch", SIZE)] * (CORRECTED_EVERY + 3)
    assert named == [*sketched, ("", SIZE), ("", SIZE)]
    assert corrections == [(8, 12), SIZE, SIZE]
    assert [step.stage for step in painting.steps] == [stage for stage, _ in named]
    assert capfd.readouterr().out == ""
    # The finish is exact: its costs are the network's own.
    real = Evaluator(REAL, OBJECTIVE, "float32", SIZE)
    content, style = (reshape_and_normalize_image(photograph(seed)) for seed in (0, 1))
    targets = real.look(content)[0], [(1.0, real.look(style)[1][0], None)]
    for step in steps[-2:]:
        assert step.J == pytest.approx(real.costs_and_gradient(step.image, *targets)[0][0], rel=1e-5)
    again = stylize(photograph(0), photograph(1), PRESET, weights=REAL)
    np.testing.assert_array_equal(again.image, painting.image)


def test_a_run_with_several_styles_and_a_mask(own_sketch):
    styles = [Style(photograph(1), weight=2, scale=0.5), Style(photograph(2), mask=np.eye(*SIZE))]
    painting = stylize(photograph(0), styles, PRESET, weights=REAL)
    real = [step.J for step in painting.steps if not step.stage]
    assert len(real) == 2 and np.isfinite(real).all()


@pytest.mark.parametrize("when", [0, 6, 20])
def test_an_interrupt_keeps_the_picture(when, own_sketch):
    def callback(step):
        steps.append(step)
        if step.iteration == when:
            raise KeyboardInterrupt

    steps = []
    painting = stylize(photograph(0), photograph(1), PRESET, weights=REAL, callback=callback)
    assert painting.interrupted and len(painting.steps) == when + 1 and painting.image.shape == (*SIZE, 3)
    assert not np.array_equal(painting.image, photograph(0))


def test_a_cost_of_the_sketch_that_turns_infinite_stops_the_run(own_sketch):
    with pytest.raises(DivergenceError, match="of the picture to start from"):
        stylize(photograph(0), photograph(1), PRESET.but(beta=3e38), weights=REAL)


@pytest.mark.parametrize(
    "weights, changes, reason",
    [
        (VGGWeights.random(5, widths=(4, 6, 1, 1, 1)), {}, "it is made for the published VGG-19"),
        (VGGWeights.random(6, network="VGG-16", widths=(4, 6, 1, 1, 1)), {}, "it is made for the published VGG-19"),
        (REAL, {"pooling": "max"}, "it is made for average pooling"),
        (REAL, {"normalization": "element"}, 'does not know the normalization "element"'),
        (REAL, {"style_layers": [("conv1_2", 1)]}, "it knows the layers conv1_1, conv2_1, conv2_2"),
        (REAL, {"content_layers": [("conv2_1/pre", 1)]}, "it knows the layers conv1_1, conv2_1, conv2_2"),
    ],
)
def test_without_the_sketch_its_steps_are_the_networks(weights, changes, reason, own_sketch, capfd):
    steps = []
    preset = PRESET.but(sketch=(1, 2), **changes)
    stylize(photograph(0), photograph(1), preset, weights=weights, callback=steps.append)
    assert [step.stage for step in steps] == ["1/2 of the size", "", "", "", ""]
    out = capfd.readouterr().out
    assert out.count("Without the sketch: ") == 1 and reason in out and out.count("\n") == 1


def test_the_sketch_that_comes_along_lowers_the_real_cost():
    """On pictures it was not trained with; the network itself takes no step."""
    images, size = repository_folder("images"), (96, 128)
    content, style = (
        resize_image(read_image(images / f"{name}.png"), width=size[1], height=size[0])
        for name in ("glass_pyramid", "brush_strokes")
    )
    weights, steps, preset = load_weights(), [], FAST.but(sketch=30, iterations=0, precision="float32")
    stylize(content, style, preset, weights=weights, callback=steps.append)
    real = Evaluator(weights, COURSE.objective, "float32", size)
    targets = [reshape_and_normalize_image(p) for p in (content, style)]
    targets = real.look(targets[0])[0], [(1.0, real.look(targets[1])[1][0], None)]
    first, last = (real.costs_and_gradient(step.image, *targets)[0][0] for step in (steps[0], steps[-1]))
    assert len(steps) == 30 and {step.stage for step in steps} == {"sketch"}
    assert last < 0.2 * first
    # What it says of a picture is about what it costs.
    assert steps[-1].J == pytest.approx(last, rel=0.25)
