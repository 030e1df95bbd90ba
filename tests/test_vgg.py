"""The forward pass against SciPy's convolutions, and the names of layers."""

import numpy as np
import pytest
import reference
import tensorflow as tf

from nst_course import (
    Activations,
    LayerNotFoundError,
    VGGWeights,
    forward,
    read_image,
    reshape_and_normalize_image,
)
from nst_course.vgg import NETWORKS, canonical_layer, layer_size

tf1 = tf.compat.v1
WIDTHS = (2, 3, 4, 3, 2)
#: Both sizes odd somewhere on the way down: 13 x 18, 7 x 9, 4 x 5, 2 x 3, 1 x 2, 1 x 1.
IMAGE = np.random.RandomState(0).uniform(-120, 120, (1, 13, 18, 3)).astype(np.float32)


def random_weights(network="VGG-19", upto=None, classifier=False):
    """Make a tiny network whose biases are not 0 and large enough to matter."""
    rng = np.random.RandomState(7)
    parameters = {}
    for name, (W, b) in VGGWeights.random(3, network=network, widths=WIDTHS).parameters.items():
        parameters[name] = W, rng.normal(0, 20, b.shape).astype(np.float32)
        if name == upto:
            return VGGWeights(parameters)
    if classifier:
        for name, shape in {"fc6": (7, 7, 2, 5), "fc7": (1, 1, 5, 4), "fc8": (1, 1, 4, 6)}.items():
            W = rng.normal(0, 0.3, shape).astype(np.float32)
            parameters[name] = W, rng.normal(0, 0.1, shape[3]).astype(np.float32)
    return VGGWeights(parameters)


def activations(mode, weights, image, **options):
    """Run the forward pass in a session or eagerly, and return arrays, those before ReLU among them."""
    if mode == "eager":
        layers = forward(weights, tf.constant(image), **options)
        return {name: layers[name].numpy() for name in [*layers, *(f"{n}/pre" for n in layers.pre)]}
    with tf.Graph().as_default(), tf1.Session() as sess:
        layers = forward(weights, tf.constant(image), **options)
        return sess.run({name: layers[name] for name in [*layers, *(f"{n}/pre" for n in layers.pre)]})


def assert_equal_layers(found, expected, rtol=1e-4):
    for name, value in expected.items():
        scale = np.abs(value).max()
        np.testing.assert_allclose(found[name][0], value, rtol=rtol, atol=rtol * scale, err_msg=name)


@pytest.mark.parametrize("mode", ["session", "eager"])
@pytest.mark.parametrize("pooling", ["average", "max"])
@pytest.mark.parametrize("network", ["VGG-16", "VGG-19"])
def test_forward_agrees_with_the_reference(network, pooling, mode):
    weights = random_weights(network)
    found = activations(mode, weights, IMAGE, pooling=pooling)
    expected = reference.network(network, weights.parameters, IMAGE, pooling)
    assert set(found) == set(expected)
    assert_equal_layers(found, expected)
    # The comparison means something: both signs before ReLU, and a picture's worth of differing values after.
    assert (expected["conv3_1/pre"] < 0).any() and (expected["conv3_1/pre"] > 0).any()
    assert expected["conv4_2"].max() > 1


def test_several_pictures_go_through_side_by_side():
    weights = random_weights()
    both = forward(weights, tf.concat([IMAGE, IMAGE[:, ::-1]], axis=0), last="conv2_1")["conv2_1"]
    for i, image in enumerate((IMAGE, IMAGE[:, ::-1])):
        expected = reference.network("VGG-19", weights.parameters, image)["conv2_1"]
        np.testing.assert_allclose(both[i], expected, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("network, size", [("VGG-19", 16), ("VGG-16", 13)])
def test_layers_come_in_the_order_of_the_network(network, size):
    layers = forward(random_weights(network), tf.constant(IMAGE))
    assert isinstance(layers, Activations)
    expected = []
    for block, count in enumerate(reference.BLOCKS[network], start=1):
        expected += [f"conv{block}_{i}" for i in range(1, count + 1)] + [f"avgpool{block}"]
    assert list(layers) == expected
    assert len(NETWORKS[network]) == size


def test_average_pooling_is_the_default():
    layers = forward(random_weights(), tf.constant(IMAGE), last="avgpool1")
    expected = reference.pool(layers["conv1_2"].numpy()[0].astype(float), "average")
    np.testing.assert_allclose(layers["avgpool1"][0], expected, rtol=1e-5, atol=1e-4)


def test_unknown_pooling():
    with pytest.raises(ValueError, match="pooling must be 'average' or 'max'; found 'mean'"):
        forward(random_weights(), tf.constant(IMAGE), pooling="mean")
    with pytest.raises(ValueError, match="pool_padding must be 'SAME' or 'VALID'; found 'valid'"):
        forward(random_weights(), tf.constant(IMAGE), pool_padding="valid")


@pytest.mark.parametrize("pooling", ["average", "max"])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("size", [(35, 53), (32, 47), (37, 64)])
def test_pools_at_odd_sizes_are_those_of_keras(size, padding, pooling):
    weights = random_weights()
    image = np.random.RandomState(1).uniform(-120, 120, (1, *size, 3)).astype(np.float32)
    make_pool, kind = {
        "average": (tf.keras.layers.AveragePooling2D, "avgpool"),
        "max": (tf.keras.layers.MaxPooling2D, "maxpool"),
    }[pooling]
    found = activations("eager", weights, image, pooling=pooling, pool_padding=padding)
    a = picture = tf.keras.Input((*size, 3))
    outputs = {}
    for name in NETWORKS["VGG-19"]:
        if name.endswith("_1") and name != "conv1_1":
            a = outputs[f"{kind}{int(name[4]) - 1}"] = make_pool(2, padding=padding.lower())(a)
        W, b = weights[name]
        layer = tf.keras.layers.Conv2D(W.shape[3], 3, padding="same", activation="relu")
        a = outputs[name] = layer(a)
        layer.set_weights([W, b])
    expected = tf.keras.Model(picture, outputs)(image)
    for name, value in expected.items():
        assert found[name].shape == value.shape and layer_size(name, *size, padding) == value.shape[1:3]
        np.testing.assert_allclose(found[name], value, rtol=1e-3, atol=1e-3 * np.abs(value).max(), err_msg=name)


def test_a_picture_that_comes_to_nothing_in_a_pool():
    image = tf.zeros((1, 40, 15, 3))
    assert forward(random_weights(), image)["conv5_1"].shape == (1, 3, 1, 2)
    assert forward(random_weights(), image, pool_padding="VALID", last="conv4_2")["conv4_2"].shape == (1, 5, 1, 3)
    with pytest.raises(ValueError, match="at least 16 pixels high and wide: smaller ones come to nothing in pool 4"):
        forward(random_weights(), image, pool_padding="VALID")


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alias", ["relu4_2", "block4_conv2", "conv4_2"])
def test_a_layer_answers_to_its_usual_names(alias):
    layers = forward(random_weights(), tf.constant(IMAGE))
    assert layers[alias] is layers["conv4_2"]
    assert layers[f"{alias}/pre"] is layers.pre["conv4_2"]
    assert canonical_layer(alias) == "conv4_2"
    assert len(layers) == 21 and "relu4_2" not in list(layers)


def test_before_relu_there_are_negative_values():
    layers = forward(random_weights(), tf.constant(IMAGE))
    pre, after = layers["conv3_1/pre"].numpy(), layers["conv3_1"].numpy()
    assert (pre < 0).any() and (after >= 0).all()
    np.testing.assert_array_equal(np.maximum(pre, 0), after)


@pytest.mark.parametrize("name", ["avgpool3", "input", "conv4_2x", "relu42", "xrelu4_2", "block4_conv2_1"])
def test_other_names_are_left_as_they_are(name):
    assert canonical_layer(name) == name


@pytest.mark.parametrize(
    "typed, meant",
    [
        ("conv42", "conv4_2"),
        ("Conv3_1", "conv3_1"),
        ("conv5-4", "conv5_4"),
        ("avgpol3", "avgpool3"),
        ("maxpool2", "avgpool2"),
        ("conv4_2/pree", "conv4_2"),
    ],
)
def test_an_unknown_layer_gets_the_nearest_name(typed, meant):
    layers = forward(random_weights(), tf.constant(IMAGE))
    with pytest.raises(LayerNotFoundError) as caught:
        layers[typed]
    assert isinstance(caught.value, KeyError)
    # As a sentence: KeyError would put it in quotes.
    assert str(caught.value) == (
        f"There is no layer {typed!r} in this network; it has conv1_1 .. avgpool5. Did you mean {meant!r}?"
    )


def test_a_layer_like_no_other_gets_no_suggestion():
    with pytest.raises(LayerNotFoundError, match=r"no layer 'mixed7' in this network; it has conv1_1 \.\. avgpool5\.$"):
        forward(random_weights(), tf.constant(IMAGE))["mixed7"]


# --- cutting, and weights that stop early -----------------------------------------------------------------------------


@pytest.mark.parametrize("last, end", [("conv3_2", "conv3_2"), ("relu2_1/pre", "conv2_1"), ("avgpool2", "avgpool2")])
def test_the_network_is_cut_after_the_last_layer_needed(last, end):
    layers = forward(random_weights(), tf.constant(IMAGE), last=last)
    assert list(layers)[-1] == end
    expected = reference.network("VGG-19", random_weights().parameters, IMAGE)
    np.testing.assert_allclose(layers[last][0], expected[canonical_layer(last)], rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("last", ["conv6_1", "maxpool1", "conv3_1x"])
@pytest.mark.parametrize("classifier", [False, True])
def test_a_last_layer_that_is_not_there(last, classifier):
    image = np.zeros((1, 224, 224, 3), np.float32)
    with pytest.raises(LayerNotFoundError, match=f"no layer '{last}'"):
        forward(random_weights(classifier=True), tf.constant(image), last=last, classifier=classifier)


def test_weights_that_stop_early_have_the_layers_they_have():
    weights = random_weights(upto="conv3_4")
    layers = forward(weights, tf.constant(IMAGE))
    assert list(layers)[-2:] == ["conv3_4", "avgpool3"]
    expected = reference.network("VGG-19", weights.parameters, IMAGE)
    np.testing.assert_allclose(layers["avgpool3"][0], expected["avgpool3"], rtol=1e-4, atol=1e-2)
    for ask in (lambda: layers["conv4_2"], lambda: forward(weights, tf.constant(IMAGE), last="conv4_2")):
        with pytest.raises(
            LayerNotFoundError, match=r"no layer 'conv4_2'.*conv1_1 \.\. avgpool3.*not to these weights"
        ):
            ask()


def test_weights_that_stop_inside_a_block_have_no_pool_there():
    assert list(forward(random_weights(upto="conv2_1"), tf.constant(IMAGE)))[-2:] == ["avgpool1", "conv2_1"]


def test_a_vgg16_has_no_fourth_convolution():
    with pytest.raises(LayerNotFoundError, match="no layer 'conv4_4'.*'conv4_3'"):
        forward(random_weights("VGG-16"), tf.constant(IMAGE))["conv4_4"]


# --- the classifier ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["session", "eager"])
def test_the_classifier_agrees_with_the_reference(mode):
    weights = random_weights(classifier=True)
    image = np.random.RandomState(1).uniform(-120, 120, (1, 224, 224, 3)).astype(np.float32)
    found = activations(mode, weights, image, pooling="max", classifier=True)
    expected = reference.network("VGG-19", weights.parameters, image, "max")
    answers = ("fc6", "fc7", "fc8", "prob")
    assert_equal_layers(found, {name: expected[name] for name in answers}, rtol=1e-3)
    assert found["prob"].shape == (1, 1, 1, 6) and found["prob"].sum() == pytest.approx(1, abs=1e-6)
    assert (expected["fc8"] < 0).any(), "the last layer has no ReLU"
    assert list(found)[20:25] == ["maxpool5", *answers]


def test_a_larger_picture_gets_an_answer_for_each_position():
    layers = forward(random_weights(classifier=True), tf.zeros((1, 224, 256, 3)), classifier=True)
    assert layers["prob"].shape == (1, 1, 2, 6)
    np.testing.assert_allclose(tf.reduce_sum(layers["prob"], axis=-1), 1, atol=1e-6)


def test_the_classifier_too_is_cut():
    layers = forward(random_weights(classifier=True), tf.zeros((1, 224, 224, 3)), classifier=True, last="fc6")
    assert list(layers)[-1] == "fc6"


@pytest.mark.parametrize("size", [(192, 224), (224, 192)])
def test_a_picture_too_small_for_the_classifier(size):
    with pytest.raises(ValueError, match="fc6 looks at 7 x 7 positions.*224 x 224"):
        forward(random_weights(classifier=True), tf.zeros((1, *size, 3)), classifier=True)


def test_weights_without_a_classifier():
    with pytest.raises(LayerNotFoundError, match="no layer 'fc6'"):
        forward(random_weights(), tf.zeros((1, 224, 224, 3)), classifier=True)


# --- the published kernels --------------------------------------------------------------------------------------------


def test_conv3_1_of_the_published_kernels(test_data):
    with np.load(test_data / "vgg19" / "vgg19-blocks1to3.npz") as data:
        layers = [name for name in NETWORKS["VGG-19"] if f"{name}_W" in data]
        parameters = {name: (data[f"{name}_W"], data[f"{name}_b"]) for name in layers}
    assert layers[-1] == "conv3_4"
    picture = read_image(test_data / "pictures" / "louvre_small_libjpeg9.png")
    crop = reshape_and_normalize_image(picture[140:155, 180:201])
    upto = {name: parameters[name] for name in ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1")}
    found = activations("eager", VGGWeights(parameters), crop, last="conv3_1")
    expected = reference.network("VGG-19", upto, crop)
    assert_equal_layers(found, expected)
    assert expected["conv3_1"].shape == (4, 6, 256)
