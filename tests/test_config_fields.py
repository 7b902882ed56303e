"""Every field of a config is checked before any work."""

import json

import ml_collections
import pytest

from configs import aihn, common, dah, dstgeh, fdah
from configs.baselines import shallow, unlabeled
from jhash import config_fields, experiment, train
from jhash.errors import InputError
from jhash.runs import workdirs

# Values that no field allows, and one for each kind of field that is of the right type.
NEVER = (object(), b"x", float("nan"), float("inf"), 2**70, -(2**70), "a\0b", [object()])
BAD = {
    "seed": (-1, 2**32, 0.5, True, "0", None),
    "bits": (0, -1, 513, 32.0, True, "32", None),
    "loss": (0, None),
    "weights": (0, None),
    "mean": (-1, 256.0, "x", True),
    "epochs": (-1, 10**7, 1.0, True, None),
    "batch_size": (0, -4, 16.0, True, "16", None),
    "eval_batch_size": (0, -4, 16.0, True, "16", None),
    "accumulate": (0, -1, 1.0, True, None),
    "devices": (-1, 1.0, True, None),
    "idle_devices": (0, 1, "True", None),
    "log_every": (0, 1.0, None),
    "checkpoint_every": (0, 1.0, None),
    "keep_checkpoints": (0, 1.0, None),
    "eval_every": (-1, 1.0, True, None),
    "keep": ("first", "", 1, None),
    "keep_metric": ("", 1, None),
    "patience": (-1, 1.0, True, None),
    "init_from": (0, None),
    "profile_from": (0, 1.0, True, None),
    "profile_steps": (-1, 1.0, True, None),
    "method": (5, None, "fdah"),
    "method.name": ("", 5, None),
    "model": (5, None, "small_cnn.SmallCNN"),
    "model.name": ("", 5, None),
    "data": (5, None),
    "data.source": ("", 5, None),
    "data.split": ("", 5, None),
    "data.seed": (-1, 0.5, True, None),
    "data.options": (5, None, ()),
    "data.validation": (-1, 1.0, True, None),
    "data.validation_per_class": (0, 1, "True", None),
    "data.workers": (-1, 257, 1.0, True, None),
    "image": (5, None),
    "image.size": (0, -1, 5000, 28.0, True, None),
    "image.scale": (0, -1.0, 1e-9, 1e9, "1", True, None),
    "image.crop": (0, -1, 28.0, True),
    "image.channels": (0, 2, 4, 3.0, True),
    "image.resize": ("", "fit", 1, None),
    "image.mirror": (1, "yes", None),
    "augment": (5, None),
    "augment.pad": (-1, 1.0, True, None),
    "augment.flip": (0, 1, None),
    "augment.erase": (-1, 1.0, True, None),
    "augment.views": (0, 65, 1.0, True, None),
    "augment.crop_area": (0, 1.1, "1", True, None),
    "augment.jitter": (-0.1, 1.1, True, None),
    "augment.gray": (-0.1, 1.1, True, None),
    "augment.blur": (-0.1, 1.1, True, None),
    "augment.rotate_step": (-1.0, 91.0, True, None),
    "augment.plain": (-0.1, 1.0, "0.1", True, None),
    "optimizer": (5, None),
    "optimizer.name": ("", 5, None),
    "optimizer.learning_rate": (0, -1.0, 1e5, "1", True, None),
    "optimizer.weight_decay": (-1.0, 1e39, "1", True, None),
    "optimizer.schedule": ("linear", "", None),
    "optimizer.warmup": (-0.1, 1.0, True, None),
    "optimizer.decay": (0, -1.0, 1.1, True, None),
    "optimizer.decay_epochs": (0, 1.5, True, None),
    "optimizer.arguments": (5, None, ()),
    "optimizer.clip_norm": (-1.0, "1", True, None),
    "optimizer.average": (-0.1, 1, 1.0, "0", True, None),
    "optimizer.rates": (5, None, ()),
    "metrics": (5, None),
    "metrics.precision_ranks": (5, (0,), (1.5,), ("x",), (True,), None, "abc"),
    "metrics.lookup_radius": (-1, 1.5, True, None),
    "metrics.map_at": (0, -1, 1.5, True, "5"),
    "metrics.map_at_percent": (0, -1.0, 101.0, True, "5"),
}


def names(fields, prefix=""):
    for name, field in fields.items():
        yield f"{prefix}{name}"
        if isinstance(field, dict | ml_collections.ConfigDict):
            yield from names(field, f"{prefix}{name}.")


def put(config, field, value):
    """Puts a value of any type into a config, as a config file can."""
    group, _, name = field.rpartition(".")
    for part in filter(None, group.split(".")):
        config = config[part]
    # Not by the config's own setter, which casts some values to the old type.
    config._fields[name] = value


def test_every_field_is_among_the_bad_ones_and_every_config_has_it():
    fields = set(names(config_fields.COMMON))
    assert fields | {"method.name", "model.name"} == set(BAD)
    config = common.base(common.parse("", data=("embedded",), bits=8))
    given = set(names(config))
    assert given == set(BAD)


@pytest.mark.parametrize("field", BAD)
def test_bad_values_are_named(field):
    for value in (*BAD[field], *NEVER):
        config = fdah.get_config()
        put(config, field, value)
        with pytest.raises(InputError, match=rf"^config\.{field}: .* given; allowed: ") as refused:
            config_fields.check(config)
        assert "\n" not in str(refused.value)
        assert len(str(refused.value)) < 400


def may_lack(field):
    """Tells if it is a field that came later, which configs of earlier versions lack."""
    described = config_fields.COMMON
    for name in field.split("."):
        described = described[name] if isinstance(described, dict) else None
    return isinstance(described, config_fields.Field) and described.may_lack


@pytest.mark.parametrize("field", [field for field in BAD if may_lack(field)])
def test_a_field_that_came_later_is_off_where_it_is_missing(field):
    """The config of an earlier version, its folder and its files, are those that they were."""
    config = fdah.get_config()
    without = json.loads(json.dumps(config.to_dict()))
    *groups, name = field.split(".")
    group = without
    for part in groups:
        group = group[part]
    value = group.pop(name)
    earlier = ml_collections.ConfigDict(without)
    config_fields.check(earlier)
    assert workdirs.check("none", earlier) == workdirs.check("none", config)
    assert workdirs.plain(earlier) == workdirs.plain(config)
    assert workdirs.default(earlier) == workdirs.default(config)
    put(config, field, {"x": 1.0} if isinstance(value, dict) else 0.5)
    assert workdirs.plain(config) != workdirs.plain(earlier)


@pytest.mark.parametrize("field", [field for field in BAD if not may_lack(field)])
def test_a_missing_field_is_named(field):
    config = fdah.get_config()
    group, _, name = field.rpartition(".")
    del (config[group] if group else config)[name]
    with pytest.raises(InputError, match=rf"^config\.{field}(\.\w+)?: none given; allowed: "):
        config_fields.check(config)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("image.crop", 29, "29 given; allowed: 1 to 28, which is config.image.size"),
        ("augment.pad", 28, "28 given; allowed: 0 to 27, less than config.image.size"),
        ("batchsize", 5, "5 given, but there is no such field; .* Did you mean batch_size"),
        ("epoch", 5, "5 given, but there is no such field; .* Did you mean epochs"),
        ("image.mean", 5, "5 given, but there is no such field; allowed: channels, crop"),
        ("metrics.map", 5, "5 given, but there is no such field; .* Did you mean map_at"),
        ("method.gama1", 5, r"5 given, but there is no such field; .* Did you mean gamma1\?"),
        ("method.queries", 0, "0 given; allowed: a whole number, 1 or more"),
        ("method.passes", 1.5, "1.5 given; allowed: 1 to 1000"),
        ("method.gamma3", 0.0, "0.0 given; allowed: a finite number above 0"),
        ("epochs", 0, "0 given; allowed: 1 or more"),
        ("loss", "fdah.prepare", "'fdah.prepare' given; allowed: functions of outputs, batch"),
        ("method.name", "fdha", "module 'fdha' given; allowed: adsh"),
    ],
)
def test_relations_and_unknown_fields_are_named(field, value, message):
    config = fdah.get_config()
    put(config, field, value)
    with pytest.raises(InputError, match=rf"^config\.{field}: {message}"):
        experiment.check(config)


def test_a_loss_that_nothing_would_call_is_refused():
    tbh, itq = unlabeled.get_config("tbh"), shallow.get_config("itq")
    for config, why in ((tbh, "has a training step of its own"), (itq, "is not trained by gradi")):
        config.loss = "hashnet.loss"
        with pytest.raises(InputError, match=rf"^config\.loss: 'hashnet\.loss' given; .* {why}"):
            experiment.check(config)


def test_the_axis_of_the_devices_is_no_field():
    config = fdah.get_config()
    config.model.axis_name = "x"
    with pytest.raises(InputError, match=r"^config\.model\.axis_name: 'x' given; allowed: none"):
        experiment.build_model(config)


def test_code_of_ones_own_may_read_further_fields_but_not_misspelled_ones():
    config = fdah.get_config()
    config.loss = "tests.test_train.local_mean_loss"
    config.balance_weight = 0.1
    config.method.strength = 0.1
    experiment.check(config)
    config.epoch = 3
    with pytest.raises(InputError, match=r"^config\.epoch: 3 given, but .*; allowed: epochs, whic"):
        experiment.check(config)
    del config.epoch
    config.metrics.map = 3
    with pytest.raises(InputError, match=r"^config\.metrics\.map: 3 given, but"):
        experiment.check(config)


def test_the_methods_of_jhash_have_all_of_their_fields_checked():
    arguments = {"": (fdah, dah, aihn, dstgeh), "itq": (shallow,), "sdh": (shallow,)}
    for argument, modules in arguments.items():
        for module in modules:
            config = module.get_config(argument)
            method = experiment.check(config)
            assert set(method.fields) == set(config.method) - {"name"}
            for name in method.fields:
                broken = module.get_config(argument)
                put(broken, f"method.{name}", object)
                with pytest.raises(InputError, match=rf"^config\.method\.{name}: <class 'object'>"):
                    experiment.check(broken)


@pytest.mark.parametrize("given", [None, {}, "configs/fdah.py", 5, ml_collections.ConfigDict()])
def test_what_is_no_config_is_refused(given, tmp_path):
    with pytest.raises(InputError, match=r"^config(: a \w+ given; allowed|\.seed: none given)"):
        train.train(given, str(tmp_path / "run"))
    with pytest.raises(InputError, match=r"^config"):
        workdirs.default(given)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("workdir", ["", None, b"run", 5, "a\0b"])
def test_what_is_no_folder_is_refused(workdir):
    with pytest.raises(InputError, match=r"^--workdir: .* given; allowed: the path of a folder"):
        train.train(fdah.get_config("smoke"), workdir)


def test_references_without_a_value_and_deep_groups_are_named():
    config = fdah.get_config()
    config.extra = ml_collections.config_dict.required_placeholder(int)
    with pytest.raises(InputError, match=r"^config\.extra: none given; allowed: a value"):
        config_fields.check(config)
    config = fdah.get_config()
    config.extra = config
    with pytest.raises(InputError, match=r"^config(\.extra)+.*: a group given; allowed"):
        config_fields.check(config)
