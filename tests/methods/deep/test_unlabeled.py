"""Deep methods without labels, against loops in NumPy in float64.

The fields of the methods are those of their configs. Kill and resume, and one device against eight,
are in tests/test_hooks.py.
"""

import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs.baselines import unlabeled
from jhash import parallel
from jhash.data import ArraySource, Data
from jhash.errors import InputError
from jhash.experiment import TrainState, build
from jhash.losses import contrastive
from jhash.methods import diffused_codes, load, teachers
from jhash.methods.deep import tbh, uhscm
from jhash.runs import workdirs
from tests.support import tiny

pytestmark = pytest.mark.usefixtures("quick_compilation")

N, B, L, Z = 20, 8, 6, 5
# 18 images in mixed order train, two are queries.
ORDER = np.random.default_rng(3).permutation(N)
TRAIN, QUERIES = ORDER[:18], ORDER[18:]
INDEX = TRAIN[[3, 11, 4, 17, 0, 7, 12, 5]]
# Cosines of six concepts, of which the last is the best of none of the images.
SCORES = np.random.default_rng(5).normal(size=(N, 6)).astype(np.float32) / 10 - [0, 0, 0, 0, 0, 1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Has the files of features and of scores of all images."""
    folder = tmp_path_factory.mktemp("files")
    features = np.random.default_rng(4).normal(size=(N, Z)).astype(np.float32) + 1
    np.save(folder / "features.npy", features)
    np.save(folder / "scores.npy", SCORES.astype(np.float32))
    return folder


def config_of(name, folder, **fields):
    config = unlabeled.get_config(f"{name},bits={L}")
    config.batch_size = B
    if name in unlabeled.TAUGHT:
        config.method.features.file = str(folder / "features.npy")
    if name == "uhscm":
        config.method.scores = str(folder / "scores.npy")
    if name == "tbh":
        config.method.update(width=Z, hidden=7)
    config.method.update(fields)
    return config


def data_of():
    source = ArraySource(np.zeros((N, 2, 2, 1), np.uint8), np.zeros(N, np.int64))
    return Data(source, TRAIN, TRAIN, QUERIES)


def outputs_of(name, seed=0):
    views = {"cibhash": (2,), "deepbit": (5,)}.get(name, ())
    return np.random.default_rng(seed).normal(size=(*views, B, L)).astype(np.float32)


def state_of(name, config):
    method, data = load(name), data_of()
    _, state = method.prepare(config, data, jax.random.key(0))
    if method.pretrain:
        kind = lambda leaf: (leaf.shape, leaf.dtype)  # noqa: E731
        before = jax.tree.map(kind, state)
        _, state = method.pretrain(config, data, {}, state, "")
        assert jax.tree.map(kind, state) == before
    return state


def sign(u):
    return np.where(u > 0, 1.0, -1.0)


def cosine(x, y):
    return x @ y / np.sqrt((x @ x) * (y @ y))


def sigmoid(u):
    return 1 / (1 + np.exp(-u))


def directions(folder, center=True):
    features = np.float64(np.load(folder / "features.npy"))
    return features - features[TRAIN].mean(0) if center else features


def halves(codes, x):
    """Each image of the first half with one of the second."""
    pairs = zip(range(B // 2), range(B // 2, B), strict=True)
    return np.mean([(cosine(codes[i], codes[j]) - cosine(x[i], x[j])) ** 2 for i, j in pairs])


def of_bihalf(u, folder):
    codes = np.full_like(u, -1)
    for bit in range(L):
        codes[sorted(range(B), key=lambda i: -u[i, bit])[: B // 2], bit] = 1
    return halves(codes, directions(folder)[INDEX])


def of_greedyhash_unsupervised(u, folder):
    cubes = np.mean([abs(abs(value) - 1) ** 3 for value in u.reshape(-1)])
    return halves(sign(u), directions(folder)[INDEX]) + 0.1 * cubes


def ssdh_thresholds(x, deviations):
    distances = [1 - cosine(x[i], x[j]) for i in TRAIN for j in TRAIN if i < j]
    counts = np.zeros(200)
    for distance in distances:
        counts[int(distance / 0.01)] += 1
    mode = 0.01 * counts.argmax()
    left = [(distance - mode) ** 2 for distance in distances if distance < mode]
    right = [(distance - mode) ** 2 for distance in distances if distance >= mode]
    spread = [np.sqrt(np.mean(side)) if side else 0.0 for side in (left, right)]
    return mode - deviations * spread[0], mode + deviations * spread[1]


def of_ssdh_unsupervised(u, folder, deviations=0.5):
    x = directions(folder)
    near, far = ssdh_thresholds(x, deviations)
    total, x, h = 0.0, x[INDEX], np.tanh(u)
    for i in range(B):
        for j in range(B):
            distance = 1 - cosine(x[i], x[j])
            target = 1 if distance < near else -1 if distance > far else 0
            total += abs(target) * (h[i] @ h[j] / L - target) ** 2
    return total / B**2


def of_uhscm(u, folder):
    best = [int(np.argmax(row)) for row in SCORES[TRAIN]]
    left = [concept for concept in range(6) if best.count(concept) > len(TRAIN) / 12]
    assert 0 < len(left) < 6
    p = np.exp(3 * len(left) * SCORES[INDEX][:, left])
    p /= p.sum(1, keepdims=True)
    errors, contrast, similar = 0.0, 0.0, 0
    for i in range(B):
        s = [2 * cosine(p[i], p[j]) - 1 for j in range(B)]
        c = [cosine(u[i], u[j]) for j in range(B)]
        others = sum(np.exp(c[j] / 0.2) for j in range(B) if s[j] < 0.8) + 1e-5
        for j in range(B):
            errors += (c[j] - s[j]) ** 2
            if s[j] >= 0.8:
                contrast -= np.log(np.exp(c[j] / 0.2) / others)
                similar += 1
    assert B <= similar < B**2
    distance = np.mean([np.sum((row - sign(row)) ** 2) for row in u])
    return errors / B**2 + 0.001 * distance + 0.2 * contrast / similar


def test_uhscm_s_contrast_is_finite_at_low_temperatures():
    u = np.random.default_rng(0).normal(size=(B, L)).astype(np.float32)
    similar = np.eye(B, dtype=bool)
    similar[0] = similar[:, 0] = True
    c = np.float64([[cosine(x, y) for y in u] for x in u]) / 0.005
    # The sum over other images is larger than float32 can have, or there are none, as for image 0.
    sums = np.where(similar, 0, np.exp(c)).sum(1) + 1e-5
    expected = np.where(similar, np.log(sums)[:, None] - c, 0)
    assert sums.max() > np.finfo(np.float32).max
    loss = functools.partial(contrastive.similar_pairs_loss, temperature=0.005)
    np.testing.assert_allclose(loss(u, similar), expected, rtol=1e-4)
    gradient = jax.grad(lambda u: loss(u, similar).sum())(u)
    assert np.isfinite(gradient).all()


def of_cibhash(u, folder):
    return contrast_of_cibhash(sign(u)) + 0.001 * divergence_of(u)


def contrast_of_cibhash(views):
    views, contrast = views.reshape(2 * B, L), 0.0
    for i in range(2 * B):
        near = [np.exp(cosine(views[i], views[j]) / 0.3) if j != i else 0 for j in range(2 * B)]
        contrast -= np.log(near[(i + B) % (2 * B)] / sum(near)) / (2 * B)
    return contrast


def divergence_of(u):
    p, divergence = sigmoid(u), 0.0
    for one, other in ((p[0], p[1]), (p[1], p[0])):
        terms = one * np.log(one / other) + (1 - one) * np.log((1 - one) / (1 - other))
        divergence += terms.sum(1).mean() / 2
    return divergence


def of_deepbit(u, folder):
    b = (sign(u[0]) + 1) / 2
    quantization = np.mean([np.sum((b[i] - 0.5 - u[0, i]) ** 2) for i in range(B)])
    balance = sum((b[:, bit].mean() - 0.5) ** 2 for bit in range(L))
    return quantization + balance + 0.001 * rotation_of_deepbit(u)


def rotation_of_deepbit(u):
    rotation = 0.0
    for view, steps in ((1, 1), (2, -1), (3, 2), (4, -2)):
        distances = np.sum((u[view] - u[0]) ** 2, axis=1)
        rotation += np.exp(-(steps**2) / 2) * distances.mean()
    return rotation


EXPECTED = {
    "bihalf": of_bihalf,
    "greedyhash_unsupervised": of_greedyhash_unsupervised,
    "ssdh_unsupervised": of_ssdh_unsupervised,
    "uhscm": of_uhscm,
    "cibhash": of_cibhash,
    "deepbit": of_deepbit,
}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_objective_is_the_papers(name, folder):
    """It is finite at extreme outputs, and has a gradient in every output."""
    fields = {
        "bihalf": {"pairs": "halves"},
        "greedyhash_unsupervised": {"pairs": "halves"},
        # Of so few pairs none is clear by two deviations from the mode.
        "ssdh_unsupervised": {"deviations": 0.5, "center": True},
    }
    config, method = config_of(name, folder, **fields.get(name, {})), load(name)
    state, u, batch = state_of(name, config), outputs_of(name), {"index": jnp.asarray(INDEX)}
    compiled = jax.jit(
        jax.value_and_grad(lambda u: method.loss(u, batch, state, config), has_aux=True)
    )
    (total, aux), gradient = compiled(u)
    # The directions of a teacher are float16.
    exact = 2e-3 if name in unlabeled.TAUGHT else 1e-5
    np.testing.assert_allclose(total, EXPECTED[name](np.float64(u), folder), rtol=exact)
    assert all(np.shape(value) == () for value in aux.values())
    assert (np.asarray(gradient) != 0).mean() > 0.9
    for extreme in (np.zeros_like(u), 1e4 * np.sign(u)):
        (total, _), gradient = compiled(extreme)
        assert np.isfinite(total)
        assert np.isfinite(gradient).all()


def differences(function, u):
    """The gradient of a function at float64 u, by central differences."""
    gradient = np.zeros_like(u)
    for place in np.ndindex(u.shape):
        step = np.zeros_like(u)
        step[place] = 1e-6
        gradient[place] = (function(u + step) - function(u - step)) / 2e-6
    return gradient


def gradient_of_cibhash(u):
    """Through the codes as if they were the probabilities; the view compared with is fixed."""
    p = sigmoid(u)

    def divergence(view, of):
        fixed = p[1 - view]
        one = sigmoid(of)
        terms = one * np.log(one / fixed) + (1 - one) * np.log((1 - one) / (1 - fixed))
        return 0.001 * terms.sum(1).mean() / 2

    views = [differences(functools.partial(divergence, view), u[view]) for view in (0, 1)]
    return p * (1 - p) * differences(contrast_of_cibhash, sign(u)) + np.stack(views)


def gradient_of_deepbit(u):
    """The bits of the quantization are fixed; those of the balance rise by 1/2 with an output."""
    b, shares = (sign(u[0]) + 1) / 2, sign(u[0]).mean(0) / 2
    fixed = differences(lambda u: np.sum((b - 0.5 - u) ** 2) / B, u[0])
    rotation = differences(lambda u: 0.001 * rotation_of_deepbit(u), u)
    rotation[0] += fixed + 2 * shares / (2 * B)
    return rotation


@pytest.mark.parametrize(
    ("name", "expected"), [("cibhash", gradient_of_cibhash), ("deepbit", gradient_of_deepbit)]
)
def test_what_has_a_gradient_and_what_is_fixed(name, expected, folder):
    config, method, u = config_of(name, folder), load(name), outputs_of(name)
    found = jax.grad(lambda u: method.loss(u, {}, {}, config)[0])(u)
    expected = expected(np.float64(u))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())


def test_cibhash_weighs_the_divergence_of_the_views(folder):
    """It is a thousandth of the loss."""
    config, method = config_of("cibhash", folder), load("cibhash")
    state, u, batch = state_of("cibhash", config), outputs_of("cibhash"), {"index": INDEX}
    terms = method.loss(u, batch, state, config)[1]
    expected = 0.001 * divergence_of(np.float64(u))
    assert expected > 0
    np.testing.assert_allclose(terms["divergence"], expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["bihalf", "greedyhash_unsupervised"])
@pytest.mark.parametrize("center", [False, True])
def test_all_pairs_of_a_batch_can_be_learned(name, center, folder):
    config, method = config_of(name, folder, pairs="all", center=center), load(name)
    state, u = state_of(name, config), outputs_of(name)
    found = method.loss(u, {"index": jnp.asarray(INDEX)}, state, config)
    codes, x = sign(u - (np.median(u, 0) if name == "bihalf" else 0)), directions(folder, center)
    x = x[INDEX]
    errors = [
        (cosine(codes[i], codes[j]) - cosine(x[i], x[j])) ** 2
        for i in range(B)
        for j in range(B)
        if i != j
    ]
    structure = found[1].get("structure", found[0])
    np.testing.assert_allclose(structure, np.mean(errors), rtol=2e-3)


def test_images_have_the_features_of_their_places(folder):
    config = config_of("bihalf", folder)
    state = state_of("bihalf", config)
    expected = directions(folder)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = teachers.of_batch(state, {"index": jnp.asarray(INDEX)})
    np.testing.assert_allclose(found, expected[INDEX], atol=1e-3)


@pytest.mark.parametrize("name", unlabeled.TAUGHT)
def test_a_teacher_can_spread_its_features(name, folder):
    state = state_of(name, config_of(name, folder, diffused=True, center=True))
    features = np.load(folder / "features.npy")[TRAIN]
    graph = diffused_codes.graph(features - features.mean(0))
    np.testing.assert_allclose(state["directions"], graph.left, atol=1e-3)
    plain = state_of(name, config_of(name, folder, center=True))["directions"]
    assert np.abs(plain @ plain.T - graph.left @ graph.right.T).max() > 0.1


def test_concepts_of_few_images_are_dropped():
    scores = np.float32([[1, 0, 0], [1, 0, 0], [1, 0, 0.9], [0, 1, 0], [0, 1, 0], [0.8, 1, 0]])
    found = uhscm.probabilities(scores, 3.0)
    expected = np.exp(6 * scores[:, :2])
    np.testing.assert_allclose(found[:, :2], expected / expected.sum(1, keepdims=True), rtol=1e-5)
    assert not found[:, 2].any()


def expected_players(params, u, latent, x, priors):
    """Both losses of TBH, with loops over pairs."""

    def dense(values, name):
        return values @ np.float64(params[name]["kernel"]) + np.float64(params[name]["bias"])

    bits = (u > 0).astype(np.float64)
    adjacency = np.array([[np.mean(one == other) ** 1.4 for other in bits] for one in bits])
    degrees = adjacency.sum(1)
    values = dense(latent, "mixed")
    mixed = np.zeros_like(values)
    for i in range(B):
        for j in range(B):
            mixed[i] += adjacency[i, j] / np.sqrt(degrees[i] * degrees[j]) * values[j]
    mixed = sigmoid(mixed)
    decoded = dense(np.maximum(dense(mixed, "decoder_hidden"), 0), "decoder")
    critics = 0.0
    for name, real, fake in (("code", priors[0], bits), ("latent", priors[1], mixed)):
        critics -= np.log(sigmoid(dense(real, f"critic_{name}"))).mean()
        critics -= np.log(1 - sigmoid(dense(fake, f"critic_{name}"))).mean()
    return np.mean(np.sum((decoded - x) ** 2, axis=1)) / 2, critics


def test_tbh_has_two_players(folder):
    config = config_of("tbh", folder)
    state, key = state_of("tbh", config), jax.random.key(7)
    raw = np.random.default_rng(0).normal(size=(B, L + 4)).astype(np.float32)
    head = tbh.head(config, None)
    params = jax.jit(head.init, static_argnames="train")(jax.random.key(1), raw, train=True)
    params = params["params"]
    outputs = head.apply({"params": params}, raw, train=True)
    np.testing.assert_array_equal(tbh.hash_outputs(outputs), raw[:, :L])
    batch = {"index": jnp.asarray(INDEX), "key": key}
    found = jax.jit(lambda params: tbh.players(params, outputs, batch, state, config))(params)
    model, critics, error = found
    keys = jax.random.split(key)
    priors = jax.random.bernoulli(keys[0], shape=(B, L)), jax.random.uniform(keys[1], (B, 4))
    x = np.float64(teachers.of_batch(state, batch))
    expected = expected_players(
        params,
        raw[:, :L],
        sigmoid(np.float64(raw[:, L:])),
        x,
        [np.float64(prior) for prior in priors],
    )
    np.testing.assert_allclose([error, critics], expected, rtol=1e-4)
    np.testing.assert_allclose(model, 400 * expected[0] - expected[1], rtol=1e-4)


def test_each_player_of_tbh_follows_its_own_loss(folder):
    """A step of length 1 takes the critics down their loss, and all else down the other one."""
    config = config_of("tbh", folder)
    state, head = state_of("tbh", config), tbh.head(config, None)
    raw = np.random.default_rng(0).normal(size=(B, L + 4)).astype(np.float32)
    init = jax.jit(head.init, static_argnames="train")
    params = {"model": raw, "head": init(jax.random.key(1), raw, train=True)["params"]}
    batch = {"index": jnp.asarray(INDEX), "key": jax.random.key(7)}

    def forward(params, train_state, batch):
        return head.apply({"params": params["head"]}, params["model"], train=True), batch, {}

    experiment = types.SimpleNamespace(config=config, optimizer=optax.sgd(1.0))
    before = TrainState(jnp.zeros((), int), params, {}, experiment.optimizer.init(params))
    step = tbh.make_step(experiment, forward)
    mapped = parallel.map_devices(lambda train_state, state: step(train_state, state, batch))
    after, _, _ = mapped(*(parallel.replicate(tree, 1) for tree in (before, state)))
    moved = jax.tree.map(np.subtract, params, parallel.unreplicate(after.params))

    def loss(params, player):
        outputs, _, _ = forward(params, None, None)
        return tbh.players(params["head"], outputs, batch, state, config)[player]

    model, critics = (jax.grad(loss)(params, player) for player in (0, 1))
    assert {"critic_code", "critic_latent"} < set(moved["head"])
    for name, found in moved["head"].items():
        expected = (critics if name.startswith("critic") else model)["head"][name]
        for kind in ("kernel", "bias"):
            np.testing.assert_allclose(found[kind], expected[kind], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(moved["model"], model["model"], rtol=1e-3, atol=1e-4)


def test_tbh_needs_outputs_beside_the_bits(folder):
    config = config_of("tbh", folder)
    with pytest.raises(InputError, match=r"6 numbers per image given; allowed: 7 and more"):
        tbh.head(config, None).init(jax.random.key(0), np.zeros((2, L), np.float32), train=False)
    config.method.width = 4
    with pytest.raises(InputError, match=r"config\.method\.width: 4 given; allowed: 5 to 5"):
        tbh.prepare(config, data_of(), jax.random.key(0))


@pytest.mark.parametrize("name", ["bihalf", "greedyhash_unsupervised", "ssdh_unsupervised", "tbh"])
def test_what_a_teacher_cannot_teach_is_refused(name, folder, tmp_path):
    config, method = config_of(name, folder), load(name)
    if "pairs" in config.method:
        config.method.pairs, config.batch_size = "halves", 7
        with pytest.raises(
            InputError, match=r"^config\.batch_size: 7 given; allowed: even numbers"
        ):
            method.prepare(config, data_of(), jax.random.key(0))
        config.method.pairs = "all"
    config.batch_size = 1
    with pytest.raises(InputError, match=r"^config\.batch_size: 1 given; allowed: 2 or more"):
        method.prepare(config, data_of(), jax.random.key(0))
    # An odd number does where not only halves are compared.
    config.batch_size = 7
    method.prepare(config, data_of(), jax.random.key(0))
    config.batch_size = B
    _, state = method.prepare(config, data_of(), jax.random.key(0))
    np.save(tmp_path / "alike.npy", np.ones((N, Z), np.float32))
    config.method.features.file = str(tmp_path / "alike.npy")
    with pytest.raises(InputError, match=r"^config\.method\.features: features of one direction"):
        method.pretrain(config, data_of(), {}, state, "")


def test_views_are_refused_that_a_method_cannot_compare(folder):
    for name, field, value, message in (
        ("cibhash", "views", 3, r"config\.augment\.views: 3 given; allowed: 2, as cibhash"),
        ("deepbit", "views", 1, r"config\.augment\.rotate_step: 5\.0 given with 1 views"),
        ("deepbit", "rotate_step", 0.0, r"config\.augment\.rotate_step: 0\.0 given with 5 views"),
    ):
        config = config_of(name, folder)
        config.augment[field] = value
        with pytest.raises(InputError, match=rf"^{message}"):
            load(name).prepare(config, data_of(), jax.random.key(0))


def test_scores_are_checked_before_a_run(folder, tmp_path):
    config, data = config_of("uhscm", folder, scores=""), data_of()
    uhscm.prepare(config, data, jax.random.key(0))
    with pytest.raises(InputError, match=r"^config\.method\.scores: none given; allowed: an \.npy"):
        uhscm.check(config, data)
    np.save(tmp_path / "few.npy", SCORES[1:])
    config = config_of("uhscm", folder, scores=str(tmp_path / "few.npy"))
    with pytest.raises(InputError, match=r"few\.npy of shape \[19, 6\] given; allowed: \[20, m\]"):
        uhscm.prepare(config, data, jax.random.key(0))
    np.save(tmp_path / "nan.npy", np.full((N, 2), np.nan, np.float32))
    config = config_of("uhscm", folder, scores=str(tmp_path / "nan.npy"))
    _, state = uhscm.prepare(config, data, jax.random.key(0))
    with pytest.raises(InputError, match=r"nan\.npy given, which holds NaN or infinity"):
        uhscm.pretrain(config, data, {}, state, "")


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("bihalf", "pairs", "some"),
        ("greedyhash_unsupervised", "center", 1),
        ("ssdh_unsupervised", "deviations", -1.0),
        ("uhscm", "temperature", 0.0),
        ("cibhash", "temperature", 0.0),
        ("deepbit", "gamma", -1.0),
        ("tbh", "hidden", 0),
    ],
)
def test_bad_fields_are_named(name, field, value, folder):
    config = tiny.get_config()
    config.method = {**config_of(name, folder).method, field: value}
    with pytest.raises(InputError, match=rf"config\.method\.{field}: "):
        build(workdirs.check("none", config))
