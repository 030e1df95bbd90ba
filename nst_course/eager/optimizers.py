"""The two optimisers of the eager edition, Adam and L-BFGS, on NumPy arrays.

An optimiser is a frozen dataclass of its settings with one method, ``minimize(evaluate, x, iterations, bounds,
accept)``: `evaluate` computes the costs at `x` (their total first) and the gradient, `accept` is called with every
iterate and its costs. Nothing is returned: who wants the iterates listens.
"""

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

    def step(self, x, m, v, g, t, sqrt=np.sqrt):
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

        Returns
        -------
        x, m, v
            As they are after the step.
        """
        m = self.beta_1 * m + (1 - self.beta_1) * g
        v = self.beta_2 * v + (1 - self.beta_2) * g * g
        rate = self.learning_rate * sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)
        return x - rate * m / (sqrt(v) + self.epsilon), m, v

    def minimize(self, evaluate, x, iterations, bounds, accept):
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
        """
        m = v = np.zeros_like(x)
        costs, g = evaluate(x)
        for t in range(1, iterations + 1):
            x, m, v = self.step(x, m, v, g, t)
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
    """Limited-memory BFGS, SciPy's L-BFGS-B. An iteration is an accepted step; some need several evaluations.

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
    Zhu, Byrd, Lu and Nocedal 1997, "Algorithm 778: L-BFGS-B".
    """

    memory: int = 10

    def __post_init__(self):
        if self.memory < 1:
            raise ValueError(f"memory must be at least 1 step; found {self.memory}.")

    def minimize(self, evaluate, x, iterations, bounds, accept):
        """Take up to `iterations` accepted steps from `x`; fewer where no direction leads down any more.

        Parameters
        ----------
        evaluate, x, iterations, bounds, accept
            As in `Adam.minimize`; the bounds hold for every evaluation.
        """
        from scipy.optimize import Bounds, minimize

        shape, scale, latest, taken, stopped = x.shape, None, None, 0, None
        # SciPy's first step has length 1 and grows at most fourfold at each try. In units of 5 % of the picture's
        # contrast it starts about where it ends; in grey levels it would be five evaluations away.
        unit = 0.05 * float(np.linalg.norm(x - x.mean())) or 1.0

        def picture(flat):
            x = (flat * unit).reshape(shape).astype(np.float32)
            return x if bounds is None else np.clip(x, *bounds)  # rounding may have led a hair beyond

        def function(flat):
            nonlocal scale, latest
            x = picture(flat)
            costs, g = evaluate(x)
            latest = x, costs
            # Costs run from 1e-3 to 1e10; the line search is at home near 1.
            scale = scale or float(costs[0]) or 1.0
            return float(costs[0]) / scale, g.ravel().astype(np.float64) * (unit / scale)

        def callback(xk):
            nonlocal taken, stopped
            taken += 1
            try:
                accept(*latest)  # the point a line search accepts is the last it evaluated
            except StopIteration as error:  # SciPy would end the run and keep it to itself
                stopped = error
                raise

        flat = x.ravel().astype(np.float64) / unit
        box = None
        if bounds is not None:
            box = Bounds(*(np.broadcast_to(bound, shape).ravel().astype(np.float64) / unit for bound in bounds))
        while taken < iterations:
            before = taken
            options = {"maxcor": self.memory, "maxiter": iterations - taken, "maxfun": np.inf, "ftol": 0, "gtol": 0}
            flat = minimize(
                function, flat, jac=True, method="L-BFGS-B", bounds=box, callback=callback, options=options
            ).x
            if stopped:
                raise stopped
            if taken == before:
                break
            # The costs are float32, so that a line search can fail long before the minimum: a fresh start, without
            # the curvature gathered so far, usually finds a way on.

    def n_bytes(self, size):
        """Return how much memory the optimiser takes for a picture of `size` numbers."""
        return (2 * self.memory + 16) * 8 * size
