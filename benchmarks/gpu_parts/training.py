"""Training in images per second, against PyTorch.

A step is the forward pass, the likelihood loss of pairs, the gradient and SGD with momentum, with
float32 parameters. Images are on the device. PyTorch runs eagerly, with channels_last, autocast and
a fused optimizer. Both sides take turns. ResNet30 is DAH's with its own loss and Adam, whose
outputs, loss and gradients are compared with PyTorch's first; see `dah_throughput`. Of the other
models only the number of parameters is compared, and that both losses are finite.
"""

import functools
from typing import NamedTuple

import numpy as np

from gpu_parts import timing

BITS, CLASSES = 48, 10


class Case(NamedTuple):
    """A model to train.

    Attributes:
      name: `module.Class` of `jhash.models`.
      side: Side of the images in pixels.
      batch: Images of a batch.
      fields: Fields of the model.
      twin: Name in `peers.torch_models`; empty if there is no peer.
      small: Fields of the model with `--quick`, for images of 16 pixels. A twin takes them, too.
    """

    name: str
    side: int
    batch: int
    fields: dict
    twin: str
    small: dict


CASES = {
    "small_cnn": Case("small_cnn.SmallCNN", 32, 1024, {}, "SmallCNN", {"widths": (4, 8)}),
    "small_resnet": Case(
        "small_resnet.SmallResNet", 32, 512, {}, "SmallResNet", {"stem": 4, "widths": (4, 8)}
    ),
    "resnet30": Case(
        "resnet30.ResNet30", 32, 200, {}, "", {"stages": ((8, 8, 16),), "identity_blocks": 0}
    ),
    "invertible_net": Case(
        "invertible_net.InvertibleNet", 32, 256, {"stages": (4, 8, 4)}, "", {"stages": (1, 1)}
    ),
    "cnn_f": Case("cnn_f.CNNF", 224, 256, {}, "cnn_f", {"widths": (4,) * 5, "hidden": 8}),
    "alexnet": Case("alexnet.AlexNet", 224, 256, {}, "alexnet", {"widths": (4,) * 5, "hidden": 8}),
}
DTYPE = "bfloat16"


def rows(quick, name):
    """Yields one row: images per second of both sides."""
    if name == "resnet30" and not quick:
        yield _dah(CASES[name].batch)
        return
    case = CASES[name]
    if quick:
        case = case._replace(side=16, batch=8, fields=case.small)
    ours = Ours(case)
    sides, result = [ours], "no peer"
    if case.twin:
        theirs, result = _twin(case)
        sides += [theirs] if theirs else []
    for side in sides:
        side.step()
        side.wait()
        if not np.isfinite(side.loss()):
            raise FloatingPointError(f"{type(side).__name__}: a loss of {side.loss()}")
        if side.parameters != ours.parameters:
            raise ValueError(
                f"{name}: {ours.parameters} parameters of jhash, {side.parameters} of PyTorch"
            )
    turn = 0.01 if quick else 1.0
    seconds = timing.seconds([(side.step, side.wait) for side in sides], turn)
    yield _row(name, case.side, case.batch, seconds, result)


def _row(name, side, batch, seconds, result):
    rates = [batch / value for value in seconds]
    return {
        "table": "training",
        "model": name,
        "image": f"{side} x {side}",
        "batch": batch,
        "dtype": DTYPE,
        "jhash_images_per_s": round(rates[0], 1),
        "pytorch_images_per_s": round(rates[1], 1) if rates[1:] else result,
        "ratio": round(rates[0] / rates[1], 2) if rates[1:] else "",
    }


class Ours:
    """The training step of jhash."""

    def __init__(self, case):
        import jax
        import jax.numpy as jnp
        import optax

        from jhash import models
        from jhash.losses import pairwise

        model = models.build(case.name, BITS, dtype=DTYPE, **case.fields)
        rng = np.random.default_rng(0)
        images = jnp.asarray(rng.normal(size=(case.batch, case.side, case.side, 3)), jnp.float32)
        labels = jnp.arange(case.batch) % CLASSES
        init = functools.partial(model.init, train=False)
        variables = dict(jax.jit(init)(jax.random.key(0), images[:1]))
        self.parameters = models.count_parameters(variables["params"])
        optimizer = optax.sgd(1e-4, 0.9)

        def step(params, statistics, moments, key):
            key, dropout = jax.random.split(key)

            def objective(params):
                outputs, changed = model.apply(
                    {"params": params, "batch_stats": statistics},
                    images,
                    True,
                    mutable=["batch_stats"],
                    rngs={"dropout": dropout},
                )
                similar = pairwise.similar(labels)
                pairs = pairwise.likelihood_loss(outputs, similar)
                return pairwise.mean_over_pairs(pairs), changed.get("batch_stats", {})

            (loss, changed), gradient = jax.value_and_grad(objective, has_aux=True)(params)
            updates, moments = optimizer.update(gradient, moments, params)
            return (optax.apply_updates(params, updates), changed, moments, key), loss

        self._step = jax.jit(step, donate_argnums=(0, 1, 2, 3))
        params, statistics = variables["params"], variables.get("batch_stats", {})
        self._state = params, statistics, optimizer.init(params), jax.random.key(1)
        self._wait = jax.block_until_ready

    def step(self):
        self._state, self._loss = self._step(*self._state)

    def wait(self):
        self._wait(self._state)

    def loss(self):
        return float(self._loss)


class Theirs:
    """The training step of PyTorch."""

    def __init__(self, torch, build, device, case):
        self._torch, self._device = torch, device
        torch.backends.cudnn.benchmark = True
        model = build(BITS, 3, case.side, **case.fields).to(device)
        self._model = model.to(memory_format=torch.channels_last)
        self.parameters = sum(value.numel() for value in self._model.parameters())
        self._optimizer = torch.optim.SGD(self._model.parameters(), 1e-4, 0.9, fused=True)
        rng = np.random.default_rng(0)
        images = rng.normal(size=(case.batch, 3, case.side, case.side)).astype(np.float32)
        images = torch.from_numpy(images).to(device)
        self._images = images.contiguous(memory_format=torch.channels_last)
        labels = torch.arange(case.batch, device=device) % CLASSES
        self._sign = torch.where(labels[:, None] == labels, -0.5, 0.5)
        self._pairs = ~torch.eye(case.batch, dtype=torch.bool, device=device)

    def step(self):
        torch = self._torch
        self._optimizer.zero_grad()
        with torch.autocast(self._device, torch.bfloat16):
            outputs = self._model(self._images)
        outputs = outputs.float()
        wrong = self._sign * (outputs @ outputs.T)
        self._loss = torch.nn.functional.softplus(wrong).masked_select(self._pairs).mean()
        self._loss.backward()
        self._optimizer.step()

    def wait(self):
        if self._device == "cuda":
            self._torch.cuda.synchronize()

    def loss(self):
        return float(self._loss)


def _twin(case):
    """Returns (side of PyTorch on the device of JAX or None, why there is none)."""
    import jax

    try:
        import torch
        from peers import torch_models
    except ImportError as error:
        return None, f"not installed: {error.name}"
    device = "cpu" if jax.default_backend() == "cpu" else "cuda"
    if device == "cuda" and not torch.cuda.is_available():
        return None, "PyTorch without CUDA"
    return Theirs(torch, getattr(torch_models, case.twin), device, case), ""


def _dah(batch):
    """Times DAH's model and loss, once the results of both sides agree."""
    from dah_sides import Jhash, Job
    from dah_throughput import TOLERANCE

    job = Job("train", batch, (CASES["resnet30"].side,) * 2 + (3,), "xla", DTYPE)
    ours = Jhash()
    weights = ours.weights(job.shape)
    results, _ = ours.prepare(job, weights)
    sides, reason = [ours], ""
    try:
        from peers.dah_torch import PyTorch

        theirs = PyTorch()
    except ImportError as error:
        reason = f"not installed: {error.name}"
    else:
        if (theirs.device == "cpu") != (ours.about()[0] == "CPU"):
            reason = "PyTorch without CUDA"
        else:
            expected, _ = theirs.prepare(job, weights)
            for name, value in results.items():
                atol = TOLERANCE[DTYPE][name == "gradients"] * np.abs(expected[name]).max()
                np.testing.assert_allclose(value, expected[name], 0, atol, err_msg=name)
            sides.append(theirs)
    times = [[side.seconds(job, 20) for side in sides] for _ in range(timing.TURNS)]
    return _row("resnet30", job.shape[0], batch, np.median(times, axis=0).tolist(), reason)
