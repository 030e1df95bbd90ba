"""Solutions as they are handed in, beyond those of test_checks.py: the function, its code, and the mistake, if any.

Each was written as students write it, and then looked at for what is wrong; the check is to find the same.
"""

TOTAL = "def total_cost(J_content, J_style, alpha=10, beta=40):\n    return alpha * J_content + beta * J_style"

RIGHT = [
    # decorated
    ("gram_matrix", "@twice_nothing\ndef gram_matrix(A):\n    return tf.matmul(A, A, transpose_b=True)"),
    (
        "gram_matrix",
        "product = functools.partial(tf.matmul, transpose_b=True)\ngram_matrix = lambda A: product(A, A)",
    ),
    (
        "gram_matrix",
        "class G:\n    def product(self, A):\n        return A @ tf.transpose(A)\ngram_matrix = G().product",
    ),
    ("gram_matrix", "class G:\n    def __call__(self, A):\n        return A @ tf.transpose(A)\ngram_matrix = G()"),
    # loops
    (
        "compute_content_cost",
        """
def compute_content_cost(a_C, a_G):
    m, n_H, n_W, n_C = a_G.get_shape().as_list()
    total = 0
    for c in range(n_C):
        total += tf.reduce_sum((a_C[..., c] - a_G[..., c]) ** 2)
    return total / (4 * n_H * n_W * n_C)
""",
    ),
    (
        "compute_layer_style_cost",
        """
def compute_layer_style_cost(a_S, a_G):
    m, n_H, n_W, n_C = a_G.get_shape().as_list()
    GS = GG = 0.0
    for i in range(n_H):
        for j in range(n_W):
            GS += tf.einsum("i,j->ij", a_S[0, i, j], a_S[0, i, j])
            GG += tf.einsum("i,j->ij", a_G[0, i, j], a_G[0, i, j])
    return tf.reduce_sum((GS - GG) ** 2) / (4 * n_C**2 * (n_H * n_W) ** 2)
""",
    ),
    (
        "compute_layer_style_cost",
        """
def compute_layer_style_cost(a_S, a_G):
    def gram(a):
        A = tf.reshape(a, [-1, a.shape[3]])
        return tf.matmul(A, A, transpose_a=True)
    _, h, w, c = a_G.shape.as_list()
    return tf.reduce_sum(tf.square(gram(a_S) - gram(a_G))) / (4 * c**2 * (h * w) ** 2)
""",
    ),
    (
        "compute_style_cost",
        """
class Costs:
    def style(self, model, STYLE_LAYERS):
        J = 0
        for name, coeff in STYLE_LAYERS:
            J += coeff * compute_layer_style_cost(sess.run(model[name]), model[name])
        return J
compute_style_cost = Costs().style
""",
    ),
    (
        "compute_style_cost",
        """
def of_layer(out):
    return compute_layer_style_cost(sess.run(out), out)
def costs(names, layers):
    return tf.add_n([coeff * of_layer(names[name]) for name, coeff in layers])
compute_style_cost = functools.partial(costs)
""",
    ),
    (
        "compute_style_cost",
        """
def compute_style_cost(model, STYLE_LAYERS):
    J = 0
    while STYLE_LAYERS:
        name, coeff = STYLE_LAYERS.pop()
        J += coeff * compute_layer_style_cost(sess.run(model.pop(name)), model_[name])
    return J
_inner = compute_style_cost
def compute_style_cost(model, layers):
    global model_
    model_ = dict(model)
    return _inner(model, layers)
""",
    ),
    (
        "total_cost",
        "@twice_nothing\n" + TOTAL,
    ),
    (
        "total_cost",
        "def total_cost(J_content, J_style, *, beta=40, alpha=10):\n    return beta * J_style + J_content * alpha",
    ),
]

D = "tf.reduce_sum(tf.square(a_C - a_G))"
SIZES = "    m, n_H, n_W, n_C = a_G.get_shape().as_list()\n"
N = "(4 * n_H * n_W * n_C)"


def content(result, before=""):
    return "compute_content_cost", f"def compute_content_cost(a_C, a_G):\n{SIZES}{before}    return {result}"


def style(result, before="", unroll="tf.transpose(tf.reshape({a}, [n_H * n_W, n_C]))"):
    lines = "".join(f"    {name} = gram_matrix({unroll.format(a=a)})\n" for name, a in (("GS", "a_S"), ("GG", "a_G")))
    code = f"def compute_layer_style_cost(a_S, a_G):\n{SIZES}{lines}{before}    return {result}"
    return "compute_layer_style_cost", code


def gram(result, before=""):
    return "gram_matrix", f"def gram_matrix(A):\n{before}    return {result}"


def total(result, arguments="J_content, J_style, alpha=10, beta=40"):
    return "total_cost", f"def total_cost({arguments}):\n    return {result}"


STYLE_N = "(4 * n_C**2 * (n_H * n_W) ** 2)"
G = "tf.matmul(A, tf.transpose(A))"
LOOP = """
def compute_style_cost(model, STYLE_LAYERS):
    J = 0
    for name, coeff in {layers}:
        a_S = {read}
        J += coeff * {cost}(a_S, model[name])
    {last}
"""
EDIT = {
    "layers": "STYLE_LAYERS",
    "read": "sess.run(model[name])",
    "cost": "compute_layer_style_cost",
    "last": "return J",
}


def style_cost(**changes):
    return "compute_style_cost", LOOP.format(**{**EDIT, **changes})


SWAPPED = LOOP.format(**EDIT).replace("(a_S, model[name])", "(model[name], a_S)")

MODEL = """
def model_nn(sess, input_image, {n}=200):
    {first}sess.run(tf.global_variables_initializer())
    sess.run(model["input"].assign(input_image))
    for i in range({n}):
        {step}
    {last}
"""


def model(first="", step="sess.run(train_step)", last='return sess.run(model["input"])', n="num_iterations"):
    return "model_nn", MODEL.format(first=first, step=step, last=last, n=n)


#: (function, code), the mistake that is to be told, maybe among others.
WRONG = [
    # nothing flows back
    (content(f"tf.stop_gradient({D} / {N})"), "no-gradient"),
    (content(f"tf.round({D} / {N} * 1e5) / 1e5"), "no-gradient"),
    (
        content(f"tf.numpy_function(lambda c, g: np.float32(np.sum((c - g) ** 2)), [a_C, a_G], tf.float32) / {N}"),
        "no-gradient",
    ),
    (content(f"tf.reduce_sum(tf.square(a_C - a_G) * tf.stop_gradient(a_C - a_G) / (a_C - a_G)) / {N}"), "gradient"),
    (gram("tf.stop_gradient(tf.matmul(A, tf.transpose(A)))"), "no-gradient"),
    (gram("tf.matmul(A, tf.transpose(tf.stop_gradient(A)))"), "gradient"),
    (style(f"tf.reduce_sum(tf.square(GS - tf.stop_gradient(GG))) / {STYLE_N}"), "no-gradient"),
    (
        total("alpha * (tf.stop_gradient(J_content) if tf.is_tensor(J_content) else J_content) + beta * J_style"),
        "no-gradient",
    ),
    (style_cost(last="return tf.stop_gradient(J)"), "no-gradient"),
    # called otherwise
    (total("a * J_content + b * J_style", "J_content, J_style, a=10, b=40"), "renamed"),
    (model(n="n_iter"), "renamed"),
    # another session
    (model(first="sess = tf.Session()\n    "), "own-session"),
    (model(last='picture = sess.run(model["input"])\n    sess.close()\n    return picture'), "closes-session"),
    (model(step='_, picture = sess.run([train_step, model["input"]])', last="return picture"), "same-run"),
    (
        model(step='sess.run(tf.train.AdamOptimizer(2.0).minimize(J, var_list=[model["input"]]))', first=""),
        "initialiser",
    ),
    (style_cost(read="tf.Session().run(model[name])"), "initialiser"),
    (style_cost(last="sess.run(tf.global_variables_initializer())\n    return J"), "session-changed"),
    # raw errors
    (content(f"tf.cast({D} / {N}, tf.float16)"), "half-precision"),
    (content("tf.sparse.from_dense([[1.0]])"), "type"),
    (content("tf.ragged.constant([[1.0], [2.0, 3.0]])"), "type"),
    (content(f"{D} / {N}", "    assert n_C > 10\n"), "raises"),
    (content(f"{D} / {N}", "    exit()\n"), "exits"),
    (content(f"{D} / {N}", "    raise SystemExit\n"), "exits"),
    (gram(G, "    tf.InteractiveSession()\n"), "interactive-session"),
    (gram(G, "    if A[0, 0] > 100:\n        return A\n"), "tensor-as-condition|in graphs"),
    (gram(G, "    tf.reset_default_graph()\n"), "reset-graph|in graphs"),
    (gram("tf.placeholder(tf.float32, [3, 3])"), "placeholder|in graphs"),
    (gram("tf.keras.backend.dot_product_sum(A)"), "keras-name"),
    # patterns
    (content(f"{D} / (4 * n_H^1 * n_W * n_C)"), "caret"),
    (gram("A ^ 2"), "caret"),
    (style("tf.reduce_sum((GS - GG)**2) / (4 * n_C^2 * (n_H * n_W)^2)"), "caret"),
    (
        style(f"tf.reduce_sum((GS - GG)**2) / {STYLE_N}", unroll="tf.transpose(tf.reshape({a}, [n_H * n_H, n_C]))"),
        "elsewhere",
    ),
    (style(f"tf.reduce_sum((GS - GG)**2) / {STYLE_N}", unroll="tf.transpose(tf.reshape({a}, [16, 3]))"), "hard-coded"),
    # the same whatever comes in
    (content("tf.constant(6.7655926)"), "constant"),
    (gram("tf.constant([[1.0, 2.0], [3.0, 4.0]])"), "constant"),
    (total("35.34667875478276"), "constant"),
    (style_cost(last="return tf.constant(3.0)"), "constant"),
    # loops
    (
        content(
            f"J / {N}", "    for c in range(n_C):\n        J = tf.reduce_sum(tf.square(a_C[..., c] - a_G[..., c]))\n"
        ),
        "only-last",
    ),
    (
        content(
            f"J / {N}",
            "    J = 0\n    for c in range(n_C - 1):\n        J += tf.reduce_sum((a_C[..., c] - a_G[..., c])**2)\n",
        ),
        "one-short",
    ),
    (
        content(
            f"J / {N}",
            "    J = 0\n    for i in range(1, n_H):\n        J += tf.reduce_sum(tf.square(a_C[:, i] - a_G[:, i]))\n",
        ),
        "begins-late",
    ),
    (
        content(
            f"J / {N}",
            f"    for c in range(n_C):\n        return tf.reduce_sum(tf.square(a_C[..., c] - a_G[..., c])) / {N}\n",
        ),
        "only-first-part",
    ),
    (
        style(
            f"J / {STYLE_N}",
            "    J = 0\n    for i in range(n_C - 1):\n        J += tf.reduce_sum(tf.square(GS[i] - GG[i]))\n",
        ),
        "one-short",
    ),
    (
        style(
            f"J / {STYLE_N}",
            "    J = 0\n    for i in range(n_C):\n        for j in range(i):\n            J += (GS - GG)[i, j] ** 2\n",
        ),
        "half-the-pairs",
    ),
    (style_cost(layers="STYLE_LAYERS[:-1]"), "one-short"),
    (style_cost(layers="STYLE_LAYERS[1:]"), "begins-late"),
    # rounded
    (content(f"{D} // {N}"), "floored"),
    (content(f"tf.round({D} / {N})"), "rounded"),
    (content(f"tf.round({D} / {N} * 100) / 100"), "rounded"),
    (style(f"tf.floor(tf.reduce_sum(tf.square(GS - GG)) / {STYLE_N})"), "floored"),
    # multiplied out
    (content(f"tf.reduce_sum(a_C**2 - a_C * a_G + a_G**2) / {N}"), "binomial"),
    (content(f"tf.reduce_sum(a_C**2 + a_G**2) / {N}"), "binomial"),
    (content(f"tf.reduce_sum(a_C**2 - 2 * a_C * a_G - a_G**2) / {N}"), "binomial"),
    (style(f"tf.reduce_sum(GS**2 - GS * GG + GG**2) / {STYLE_N}"), "binomial"),
    # another loss
    (content("tf.reduce_max(tf.square(a_C - a_G))"), "another-loss"),
    (content(f"tf.reduce_sum(tf.math.log(tf.math.cosh(a_C - a_G))) / {N}"), "another-loss"),
    (content("1 - tf.reduce_sum(a_C * a_G) / tf.sqrt(tf.reduce_sum(a_C**2) * tf.reduce_sum(a_G**2))"), "unknown"),
    # the batch's axis, and the wrong cost
    (
        style(
            f"tf.reduce_sum(tf.square(GS - GG)) / {STYLE_N}",
            unroll="tf.transpose(tf.reshape({a}, [m, n_H * n_W, n_C]))",
        ),
        "batch-axis",
    ),
    (style_cost(cost="compute_content_cost"), "content-cost"),
    # more that was seen
    (content(f"tf.reduce_sum(tf.nn.relu(a_C - a_G) ** 2) / {N}"), "positive-only"),
    (content(f"{D} / {N} + 1"), "offset"),
    (content(f"tf.reduce_sum(tf.square(2 * a_C - a_G)) / {N}"), "binomial"),
    (
        style(f"tf.reduce_sum(tf.square(tf.reduce_sum(a_S, [1, 2]) - tf.reduce_sum(a_G, [1, 2]))) / {STYLE_N}"),
        "channel-sums",
    ),
    (style(f"tf.linalg.trace(tf.square(GS - GG)) / {STYLE_N}"), "diagonal"),
    (("compute_style_cost", SWAPPED), "swapped-arguments"),
    (total("alpha * J_content + beta * J_style", "J_content, J_style, beta=40, alpha=10"), "order"),
    # decorated ones are not unwrapped
    (("gram_matrix", f"@doubled\ndef gram_matrix(A):\n    return {G}"), "normalised"),
    (
        (
            "total_cost",
            "@doubled\n" + TOTAL,
        ),
        "weights",
    ),
    # no function
    (("gram_matrix", "gram_matrix = None"), "not-a-function"),
    (("model_nn", "model_nn = 3"), "not-a-function"),
    (("total_cost", "total_cost = None"), "not-a-function"),
    (("compute_style_cost", "compute_style_cost = None"), "not-a-function"),
]
