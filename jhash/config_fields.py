"""The fields of a config: which there are, and the types and ranges of their values.

`check` looks at a config alone. It needs no data and no device, so that a bad field is named before
any work. What depends on the data is checked by `jhash.experiment` and by the methods.

A method's module describes the fields of `config.method` that it reads in the same words, as
FIELDS; see `jhash.methods`.
"""

import dataclasses
import difflib
import json
import math
import numbers
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import ml_collections
from ml_collections import config_dict

from jhash.errors import InputError
from jhash.system.text import shortened

# The largest number that is finite in float32, about.
_LARGEST = 3e38
# Similarity of two names from which one is taken for a misspelling of the other.
_ALIKE = 0.85
# Max number of groups around a group.
_DEPTH = 20
# Max number of characters of a value in an error.
_SHOWN = 100
_REQUIRED = object()


@dataclasses.dataclass(frozen=True)
class Field:
    """The values that a field may have.

    Attributes:
      allowed: The values in words.
      holds: Function that tells if a value is one of them.
      absent: The value that a config without the field means; see `added`.
    """

    allowed: str
    holds: Callable[[Any], bool]
    absent: Any = _REQUIRED

    def or_none(self) -> "Field":
        """Returns the same field with None as a further value."""
        return Field(
            f"{self.allowed}, or None", lambda value: value is None or bool(self.holds(value))
        )

    def added(self, absent: Any) -> "Field":
        """Returns the same field, which configs of earlier versions may lack.

        Args:
          absent: The value that such a config means, one that JSON can hold. It switches the field
            off: a run with it is the run that it was before there was the field. So the field is
            left out of the files of a run where it has this value; see `complete` and `reduced`.
        """
        return dataclasses.replace(self, absent=absent)

    @property
    def may_lack(self) -> bool:
        """Tells if a config may lack the field."""
        return self.absent is not _REQUIRED


# Fields by name; a group of fields is a mapping itself.
Fields: TypeAlias = Mapping[str, "Field | Fields"]


def integer(smallest: int, largest: int | None = None) -> Field:
    """Describes whole numbers of a range; True, 32.0 and "32" are none."""
    if largest is None:
        words, largest = f"a whole number, {smallest} or more", 2**63 - 1
    else:
        words = f"{smallest} to {largest}, a whole number"
    return Field(words, lambda value: _is_whole(value) and smallest <= value <= largest)


def number(smallest: float = 0.0, largest: float = _LARGEST) -> Field:
    """Describes real numbers of a range, which are finite."""
    above = f"a finite number >= {smallest:g}"
    words = above if largest == _LARGEST else f"a number from {smallest:g} to {largest:g}"
    return Field(words, lambda value: _is_real(value) and smallest <= value <= largest)


def positive(largest: float = _LARGEST) -> Field:
    """Describes real numbers above 0, which are finite."""
    end = "" if largest == _LARGEST else f", up to {largest:g}"
    return Field(
        f"a finite number above 0{end}", lambda value: _is_real(value) and 0 < value <= largest
    )


def boolean() -> Field:
    """Describes True and False."""
    return Field("True or False", lambda value: isinstance(value, bool))


def text(empty: bool = True) -> Field:
    """Describes texts.

    Args:
      empty: Whether the empty text is one of the values.
    """
    words = "a text" if empty else "a text that is not empty"
    return Field(words, lambda value: isinstance(value, str) and (empty or bool(value)))


def choice(*values: Any) -> Field:
    """Describes a few values that are listed."""
    return Field(
        ", ".join(map(str, values)),
        lambda value: any(type(value) is type(one) and value == one for one in values),
    )


def integers(smallest: int) -> Field:
    """Describes tuples and lists of whole numbers."""
    one = integer(smallest)
    return Field(
        f"a tuple of whole numbers, each {smallest} or more",
        lambda value: isinstance(value, tuple | list) and all(map(one.holds, value)),
    )


def group() -> Field:
    """Describes groups of fields that are not listed, such as the arguments of a function."""
    return Field("a group of fields", lambda value: isinstance(value, ml_collections.ConfigDict))


# What every config has; configs/common.py describes it. A batch is filled up to its size, so sizes
# are bounded by the data, too: see `jhash.experiment`.
COMMON: Fields = {
    # Larger seeds repeat the random numbers of smaller ones.
    "seed": integer(0, 2**32 - 1),
    "bits": integer(1, 512),
    "loss": text(),
    "weights": text(),
    "mean": number(0, 255).or_none(),
    "epochs": integer(0, 10**6),
    "batch_size": integer(1),
    "accumulate": integer(1, 10**6).added(1),
    "eval_batch_size": integer(1),
    "devices": integer(0, 10**6).added(0),
    "idle_devices": boolean(),
    "log_every": integer(1, 10**9),
    "checkpoint_every": integer(1, 10**6),
    "keep_checkpoints": integer(1, 10**6),
    "eval_every": integer(0, 10**6).added(0),
    "keep": choice("last", "best").added("last"),
    "keep_metric": text(empty=False).added("map_encoded"),
    "patience": integer(0, 10**6).added(0),
    "init_from": text().added(""),
    "profile_from": integer(1, 10**12).added(10),
    "profile_steps": integer(0, 10**6).added(0),
    # Which fields these two have besides the name depends on the name.
    "method": group(),
    "model": group(),
    "data": {
        "source": text(empty=False),
        "split": text(empty=False),
        "seed": integer(0),
        "options": group(),
        "validation": integer(0).added(0),
        "validation_per_class": boolean().added(False),
        "workers": integer(0, 256).added(0),
    },
    "image": {
        "size": integer(1, 4096),
        # 0 would make all images black, as would a number that is 0 in float32.
        "scale": number(1e-6, 1e6),
        "crop": integer(1, 4096).or_none(),
        "channels": choice(1, 3).or_none(),
        "resize": choice("stretch", "crop", "pad").added("stretch"),
        "mirror": boolean().added(False),
    },
    "augment": {
        "pad": integer(0, 4095),
        "flip": boolean(),
        "erase": integer(0, 4096).added(0),
        "views": integer(1, 64),
        "crop_area": positive(1.0).added(1.0),
        "jitter": number(0, 1).added(0.0),
        "gray": number(0, 1).added(0.0),
        "blur": number(0, 1).added(0.0),
        "rotate_step": number(0, 90).added(0.0),
        "plain": Field("[0, 1)", lambda value: _is_real(value) and 0 <= value < 1).added(0.0),
    },
    "optimizer": {
        "name": text(empty=False),
        "learning_rate": positive(1e4),
        "weight_decay": number(),
        "schedule": Field(
            "constant, cosine, step, or my_module.my_schedule",
            lambda value: (
                value in ("constant", "cosine", "step")
                or (isinstance(value, str) and "." in value.strip("."))
            ),
        ),
        "warmup": Field("[0, 1)", lambda value: _is_real(value) and 0 <= value < 1),
        "decay": positive(1.0),
        "decay_epochs": integer(1, 10**6),
        "arguments": group(),
        "clip_norm": number().added(0.0),
        "average": Field("[0, 1)", lambda value: _is_real(value) and 0 <= value < 1).added(0.0),
        "rates": group().added({}),
    },
    "metrics": {
        "precision_ranks": integers(1),
        "lookup_radius": integer(0),
        "map_at": integer(1).or_none(),
        "map_at_percent": positive(100).or_none(),
    },
}


def check(config: Any) -> None:
    """Checks the fields that every config has, and that JSON can hold those of the user's own.

    Fields that no config has are not refused here; see `refuse_unknown`.

    Args:
      config: A config, or anything that was given in place of one.

    Raises:
      InputError: It is no config, a field is missing, or a value is not allowed. The message names
        the field.
    """
    if not isinstance(config, ml_collections.ConfigDict):
        raise InputError(
            f"config: a {type(config).__name__} given; allowed: an ml_collections.ConfigDict, such "
            "as configs.common.base returns."
        )
    check_values(config)
    check_group(config, COMMON, "config")
    for name in ("method", "model"):
        check_group(config[name], {"name": text(empty=False)}, f"config.{name}")
    size, crop, pad = config.image.size, config.image.crop, config.augment.pad
    if crop is not None and crop > size:
        raise InputError(
            f"config.image.crop: {crop} given; allowed: 1 to {size}, which is config.image.size."
        )
    if pad >= size:
        raise InputError(
            f"config.augment.pad: {pad} given; allowed: 0 to {size - 1}, less than "
            "config.image.size, as padding reflects the image."
        )
    if config.augment.get("rotate_step", 0.0) and config.augment.views == 1:
        raise InputError(
            f"config.augment.rotate_step: {config.augment.rotate_step} given; allowed: 0 with one "
            "view, as it turns views against each other."
        )
    plain = config.augment.get("plain", 0.0)
    if plain and config.augment.views > 1:
        raise InputError(
            f"config.augment.plain: {plain} given with {config.augment.views} views; allowed: 0, "
            "as views of a plain image are all alike."
        )
    _check_choice(config)


def _check_choice(config):
    """Checks the fields that say how an epoch is chosen, by what."""
    names = ("eval_every", "keep", "patience")
    eval_every, keep, patience = (config.get(name, COMMON[name].absent) for name in names)
    if eval_every > config.epochs:
        raise InputError(
            f"config.eval_every: {eval_every} given; allowed: 0 to {config.epochs}, which is "
            "config.epochs."
        )
    if keep == "best" and not eval_every:
        raise InputError(
            "config.keep: best given; allowed: last, as config.eval_every is 0, so that no epoch "
            "is validated. config.eval_every=1 and config.data.validation=1000 would do it."
        )
    if patience and keep != "best":
        raise InputError(
            f"config.patience: {patience} given; allowed: 0, or any with config.keep best."
        )


def check_values(config: ml_collections.ConfigDict) -> None:
    """Checks that every field has a value, and one that a run can read back from its config.json.

    Raises:
      InputError: A field has none, or one of another type.
    """
    for field, value in _leaves(config, "config"):
        _check_plain(field, value)


def check_group(config: Mapping[str, Any], fields: Fields, prefix: str = "") -> None:
    """Checks the values of a group of fields.

    Args:
      config: The group.
      fields: The fields that it must have.
      prefix: What errors put before the names, such as `config.method`; empty for arguments.

    Raises:
      InputError: A field is missing, or its value is not allowed.
    """
    for name, field in fields.items():
        path = f"{prefix}.{name}" if prefix else name
        if name not in config:
            if isinstance(field, Field) and field.may_lack:
                continue
            raise InputError(
                f"{path}: none given; allowed: configs with this field, such as those that begin "
                "with configs.common.base. Another version of jhash may have made this one."
            )
        value = config[name]
        if isinstance(field, Field):
            if not field.holds(value):
                raise InputError(f"{path}: {_shown(value)} given; allowed: {field.allowed}.")
        elif isinstance(value, ml_collections.ConfigDict):
            check_group(value, field, path)
        else:
            raise InputError(
                f"{path}: {_shown(value)} given; allowed: a group with the fields "
                f"{', '.join(field)}."
            )


def complete(config: Mapping[str, Any], fields: Fields | None = None) -> dict[str, Any]:
    """Adds the fields that a config of an earlier version lacks, with the values that it means.

    Args:
      config: A config as a dict of JSON's types.
      fields: The known fields; by default those that every config has.
    """
    completed = dict(config)
    for name, field in (COMMON if fields is None else fields).items():
        if not isinstance(field, Field):
            if isinstance(config.get(name), dict):
                completed[name] = complete(config[name], field)
        elif field.may_lack and name not in config:
            completed[name] = _plain(field.absent)
    return completed


def reduced(config: Mapping[str, Any], fields: Fields | None = None) -> dict[str, Any]:
    """Undoes `complete`: leaves out fields that came later where their values change nothing.

    A run that uses none of them thus has the files, and the folder's name, that it always had.
    """
    fields = COMMON if fields is None else fields
    kept = {}
    for name, value in config.items():
        field = fields.get(name)
        if isinstance(field, Field):
            if field.may_lack and _plain(value) == _plain(field.absent):
                continue
        elif field is not None and isinstance(value, dict):
            value = reduced(value, field)
        kept[name] = value
    return kept


def _plain(value):
    """Returns a value as JSON reads it back."""
    return json.loads(json.dumps(value))


def refuse_unknown(config: Mapping[str, Any], fields: Fields, prefix: str, own: bool) -> None:
    """Refuses fields that nothing reads.

    Args:
      config: A config or a group of it.
      fields: The known fields, and those of the groups within it.
      prefix: What errors put before the names, such as `config.method`.
      own: Whether there is code of the user's own that may read further fields of this group. Then
        only those are refused whose names are nearly those of known fields.

    Raises:
      InputError: There is an unknown field; the message names the known field that is most like it.
    """
    for name in config:
        path = f"{prefix}.{name}"
        if name not in fields:
            # With code of the user's own, a name like another is taken for a misspelling.
            alike = difflib.get_close_matches(name, fields, 1, _ALIKE if own else 0.6)
            if own and not alike:
                continue
            words = f"{alike[0]}, which is much like it" if own else ", ".join(sorted(fields))
            hint = f" Did you mean {alike[0]}?" if alike and not own else ""
            raise InputError(
                f"{path}: {_shown(config[name])} given, but there is no such field; allowed: "
                f"{words}.{hint}"
            )
        field = fields[name]
        if not isinstance(field, Field):
            refuse_unknown(config[name], field, path, own=False)


def _leaves(config, prefix) -> Iterator[tuple[str, Any]]:
    """Yields (path, value) of the fields of a config that are no groups."""
    if prefix.count(".") > _DEPTH:
        raise InputError(f"{prefix}: a group given; allowed: groups within {_DEPTH} others.")
    for name in config:
        path = f"{prefix}.{name}"
        if not isinstance(name, str):
            raise InputError(f"{path}: the name {name!r} given; allowed: names that are texts.")
        try:
            value = config[name]
        except config_dict.RequiredValueError as error:
            raise InputError(
                f"{path}: none given; allowed: a value, which this config requires."
            ) from error
        if isinstance(value, ml_collections.ConfigDict):
            yield from _leaves(value, path)
        else:
            yield path, value


def _check_plain(field, value):
    """Refuses a value that JSON cannot hold."""
    if isinstance(value, tuple | list):
        for item in value:
            _check_plain(field, item)
    elif isinstance(value, dict):
        for item in value.values():
            _check_plain(field, item)
    elif isinstance(value, int) and abs(value) >= 2**63:
        raise InputError(f"{field}: a number of {value.bit_length()} bits given; allowed: 63.")
    elif isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{field}: {value} given; allowed: a finite number.")
    elif isinstance(value, str) and "\0" in value:
        raise InputError(f"{field}: {_shown(value)} given; allowed: a text without NUL.")
    elif not (value is None or isinstance(value, str | int | float)):
        raise InputError(
            f"{field}: {_shown(value)} of type {type(value).__name__} given; allowed: None, bool, "
            "int, float, str, and tuples and groups of them, since the config is saved as JSON."
        )


def _is_whole(value):
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _is_real(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _shown(value):
    return shortened(" ".join(repr(value).split()), _SHOWN)
