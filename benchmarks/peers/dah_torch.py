"""DAH's model in PyTorch, ready to be timed: the peer of `dah_throughput.py`."""

import os

from dah_sides import BITS, CONFIG, Side


class PyTorch(Side):
    """The model in torch.nn.functional; `w` has tensors by the paths of jhash's parameters."""

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
        """Views [B, H, W, C] as [B, C, H, W], in the same order in memory: channels_last."""
        return self.torch.from_numpy(x).to(self.device).permute(0, 3, 1, 2)

    def weight(self, path, value):
        """Converts a parameter of jhash to PyTorch's order of axes."""
        value = self.torch.from_numpy(value)
        if path.endswith("pointwise"):
            value = value[None, None]
        elif value.ndim == 3:  # Depthwise: each output has one input channel.
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

    def model(self, w, x, train):
        x = self.norm(w, "input_norm", x, train, relu=False)
        x = self.F.conv2d(x, w["params/stem"], padding=1)
        # With one input channel the convolution may choose another order in memory.
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
                outputs = self.model(w, images, True)
            loss = self.loss(outputs, labels)
            loss.backward()
            adam.step()
            return {**outputs, "loss": loss}

        return call, lambda: {path: adam.state[p]["exp_avg"] for path, p in params.items()}

    def encode(self, job, weights):
        w, autocast, images, _ = self.inputs(job, weights)

        def call():
            with self.torch.inference_mode(), autocast:
                return self.model(w, images, False)

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
