"""DAH's model in jhash, ready to be timed, and the base of its peers: for `dah_throughput.py`."""

import os
import time
import types
from typing import NamedTuple

import numpy as np

BITS, CLASSES = 48, 10
CONFIG = types.SimpleNamespace(
    bits=BITS,
    method=types.SimpleNamespace(threshold=1 / 4.8, dissimilar="hinge", phi1=1.0, phi2=1.0),
)
DTYPES = "float32", "bfloat16"


class Job(NamedTuple):
    """A computation to time.

    Attributes:
      task: "train" or "encode" of the model, "forward" or "gradients" of a depthwise convolution.
      batch: Images.
      shape: (height, width, channels).
      form: Form of jhash's operations (`jhash.forms`), "shifted" of CPUs or "xla" of accelerators;
        PyTorch has only one.
      dtype: "float32" or "bfloat16".
    """

    task: str
    batch: int
    shape: tuple
    form: str
    dtype: str = "float32"

    def arrays(self):
        """Makes images and labels; for the convolution input, kernel and gradient of the output."""
        rng = np.random.default_rng(0)
        x, g = rng.normal(size=(2, self.batch, *self.shape)).astype(np.float32)
        if self.task in ("train", "encode"):
            return x, np.arange(self.batch) % CLASSES
        return x, rng.normal(size=(3, 3, self.shape[-1])).astype(np.float32), g


class Side:
    """One of the sides of a comparison: it prepares jobs and times calls.

    A subclass has a method per task, (job, weights) -> (call,) or (call, gradients). call() starts
    a call and returns its results by name; gradients() returns the gradients of the first training
    step by path. It also has `wait(results)`, which returns when they are computed, and
    `numpy(array)`.
    """

    def __init__(self):
        self.calls, self.prepared = {}, {}

    def prepare(self, job, weights=None):
        """Returns (results of the first call by name, seconds of the third); cached."""
        if job not in self.prepared:
            call, *gradients = getattr(self, job.task)(job, weights)
            results = {name: self.numpy(value) for name, value in call().items()}
            if gradients:
                norms = {k: np.linalg.norm(self.numpy(g)) for k, g in gradients[0]().items()}
                results["gradients"] = np.array([norms[path] for path in sorted(norms)])
            self.calls[job] = call
            self.seconds(job, 1)
            self.prepared[job] = results, self.seconds(job, 1)
        return self.prepared[job]

    def seconds(self, job, calls):
        """Returns the seconds per call in a burst of calls."""
        began = time.perf_counter()
        for _ in range(calls):
            results = self.calls[job]()
        self.wait(results)
        return (time.perf_counter() - began) / calls


class Jhash(Side):
    """The model of jhash."""

    def __init__(self):
        super().__init__()
        # PyTorch needs some of the device's memory, too.
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        import jax
        from flax import traverse_util

        from jhash import forms
        from jhash.models import resnet30
        from jhash.models.layers import convolutions

        if jax.default_backend() != "cpu":
            jax.config.update("jax_default_matmul_precision", "highest")
        self.jax, self.paths = jax, traverse_util
        self.convolutions, self.forms = convolutions, forms
        self.models = {
            dtype: resnet30.ResNet30(BITS, classes=CLASSES, dtype=dtype) for dtype in DTYPES
        }
        self.wait, self.numpy = jax.block_until_ready, np.asarray

    def about(self):
        """Returns (device, version, form that jhash chooses)."""
        device = self.jax.local_devices()[0]
        kind = "CPU" if device.platform == "cpu" else device.device_kind
        form = "shifted" if device.platform == "cpu" else "xla"
        return kind, f"jax {self.jax.__version__}", form

    def weights(self, shape):
        """Draws parameters and statistics by path, so that none can be mistaken for another."""
        rng, images = np.random.default_rng(1), np.zeros((1, *shape), np.float32)
        init, key = self.models["float32"].init, self.jax.random.key(0)
        leaves = self.jax.eval_shape(lambda: init(key, images, False))

        def draw(path, leaf):
            noise = rng.normal(size=leaf.shape).astype(np.float32)
            if path.endswith(("scale", "var")):
                return np.exp(0.1 * noise)
            return noise / np.sqrt(np.prod(leaf.shape[:-1], dtype=np.float32))  # By the fan-in.

        leaves = self.paths.flatten_dict(leaves, sep="/")
        return {path: draw(path, leaf) for path, leaf in leaves.items()}

    def compile(self, form, function, args, donate=()):
        """Compiles a function, with the convolutions in a form."""
        with self.forms.use("cpu" if form == "shifted" else "accelerator"):
            return self.jax.jit(function, donate_argnums=donate).lower(*args).compile()

    def train(self, job, weights):
        import optax

        from jhash.methods.deep import dah

        jax, model, optimizer = self.jax, self.models[job.dtype], optax.adam(1e-3)

        def step(state, images, labels):
            params, statistics, moments = state

            def objective(params):
                variables = {"params": params, "batch_stats": statistics}
                outputs, changed = model.apply(variables, images, True, mutable=["batch_stats"])
                loss, _ = dah.loss(outputs, {"labels": labels}, {}, CONFIG)
                return loss, ({**outputs, "loss": loss}, changed["batch_stats"])

            gradients, (results, statistics) = jax.grad(objective, has_aux=True)(params)
            updates, moments = optimizer.update(gradients, moments, params)
            return (optax.apply_updates(params, updates), statistics, moments), results

        variables = jax.device_put(self.paths.unflatten_dict(weights, sep="/"))
        params = variables["params"]
        state = params, variables["batch_stats"], optimizer.init(params)
        arrays = jax.device_put(job.arrays())
        step = self.compile(job.form, step, (state, *arrays), donate=0)

        def call():
            nonlocal state
            state, results = step(state, *arrays)
            return results

        # Adam's first moment is a tenth of the first gradient.
        return call, lambda: self.paths.flatten_dict({"params": state[2][0].mu}, sep="/")

    def encode(self, job, weights):
        variables = self.paths.unflatten_dict(weights, sep="/")

        def encode(variables, images):
            return self.models[job.dtype].apply(variables, images, False)

        return self.repeat(job, encode, variables, job.arrays()[0])

    def forward(self, job, _):
        def forward(x, kernel):
            return {"output": self.convolutions.depthwise(x, kernel)}

        return self.repeat(job, forward, *job.arrays()[:2])

    def gradients(self, job, _):
        def gradients(x, kernel, g):
            pullback = self.jax.vjp(self.convolutions.depthwise, x, kernel)[1]
            return dict(zip(("input", "kernel"), pullback(g), strict=True))

        return self.repeat(job, gradients, *job.arrays())

    def repeat(self, job, function, *args):
        args = self.jax.device_put(args)
        compiled = self.compile(job.form, function, args)
        return (lambda: compiled(*args),)
