"""Outputs that are means over an image and its mirror image, from the training to the file."""

import jax
import numpy as np
import pytest

from jhash import encoding, evaluate, models, parallel, retrieval, train
from jhash.data import preprocess
from jhash.encoding import encoder
from jhash.experiment import build
from jhash.runs import paths, workdirs
from jhash.runs.checkpoints import Checkpoints
from tests.support import tiny

pytestmark = pytest.mark.usefixtures("quick_compilation")


def restored(workdir):
    experiment = build(workdirs.load(str(workdir)))
    with Checkpoints(paths.checkpoints(str(workdir))) as checkpoints:
        return experiment, checkpoints.restore(experiment.first())


def test_an_evaluation_can_look_at_mirror_images(tmp_path):
    plain, mirrored = tmp_path / "plain", tmp_path / "mirrored"
    config = tiny.get_config()
    train.train(config, str(plain))
    config.image.mirror = True
    train.train(config, str(mirrored))

    # Training is the same, though FDAH's updates take outputs of the model.
    experiment, saved = restored(mirrored)
    _, saved_plain = restored(plain)
    jax.tree.map(np.testing.assert_array_equal, saved_plain["state"], saved["state"])
    variables = saved["train_state"].variables
    jax.tree.map(np.testing.assert_array_equal, saved_plain["train_state"].variables, variables)

    # The outputs are the mean of both.
    queries = experiment.data.queries
    images = experiment.data.source.images(queries)
    model = models.without_axis(experiment.model)
    fields = experiment.config.image.to_dict()
    del fields["mirror"]
    x = preprocess.eval_images(images, experiment.mean, **fields)
    one, other = (
        np.asarray(model.apply(variables, seen, train=False)) for seen in (x, x[:, :, ::-1])
    )
    encode = encoding.SourceEncoder(experiment)
    train_state = parallel.replicate(saved["train_state"])
    outputs = encode(train_state, queries)
    np.testing.assert_allclose(encode.of_one_view(train_state, queries), one, atol=1e-5)
    np.testing.assert_allclose(outputs, (one + other) / 2, atol=1e-5)
    assert np.abs(one - other).max() > 0.1

    # The file of the encoder does the same, and an evaluation can switch it on and off.
    with np.load(mirrored / "codes" / "queries.npz") as file:
        codes = file["codes"]
    np.testing.assert_array_equal(codes, np.asarray(retrieval.pack_codes(outputs)))
    forward = encoder.load(str(mirrored), ["tests"]).pure_forward()
    np.testing.assert_allclose(forward(images), outputs, atol=1e-5)
    digest = encoder.digest(str(mirrored))
    assert digest != encoder.digest(str(plain))
    evaluate.evaluate_workdir(str(mirrored), ["tests"], mirror=False)
    assert encoder.digest(str(mirrored)) == encoder.digest(str(plain))
    evaluate.evaluate_workdir(str(mirrored), ["tests"], mirror=True)
    assert encoder.digest(str(mirrored)) == digest
    assert workdirs.load(str(mirrored)).image.mirror is True
