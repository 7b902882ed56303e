"""DAH's network in jhash and in PyTorch, each side ready to be timed: for `dah_throughput.py`."""

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
    """What is timed: train or encode, or the depthwise convolution's forward or gradients."""

    task: str
    batch: int
    shape: tuple
    form: str  # Of jhash.models.convolutions: "shifted" or "xla". PyTorch has but one.
    dtype: str = "float32"

    def arrays(self):
        """Images and labels, or of the convolution: input, kernel and the output's gradient."""
        rng = np.random.default_rng(0)
        x, g = rng.normal(size=(2, self.batch, *self.shape)).astype(np.float32)
        if self.task in ("train", "encode"):
            return x, np.arange(self.batch) % CLASSES
        return x, rng.normal(size=(3, 3, self.shape[-1])).astype(np.float32), g


class Side:
    """Prepares jobs and times calls, in a process of its own.

    The method named as a task gives call and, in training, gradients: call() starts a call and
    gives its results by name, gradients() those of the first step by path.
    """

    def __init__(self):
        self.calls, self.prepared = {}, {}

    def prepare(self, job, weights=None):
        """(results of the first call by name, seconds of the third); once for equal jobs."""
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
        """Of each call in a burst."""
        began = time.perf_counter()
        for _ in range(calls):
            results = self.calls[job]()
        self.wait(results)
        return (time.perf_counter() - began) / calls


class Jhash(Side):
    def __init__(self):
        super().__init__()
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # PyTorch needs room too.
        import jax
        from flax import traverse_util

        from jhash.models import resnet30
        from jhash.models.layers import convolutions

        if jax.default_backend() != "cpu":
            jax.config.update("jax_default_matmul_precision", "highest")
        self.jax, self.paths, self.convolutions = jax, traverse_util, convolutions
        self.models = {
            dtype: resnet30.ResNet30(BITS, classes=CLASSES, dtype=dtype) for dtype in DTYPES
        }
        self.wait, self.numpy = jax.block_until_ready, np.asarray

    def about(self):
        """(device, version, form that jhash chooses)."""
        device = self.jax.local_devices()[0]
        kind = "CPU" if device.platform == "cpu" else device.device_kind
        form = "shifted" if self.convolutions._on_cpu() else "xla"
        return kind, f"jax {self.jax.__version__}", form

    def weights(self, shape):
        """Random parameters and statistics by path: none can be taken for another."""
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
        on_cpu = self.convolutions._on_cpu
        self.convolutions._on_cpu = lambda: form == "shifted"
        try:
            return self.jax.jit(function, donate_argnums=donate).lower(*args).compile()
        finally:
            self.convolutions._on_cpu = on_cpu

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


class PyTorch(Side):
    """The same network in torch.nn.functional; `w` holds tensors by the paths of jhash's leaves."""

    def __init__(self):
        super().__init__()
        import torch

        self.torch, self.F = torch, torch.nn.functional
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        torch.set_num_threads(len(os.sched_getaffinity(0)))
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = True

    def about(self):
        kind = "CPU" if self.device == "cpu" else self.torch.cuda.get_device_name()
        return kind, f"torch {self.torch.__version__}"

    def wait(self, _):
        if self.device == "cuda":
            self.torch.cuda.synchronize()

    def numpy(self, tensor):
        return tensor.detach().float().cpu().numpy()

    def images(self, x):
        """[B, H, W, C] as a [B, C, H, W] that lies in memory as before: channels_last."""
        return self.torch.from_numpy(x).to(self.device).permute(0, 3, 1, 2)

    def weight(self, path, value):
        """A leaf of jhash in PyTorch's order."""
        value = self.torch.from_numpy(value)
        if path.endswith("pointwise"):
            value = value[None, None]
        elif value.ndim == 3:  # Depthwise: one channel goes into each output.
            value = value[:, :, None]
        if value.ndim < 4:
            return value.t().to(self.device, copy=True)
        value = value.permute(3, 2, 0, 1).contiguous(memory_format=self.torch.channels_last)
        return value.to(self.device, copy=True)

    def separable(self, w, path, x, stride=1):
        depthwise, pointwise = w[f"{path}/depthwise"], w[f"{path}/pointwise"]
        if depthwise.shape[-1] == 1:
            return self.F.conv2d(x, pointwise * depthwise.transpose(0, 1), stride=stride)
        return self.F.conv2d(self.depthwise(x, depthwise), pointwise)

    def depthwise(self, x, kernel):
        return self.F.conv2d(x, kernel, padding=1, groups=len(kernel))

    def norm(self, w, path, x, train, relu=True):
        statistics = [w[f"batch_stats/{path}/{name}"] for name in ("mean", "var")]
        affine = [w[f"params/{path}/{name}"] for name in ("scale", "bias")]
        x = self.F.batch_norm(x, *statistics, *affine, train, 0.01, 1e-5)
        return x.relu_() if relu else x

    def block(self, w, path, x, stride, train):
        def layer(name, x, stride=1, relu=True):
            x = self.separable(w, f"params/{path}/{name}", x, stride)
            return self.norm(w, f"{path}/{name}_norm", x, train, relu)

        y = layer("third", layer("second", layer("first", x, stride or 1)), relu=False)
        return (y + (layer("shortcut", x, stride, relu=False) if stride else x)).relu_()

    def dense(self, w, path, x):
        return self.F.linear(x, w[f"params/{path}/kernel"], w[f"params/{path}/bias"])

    def attend(self, w, path, x):
        pooled = self.torch.stack([x.mean((2, 3)), x.amax((2, 3))])
        hidden = self.dense(w, f"{path}/channel/hidden", pooled).relu()
        weights = self.dense(w, f"{path}/channel/output", hidden).sum(0).sigmoid()
        x = x * weights[:, :, None, None]
        pooled = self.torch.stack([x.mean(1), x.amax(1)], 1)
        kernel = w[f"params/{path}/spatial/conv_scaled"] / 98**0.5
        return x * self.F.conv2d(pooled, kernel, padding=3).sigmoid()

    def network(self, w, x, train):
        x = self.norm(w, "input_norm", x, train, relu=False)
        x = self.F.conv2d(x, w["params/stem"], padding=1)
        # One input channel leaves the order in memory open, so this convolution may choose another.
        x = x.contiguous(memory_format=self.torch.channels_last)
        x = self.F.max_pool2d(self.norm(w, "stem_norm", x, train), 3, 1, 1)
        x = self.attend(w, "attention_0", x)
        for stage in (1, 2, 3):
            for block in (0, 1, 2):
                x = self.block(w, f"stage_{stage}_block_{block}", x, None if block else 2, train)
            if stage < 3:
                x = self.attend(w, f"attention_{stage}", x)
        hashed = self.dense(w, "hash", x.mean((2, 3))).float()
        logits = self.dense(w, "classes", 0.25 + 0.5 * hashed.sigmoid()).float()
        return {"hash": hashed, "classes": logits}

    def loss(self, outputs, labels):
        x = 0.25 + 0.5 * outputs["hash"].sigmoid()
        difference = x[:, None] - x
        apart = BITS * CONFIG.method.threshold + (-difference.abs()).log1p().sum(2)
        similar = labels[:, None] == labels
        similarity = self.torch.where(similar, difference.square().sum(2), apart.relu())
        total = (x - 0.5).sum(1)
        balance = (total[:, None] + total).square()
        pairs = ~self.torch.eye(len(x), dtype=bool, device=self.device)
        classification = self.F.cross_entropy(outputs["classes"], labels)
        return (similarity + balance)[pairs].mean() + classification

    def inputs(self, job, weights):
        w = {path: self.weight(path, value) for path, value in weights.items()}
        half = job.dtype == "bfloat16"
        autocast = self.torch.autocast(self.device, self.torch.bfloat16, enabled=half)
        images, labels = job.arrays()
        return w, autocast, self.images(images), self.torch.from_numpy(labels).to(self.device)

    def train(self, job, weights):
        w, autocast, images, labels = self.inputs(job, weights)
        params = {k: v.requires_grad_() for k, v in w.items() if k.startswith("params/")}
        adam = self.torch.optim.Adam(params.values(), 1e-3, fused=True)

        def call():
            adam.zero_grad()
            with autocast:
                outputs = self.network(w, images, True)
            loss = self.loss(outputs, labels)
            loss.backward()
            adam.step()
            return {**outputs, "loss": loss}

        return call, lambda: {path: adam.state[p]["exp_avg"] for path, p in params.items()}

    def encode(self, job, weights):
        w, autocast, images, _ = self.inputs(job, weights)

        def call():
            with self.torch.inference_mode(), autocast:
                return self.network(w, images, False)

        return (call,)

    def forward(self, job, _):
        x, kernel, _ = job.arrays()
        x, kernel = self.images(x), self.weight("depthwise", kernel)

        def call():
            with self.torch.inference_mode():
                return {"output": self.depthwise(x, kernel).permute(0, 2, 3, 1)}

        return (call,)

    def gradients(self, job, _):
        x, kernel, g = job.arrays()
        x, kernel, g = self.images(x), self.weight("depthwise", kernel), self.images(g)
        inputs = x.requires_grad_(), kernel.requires_grad_()
        y = self.depthwise(*inputs)

        def call():
            of_x, of_kernel = self.torch.autograd.grad(y, inputs, g, retain_graph=True)
            return {"input": of_x.permute(0, 2, 3, 1), "kernel": of_kernel[:, 0].permute(1, 2, 0)}

        return (call,)
