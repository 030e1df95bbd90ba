"""The two optimisers of the eager edition, Adam and L-BFGS, on NumPy arrays.

An optimiser is a frozen dataclass of its settings with one method, ``minimize(evaluate, x, iterations, bounds,
accept, state)``: `evaluate` computes the costs at `x` (their total first) and the gradient, `accept` is called with
every iterate and its costs. Nothing is returned: who wants the iterates listens. What a later call shall go on with is
kept in `state`.
"""

import collections
import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Adam:
    r"""Adam, in the order of operations of TensorFlow.

    .. math:: x_t = x_{t-1} - \eta\, \frac{\sqrt{1 - \beta_2^t}}{1 - \beta_1^t}\, \frac{m_t}{\sqrt{v_t} + \epsilon}

    Parameters
    ----------
    learning_rate : float, optional
        About how far a pixel moves in one step, in the unit of the preprocessing: grey levels of 0 to 255 for the
        course, of 0 to 1 for the others.
    beta_1, beta_2 : float, optional
        How slowly the means of the gradient and of its square forget, 0 to below 1.
    epsilon : float, optional
        Keeps the quotient finite, and small gradients small.

    Raises
    ------
    ValueError
        If a number is out of range.

    References
    ----------
    Kingma and Ba 2015, "Adam: A Method for Stochastic Optimization", section 2, the last paragraph.
    """

    learning_rate: float = 2.0
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self):
        for name in ("learning_rate", "epsilon"):
            if not 0 < getattr(self, name) < np.inf:
                raise ValueError(f"{name} must be a number above 0; found {getattr(self, name)}.")
        for name in ("beta_1", "beta_2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 0 and below 1; found {getattr(self, name)}.")

    def step(self, x, m, v, g, t, sqrt=np.sqrt, share=1.0):
        """Take one step.

        Parameters
        ----------
        x : ndarray or tensor
            What is moved.
        m, v : ndarray or tensor
            The running means of the gradient and of its square, 0 at first.
        g : ndarray or tensor
            The gradient at `x`.
        t : int or tensor
            Number of the step, from 1.
        sqrt : callable, optional
            The square root of whatever x, m, v and t are.
        share : float or tensor, optional
            What of the learning rate is taken.

        Returns
        -------
        x, m, v
            As they are after the step.
        """
        m = self.beta_1 * m + (1 - self.beta_1) * g
        v = self.beta_2 * v + (1 - self.beta_2) * g * g
        rate = share * self.learning_rate * sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)
        return x - rate * m / (sqrt(v) + self.epsilon), m, v

    def minimize(self, evaluate, x, iterations, bounds, accept, state=None):
        """Take `iterations` steps from `x`.

        Parameters
        ----------
        evaluate : callable
            From an array to its costs, the total first, and the gradient of the total.
        x : ndarray of float32
            Where to start. It is not changed.
        iterations : int
            How many steps.
        bounds : (ndarray, ndarray) or None
            The least and the greatest value, broadcast to `x`; after every step `x` is clipped to them.
        accept : callable
            Called with each iterate and its costs.
        state : dict, optional
            What an earlier call of a picture of the same size left, empty at first; it is gone on with, and changed.
        """
        state = {} if state is None else state
        m, v, before = state.get("adam", (np.zeros_like(x), np.zeros_like(x), 0))
        costs, g = evaluate(x)
        for t in range(before + 1, before + iterations + 1):
            x, m, v = self.step(x, m, v, g, t)
            state["adam"] = m, v, t
            x = x.astype(np.float32)
            if bounds is not None:
                x = np.clip(x, *bounds)
            costs, g = evaluate(x)
            accept(x, costs)

    def n_bytes(self, size):
        """Return how much memory the optimiser takes for a picture of `size` numbers."""
        return 6 * 4 * size


@dataclasses.dataclass(frozen=True)
class LBFGS:
    r"""Limited-memory BFGS with a line search that goes back. An iteration is an accepted step.

    .. math:: x_{t+1} = P\left(x_t - \lambda_t H_t\, g_t\right)

    H estimates the inverse Hessian from the last steps; P brings pixels back to their bounds. A step is 1 where that
    lowers the cost by enough, as nearly always, and shorter otherwise.

    SciPy's and TensorFlow Probability's cannot go on with the curvature of an earlier call, and runs here go on at
    another cost every few steps.

    Parameters
    ----------
    memory : int, optional
        From how many past steps the curvature is taken.

    Raises
    ------
    ValueError
        If the memory is below 1.

    References
    ----------
    Nocedal and Wright 2006, "Numerical Optimization", algorithms 7.4 (the two loops), 3.1 (the line search). Bounds:
    Bertsekas 1982, "Projected Newton Methods for Optimization Problems with Simple Constraints", section 2.
    """

    memory: int = 10

    def __post_init__(self):
        if self.memory < 1:
            raise ValueError(f"memory must be at least 1 step; found {self.memory}.")

    def minimize(self, evaluate, x, iterations, bounds, accept, state=None):
        """Take up to `iterations` accepted steps from `x`; fewer where no direction leads down any more.

        Parameters
        ----------
        evaluate, x, iterations, bounds, accept, state
            As in `Adam.minimize`; the bounds hold for every evaluation.
        """
        pairs = ({} if state is None else state).setdefault("pairs", collections.deque(maxlen=self.memory))
        costs, g = evaluate(x)
        while iterations:
            # Pixels that press against a bound stay there.
            free = 1 if bounds is None else ~((x <= bounds[0]) & (g > 0) | (x >= bounds[1]) & (g < 0))
            d = -_times_inverse_hessian(pairs, g * free) * free
            if not pairs:  # a step of 5 % of the picture's contrast is about what the first ones come to
                d *= 0.05 * (np.linalg.norm(x - x.mean()) or 1.0) / (np.linalg.norm(d) or 1.0)
            found = _line_search(evaluate, x, costs, g, d.astype(x.dtype), bounds)
            if found is None and not pairs:
                return
            if found is None:  # costs are float32: the curvature gathered so far may lead nowhere, long before the end
                pairs.clear()
                continue
            before, (x, costs, g) = (x, g), found
            s, y = x - before[0], g - before[1]
            if np.vdot(s, y) > 1e-10 * np.linalg.norm(s) * np.linalg.norm(y):
                pairs.append((s, y))
            accept(x, costs)
            iterations -= 1

    def n_bytes(self, size):
        """Return how much memory the optimiser takes for a picture of `size` numbers."""
        return (2 * self.memory + 10) * 4 * size


def _times_inverse_hessian(pairs, g):
    """Multiply a gradient by the inverse Hessian that steps s and their changes y of the gradient tell of."""
    q, parts = g.copy(), []
    for s, y in reversed(pairs):
        part = np.vdot(s, q) / np.vdot(s, y)
        q -= part * y
        parts.append(part)
    if pairs:
        s, y = pairs[-1]
        q *= np.vdot(s, y) / np.vdot(y, y)
    for (s, y), part in zip(pairs, reversed(parts)):
        q += (part - np.vdot(y, q) / np.vdot(s, y)) * s
    return q


def _line_search(evaluate, x, costs, g, d, bounds, tries=10):
    """Return the picture, costs and gradient of the first step along d that lowers the cost enough, or None."""
    step = 1.0
    for _ in range(tries):
        tried = x + np.float32(step) * d
        if bounds is not None:
            tried = np.clip(tried, *bounds)
        slope = float(np.vdot(g, tried - x))
        if slope >= 0:
            return None
        tried_costs, tried_g = evaluate(tried)
        change = float(tried_costs[0]) - float(costs[0])
        if change <= 1e-4 * slope:
            return tried, tried_costs, tried_g
        # To the minimum of the parabola, within limits.
        step *= float(np.clip(slope / (2 * (slope - change)), 0.1, 0.5))
    return None
