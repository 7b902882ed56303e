"""The cases of the campaign `bad_input`: command lines, and the line with which each has to end.

A case begins in a folder of its own with

    run/         a run of `configs/fdah.py:smoke,bits=8`
    it.index     an index of its database, whose ids are integers
    codes.npz    the codes of that database
    images/      three images of 28 x 28
    bad.png      a file that is no image
    empty/       an empty folder

and with the files that the case adds. `CONFIGS` and `ROOT` in words stand for folders of jhash.
"""

import dataclasses
import io
from collections.abc import Mapping

import numpy as np
from PIL import Image


@dataclasses.dataclass(frozen=True)
class Case:
    """A command that is to be refused.

    Attributes:
      words: The words after `python`.
      pattern: Regular expression that the one line has to match.
      status: The exit status.
      files: Contents of files that are made before, by name.
      lines: Number of lines on stderr.
      makes: Beginnings of the names of files that the command may make or change all the same.
      variables: Variables of the environment.
    """

    words: tuple[str, ...]
    pattern: str
    status: int = 1
    files: Mapping[str, str | bytes] = dataclasses.field(default_factory=dict)
    lines: int = 1
    makes: tuple[str, ...] = ()
    variables: Mapping[str, str] = dataclasses.field(default_factory=dict)


def launch(*words, **options):
    """Returns a function that makes a case of launch.py with these words first."""
    return lambda *more, pattern, **others: Case(
        ("ROOT/launch.py", *words, *more), pattern, **options | others
    )


def jhash(*words):
    """Returns a function that makes a case of `python -m jhash` with these words first."""
    return lambda *more, pattern, **others: Case(("-m", "jhash", *words, *more), pattern, **others)


def _fields(argument, prefix, cases, config="fdah"):
    """Returns cases of launch.py, one for each (override, pattern)."""
    command = launch(f"--config=CONFIGS/{config}.py:{argument}")
    return [
        (override, command(f"--config.{override}", pattern=rf"config\.{prefix}{pattern}"))
        for override, pattern in cases
    ]


def _config_files():
    """Returns cases of a config file of the user's own."""
    base = "from configs import fdah\ndef get_config(argument=None):\n    "
    smoke = base + "c = fdah.get_config('smoke')\n    "
    contents = {
        "no get_config": ("x = 1\n", "which has no function get_config; allowed: a Python file"),
        "get_config is no function": ("get_config = 1\n", "which has no function get_config"),
        "syntax error": ("x = 1\ndef get_config(:\n", r"^jhash: own\.py, line 2: SyntaxError"),
        "tabs and blanks": ("if 1:\n\tx = 1\n        y = 2\n", r"own\.py, line 3: TabError"),
        "NUL": ("x = '\0'\n", r"own\.py"),
        "returns None": ("def get_config(): pass\n", "returned a NoneType; allowed: an ml_coll"),
        "returns a dict": ("def get_config(): return {'bits': 8}\n", "returned a dict; allowed"),
        "returns a text": ("def get_config(): return 'x'\n", "returned a str; allowed"),
        "takes no argument": ("def get_config(): return {}\n", r"own\.py:x given; allowed: what"),
        "missing module": ("import nothing_here\n", r"line 1: ModuleNotFoundError: No module"),
        "missing name in configs": (
            "from configs import nothing\n",
            r"own\.py, line 1.*: ImportError: cannot import",
        ),
        "bug in get_config": (
            base + "return nothing\n",
            r"own\.py, line 3: NameError: name 'nothing'",
        ),
        "bug at the top": ("1 / 0\n", r"own\.py, line 1: ZeroDivisionError: division by zero"),
        "bug in jhash's hands": (
            base + "return fdah.get_config(5)\n",
            r"own\.py, line 3 \(raised in .*common\.py, line \d+\): AttributeError",
        ),
        "unknown argument": (base + "return fdah.get_config('bit=8')\n", "'bit=8' given; allowed"),
        "empty config": (
            "import ml_collections\ndef get_config(): return ml_collections.ConfigDict()\n",
            r"config\.seed: none given; allowed: configs with this field",
        ),
        "misspelled field": (
            smoke + "c.batchsize = 8\n    return c\n",
            r"config\.batchsize: 8 given, but there is no such field; .*Did you mean batch_size\?",
        ),
        "misspelled field of the method": (
            smoke + "c.method.gama1 = 1.0\n    return c\n",
            r"config\.method\.gama1: 1\.0 given, but .* Did you mean gamma1\?",
        ),
        "unknown field of images": (
            smoke + "c.image.mean = 1.0\n    return c\n",
            r"config\.image\.mean: 1\.0 given, but there is no such field; allowed: channels",
        ),
        "a group is a number": (
            smoke + "with c.ignore_type():\n        c.image = 5\n    return c\n",
            r"config\.image: 5 given; allowed: a group with the fields size",
        ),
        "a function as a value": (
            smoke + "c.method.queries = len\n    return c\n",
            r"own\.py, line 4|config\.method\.queries: <built-in function len>",
        ),
        "a function in a new field": (
            smoke + "c.method.f = len\n    return c\n",
            r"config\.method\.f: <built-in function len> of type builtin_function_or_method given",
        ),
        "an array as a value": (
            smoke + "import numpy\n    c.method.f = numpy.ones(3)\n    return c\n",
            r"config\.method\.f: array\(.*\) of type ndarray given; allowed",
        ),
        "a required value": (
            smoke + "from ml_collections import config_dict\n"
            "    c.method.f = config_dict.required_placeholder(int)\n    return c\n",
            r"config\.method\.f: none given; allowed: a value, which this config requires",
        ),
        "NaN in a new field": (
            smoke + "c.method.f = float('nan')\n    return c\n",
            r"config\.method\.f: nan given; allowed: a finite number",
        ),
        "a seed of 100 bits": (
            smoke + "c.seed = 2 ** 99\n    return c\n",
            r"config\.seed: a number of 100 bits given",
        ),
        "a loss with two arguments": (
            smoke + "c.loss = 'own_loss.loss'\n    return c\n",
            r"config\.loss: 'own_loss\.loss' given; allowed: functions of outputs, batch, state",
        ),
        "a model of other outputs": (
            smoke + "c.model = {'name': 'own_net.Net'}\n    return c\n",
            r"config\.model\.name: 'own_net\.Net' given, which maps an image to \[7\] numbers",
        ),
    }
    more = {
        "own_loss.py": "def loss(outputs, batch): pass\n",
        "own_net.py": "from flax import linen as nn\n\n\nclass Net(nn.Module):\n    bits: int\n"
        "    axis_name: str | None = None\n\n    @nn.compact\n    def __call__(self, x, train):\n"
        "        return nn.Dense(7)(x.reshape(len(x), -1))\n",
    }
    for name, (content, pattern) in contents.items():
        path = "own.py:x" if name == "takes no argument" else "own.py"
        files = {"own.py": content, **more}
        yield name, launch(f"--config={path}")(pattern=pattern, files=files)
    none = launch()
    yield "a folder", none("--config=empty", pattern="empty given, which is a folder")
    yield "a device", none("--config=/dev/null", pattern="/dev/null given, which is no regular")
    yield "no such file", none("--config=none.py", pattern=r"none\.py given; allowed: a file, and")
    yield "an empty path", none("--config=", pattern="--config: none given; allowed: a file")
    for name, content in {"YAML": "bits: 8\nlayers:\n  - 1\n", "JSON": '{"bits": true}\n'}.items():
        pattern = {"YAML": "line 2: SyntaxError", "JSON": "NameError|no function get_config"}[name]
        yield name, none("--config=own.cfg", pattern=pattern, files={"own.cfg": content})


def _arguments():
    """Returns cases of launch.py's words."""
    none, smoke = launch(), launch("--config=CONFIGS/fdah.py:smoke")
    yield "no word", none(pattern="--config: none given; allowed: a file, such as")
    use = {"status": 2}
    yield "an extra word", smoke("bits=16", pattern="'bits=16' given; allowed: flags", **use)
    yield "a second config", smoke("configs/dah.py", pattern="'configs/dah.py' given", **use)
    yield "a config without --config", none("configs/fdah.py", pattern="given; allowed", **use)
    yield "an unknown flag", smoke("--bits=16", pattern="Unknown command line flag 'bits'", **use)
    yield "a flag in capitals", smoke("--Mode=eval", pattern="Unknown .* 'Mode'", **use)
    yield "an unknown mode", smoke("--mode=test", pattern="--mode: 'test' given; allowed", **use)
    yield "an empty mode", smoke("--mode=", pattern="--mode: '' given; allowed", **use)
    yield "a flag without a value", smoke("--workdir", pattern="workdir", **use)
    yield "--config without a value", none("--config", pattern="config", **use)
    yield "a flag file that is missing", smoke("--flagfile=no.txt", pattern=r"no\.txt", **use)
    yield (
        "an override before the config",
        none("--config.bits=8", "--config=CONFIGS/fdah.py:smoke", pattern="config.bits", **use),
    )
    for argument, pattern in (
        ("bit=8", "'bit=8' given; allowed: "),
        ("bits=x", "'bits=x' given; allowed: bits=INTEGER"),
        ("bits=8,bits=12", "'bits=12' given beside 'bits=8'"),
        ("imagenet", "'imagenet' given; allowed"),
        ("cifar10,embedded", "'embedded' given beside 'cifar10'"),
        ("bits = 8", "'bits = 8' given; allowed"),
        ("smoke,bits=0", r"config\.bits: 0 given; allowed: 1 to 512"),
        ("smoke,bits=513", r"config\.bits: 513 given"),
        ("smoke,bits=-1", r"config\.bits: -1 given"),
        ("smoke,seed=-1", r"config\.seed: -1 given"),
    ):
        yield f"argument {argument}", none(f"--config=CONFIGS/fdah.py:{argument}", pattern=pattern)
    yield (
        "no method",
        none("--config=CONFIGS/baselines/shallow.py", pattern="no method given; allowed: lsh"),
    )
    yield (
        "two methods",
        none("--config=CONFIGS/baselines/shallow.py:itq,lsh", pattern="'lsh' given beside 'itq'"),
    )
    for name, pattern in (
        ("cuda", "JAX_PLATFORMS: 'cuda' given; allowed: platforms that JAX can start here"),
        ("nothing", "JAX_PLATFORMS: 'nothing' given; allowed"),
    ):
        variables = {"JAX_PLATFORMS": name}
        yield f"JAX_PLATFORMS={name}", smoke(pattern=pattern, variables=variables)


_COMMON = [
    ("bits=0", r"bits: 0 given; allowed: 1 to 512"),
    ("bits=-8", r"bits: -8 given"),
    ("bits=1000", r"bits: 1000 given"),
    ("seed=-1", r"seed: -1 given"),
    ("seed=4294967296", r"seed: 4294967296 given; allowed: 0 to 4294967295"),
    ("seed=99999999999999999999", r"seed: a number of 67 bits given"),
    ("loss=x", r"loss: 'x' given; allowed: MODULE\.NAME"),
    ("loss=fdah.nothing", r"loss: 'fdah\.nothing' given; allowed"),
    ("loss=os.system", r"loss: 'os\.system' given; allowed: functions of outputs"),
    ("loss=fdah.np", r"loss: 'fdah\.np' given"),
    ("weights=none.mat", r"weights: none\.mat given; allowed: no file"),
    ("mean=nan", r"mean: nan given"),
    ("mean=300", r"mean: 300\.0 given; allowed: a number from 0 to 255"),
    ("epochs=0", r"epochs: 0 given; allowed: 1 or more"),
    ("epochs=-1", r"epochs: -1 given"),
    ("epochs=10000000", r"epochs: 10000000 given"),
    ("batch_size=0", r"batch_size: 0 given; allowed: a whole number, 1 or more"),
    ("batch_size=-4", r"batch_size: -4 given"),
    ("batch_size=100000", r"batch_size: 100000 given; allowed: 1 to 48, as the data have 48"),
    ("eval_batch_size=0", r"eval_batch_size: 0 given"),
    ("eval_batch_size=100000", r"eval_batch_size: 100000 given; allowed: 1 to 1000"),
    ("log_every=0", r"log_every: 0 given"),
    ("checkpoint_every=0", r"checkpoint_every: 0 given"),
    ("keep_checkpoints=0", r"keep_checkpoints: 0 given"),
    ("method.name=", r"method\.name: '' given"),
    ("method.name=fdha", r"method\.name: module 'fdha' given; allowed: adsh, aihn"),
    ("method.name=os", r"method\.name: os given; allowed: modules with a function loss"),
    ("method.name=..", r"method\.name: module '\.\.' given"),
    ("method.queries=0", r"method\.queries: 0 given"),
    ("method.passes=0", r"method\.passes: 0 given"),
    ("method.gamma1=-1", r"method\.gamma1: -1\.0 given; allowed: a finite number >= 0"),
    ("method.gamma2=nan", r"method\.gamma2: nan given; allowed: a finite number"),
    ("method.gamma3=0", r"method\.gamma3: 0\.0 given; allowed: a finite number above 0"),
    ("model.name=SmallCNN", r"model\.name: 'SmallCNN' given; allowed: MODULE\.NAME"),
    ("model.name=small_cnn.Nothing", r"model\.name: 'small_cnn\.Nothing' given"),
    ("model.name=os.path", r"model\.name: 'os\.path' given; allowed: classes of flax"),
    ("data.source=nothing", r"data\.source: 'nothing' given; allowed: embedded"),
    ("data.source=no_module.f", r"data\.source: module 'no_module' given"),
    ("data.source=", r"data\.source: '' given"),
    ("data.split=nothing", r"data\.split: 'nothing' given; allowed: official"),
    ("data.split=embedded", r"data\.split: 'embedded' given; allowed for this source: official"),
    ("data.split=coco", r"data\.split: 'coco' given; allowed for this source: official"),
    ("data.seed=-1", r"data\.seed: -1 given"),
    ("data.options.sides=8", r"data\.source: 'random' given with the unknown option sides"),
    ("data.options.side=0", r"data\.options\.side: 0 given"),
    ("data.options.side=abc", r"data\.options\.side: 'abc' given; allowed: int"),
    ("data.options.side=1.5", r"data\.options\.side: 1\.5 given; allowed: int"),
    ("data.options.channels=2", r"data\.options\.channels: 2 given"),
    ("data.options.multi_label=2", r"data\.options\.multi_label: 2 given; allowed: bool"),
    ("image.size=0", r"image\.size: 0 given; allowed: 1 to 4096"),
    ("image.size=-28", r"image\.size: -28 given"),
    ("image.size=3", r"image\.size: 3 given; allowed: sides in pixels that small_cnn"),
    ("image.size=5", r"image\.size: 5 given; allowed: sides in pixels that small_cnn"),
    ("image.size=100000", r"image\.size: 100000 given"),
    ("image.scale=0", r"image\.scale: 0\.0 given; allowed: a number from 1e-06"),
    ("image.scale=inf", r"image\.scale: inf given"),
    ("image.scale=-1", r"image\.scale: -1\.0 given"),
    ("image.crop=0", r"image\.crop: 0 given"),
    ("image.crop=29", r"image\.crop: 29 given; allowed: 1 to 28"),
    ("image.channels=2", r"image\.channels: 2 given; allowed: 1, 3, or None"),
    ("image.channels=0", r"image\.channels: 0 given"),
    ("augment.pad=-1", r"augment\.pad: -1 given"),
    ("augment.pad=28", r"augment\.pad: 28 given; allowed: 0 to 27"),
    ("augment.views=0", r"augment\.views: 0 given"),
    ("augment.views=1000", r"augment\.views: 1000 given"),
    ("optimizer.name=nothing", r"optimizer\.name: 'nothing' given; allowed: optimizers of optax"),
    ("optimizer.name=chain", r"optimizer\.name: 'chain' given"),
    ("optimizer.name=lbfgs", r"optimizer\.name: 'lbfgs' given"),
    ("optimizer.learning_rate=-1", r"optimizer\.learning_rate: -1\.0 given"),
    ("optimizer.learning_rate=0", r"optimizer\.learning_rate: 0\.0 given"),
    ("optimizer.learning_rate=nan", r"optimizer\.learning_rate: nan given"),
    ("optimizer.learning_rate=inf", r"optimizer\.learning_rate: inf given"),
    ("optimizer.learning_rate=1e30", r"optimizer\.learning_rate: 1e\+30 given"),
    ("optimizer.weight_decay=-1", r"optimizer\.weight_decay: -1\.0 given"),
    ("optimizer.weight_decay=nan", r"optimizer\.weight_decay: nan given"),
    ("optimizer.schedule=linear", r"optimizer\.schedule: 'linear' given; allowed: constant"),
    ("optimizer.warmup=1", r"optimizer\.warmup: 1\.0 given; allowed: \[0, 1\)"),
    ("optimizer.warmup=-0.1", r"optimizer\.warmup: -0\.1 given"),
    ("optimizer.decay=0", r"optimizer\.decay: 0\.0 given"),
    ("optimizer.decay_epochs=0", r"optimizer\.decay_epochs: 0 given"),
    ("optimizer.arguments.momentun=0.9", r"optimizer\.arguments: momentun given; allowed"),
    ("optimizer.arguments.b1=abc", r"optimizer\.name: 'adamw' given with the arguments"),
    ("metrics.map_at=0", r"metrics\.map_at: 0 given; allowed: a whole number, 1 or more"),
    ("metrics.map_at=-5", r"metrics\.map_at: -5 given"),
    ("metrics.lookup_radius=-1", r"metrics\.lookup_radius: -1 given"),
    ("metrics.map_at_percent=200", r"metrics\.map_at_percent: 200\.0 given"),
    ("metrics.map_at_percent=0", r"metrics\.map_at_percent: 0\.0 given"),
    ("metrics.map_at_percent=nan", r"metrics\.map_at_percent: nan given"),
    ("metrics.precision_ranks=(0,)", r"metrics\.precision_ranks: \(0,\) given"),
    ("metrics.precision_ranks=abc", r"metrics\.precision_ranks: "),
    ("metrics.precision_ranks=(1.5,)", r"metrics\.precision_ranks: "),
    ("metrics={'map_at': 5}", r"metrics\.precision_ranks: none given"),
    ("image={}", r"image\.size: none given"),
    ("learning_rate=1", r"learning_rate: field 'learning_rate' given; allowed: fields of config"),
    ("optimizer.learning_rat=1", r"optimizer\.learning_rat: field .* Did you mean learning_rate"),
    ("bits.x=1", r"bits\.x: field 'x' given"),
    ("metrics.precision_ranks[0]=1", r"metrics\.precision_ranks\[0\]: field"),
]
# Values of a wrong type, which the flags refuse.
_TYPES = [
    ("bits=abc", r"bits: 'abc' given; allowed: a whole number"),
    ("bits=", r"bits: '' given; allowed: a whole number"),
    ("bits=8.5", r"bits: '8\.5' given; allowed: a whole number"),
    ("batch_size=1e3", r"batch_size: '1e3' given"),
    ("batch_size=1.5", r"batch_size: '1\.5' given"),
    ("image.crop=None", r"image\.crop: 'None' given; allowed: a whole number"),
    ("optimizer.learning_rate=abc", r"optimizer\.learning_rate: 'abc' given; allowed: a number"),
    ("idle_devices=maybe", r"idle_devices: 'maybe' given; allowed: True or False"),
    ("augment.flip=2", r"augment\.flip: '2' given; allowed: True or False"),
    ("metrics=5", r"metrics: '5' given"),
]
_OTHERS = {
    ("smoke", "aihn"): [
        ("method.quantization=-1", r"method\.quantization: -1\.0 given"),
        ("model.lattice=60", r"model\.lattice: 60 given; allowed: None and 0 to 23"),
        ("model.width=0", r"model\.width: 0\.0 given"),
        ("model.dtype=float33", r"model\.dtype: 'float33' given; allowed: float32"),
        ("model.gradient=none", r"model\.gradient: 'none' given"),
        ("image.size=30", r"image\.size: 30x30 pixels given; allowed: multiples of 4"),
        ("batch_size=1", r"batch_size: 1 given; allowed: 2 or more"),
        ("image.channels=2", r"image\.channels: 2 given"),
    ],
    ("smoke,backbone=alexnet", "aihn"): [
        ("model.dropout=2", r"model\.dropout: 2\.0 given; allowed: 0 to below 1"),
        ("model.hidden=0", r"model: .*hidden=0.* given; allowed: what the docstring"),
        ("model.hidden=-8", r"model\.hidden: -8 given; allowed: a whole number, 0 or more"),
    ],
    ("smoke", "dah"): [
        ("model.classes=9", r"model\.classes: 9 given; allowed: 10, the number of classes"),
        ("model.reduction=0", r"model\.reduction: 0 given"),
        ("batch_size=16", r"batch_size: 16 given; allowed: 2, 3, \.\.\. times the number of"),
        ("method.dissimilar=log", r"method\.dissimilar: 'log' given; allowed: hinge, abs"),
        ("method.threshold=inf", r"method\.threshold: inf given"),
        ("data.options.multi_label=True", r"data\.source: 'random' given, whose labels are rows"),
    ],
    ("smoke", "dstgeh"): [
        ("method.loss=hinge", r"method\.loss: 'hinge' given; allowed: bce"),
        ("method.landmarks=none.npy", r"method\.landmarks: none\.npy given"),
        ("method.embedding.name=iqt", r"method\.embedding\.name: module 'iqt' given; allowed"),
        ("method.embedding.name=itq", r"method\.embedding: alpha, .*start given; allowed: name"),
        ("method.embedding.batch=1000", r"method\.embedding\.batch: 1000 given; allowed: 1 to 48"),
        ("method.embedding.mu=2", r"method\.embedding\.mu: 2\.0 given"),
        ("method.embedding.hidden=(0,)", r"method\.embedding\.hidden: \(0,\) given"),
        ("method.embedding.metric=l1", r"method\.embedding\.metric: 'l1' given; allowed: cosine"),
        ("method.features.size=0", r"method\.features\.size: 0 given"),
        ("method.features.batch=0", r"method\.features\.batch: 0 given"),
        ("method.features.name=nothing.X", r"method\.features\.name: module 'nothing' given"),
        ("method.features.name=row_means.SCALE", r"method\.features\.name: .* given; allowed"),
        ("method.features.file=none.npy", r"method\.features\.file: none\.npy given"),
        ("model.blocks=-1", r"model"),
        ("model.stem=none", r"model\.stem: 'none' given; allowed: auto"),
    ],
    ("smoke,embedding=laplacian", "dstgeh"): [
        ("method.embedding.neighbors=48", r"method\.embedding\.neighbors: 48 given; allowed: 1 to"),
        ("method.embedding.neighbors=0", r"method\.embedding\.neighbors: 0 given"),
    ],
    ("smoke,itq", "baselines/shallow"): [
        ("bits=300", r"bits: 300 given; allowed: 1 to 16"),
        ("epochs=1", r"epochs: 1 given; allowed: 0, as itq is fitted"),
        ("model.method=lsh", r"model\.method: 'lsh' given; allowed: 'itq'"),
        ("model.backbone=nothing.X", r"model\.backbone: module 'nothing' given"),
    ],
    ("itq", "baselines/shallow"): [
        ("method.features.weights=none.pth", r"method\.features\.weights: none\.pth"),
    ],
    ("smoke,paper", "fdah"): [
        ("weights=none.mat", r"weights: none\.mat given"),
        ("image.size=5", r"image\.size: a side of 5 pixels given; allowed: 8 and more"),
        ("image.crop=5", r"image\.crop: a side of 5 pixels given; allowed: 8 and more"),
    ],
    ("", "fdah"): [
        ("data.source=lists", r"data\.source: 'lists' given without the option folder"),
        ("data.source=idx", r"data\.source: 'idx' given without the option folder"),
        ("data.source=tfds:", r"data\."),
        ("data.split=official", r"data\.split: 'official' given; allowed for this source: emb"),
        ("data.split=fashion_mnist", r"data\.split: 'fashion_mnist' given; allowed for this"),
        ("data.options.folder=x", r"data\.source: 'embedded' given with the unknown option folder"),
        ("batch_size=100000", r"batch_size: 100000 given; allowed: 1 to 6000"),
    ],
    ("scenes,itq", "baselines/shallow"): [
        ("data.options.count=0", r"data\.options\.count: 0 given"),
        ("data.options.image_size=0", r"data\.options\.image_size: 0 given"),
        ("data.options.base=none", r"data\.options\.base: 'none' given"),
        ("data.options.scene_seed=x", r"data\.options\.scene_seed: 'x' given; allowed: int"),
    ],
}


def _workdirs():
    """Returns cases of the folder of a run."""
    smoke = launch("--config=CONFIGS/fdah.py:smoke,bits=8")
    other = launch("--config=CONFIGS/fdah.py:smoke,bits=12")
    yield "empty text", smoke("--workdir=", pattern="--workdir: '' given; allowed: the path")
    yield "a file", smoke("--workdir=bad.png", pattern="--workdir: bad.png given")
    yield "below a file", smoke("--workdir=bad.png/run", pattern="bad.png")
    yield "/proc", smoke("--workdir=/proc/x", pattern="--workdir: /proc/x given")
    yield "/dev/full", smoke("--workdir=/dev/full", pattern="--workdir: /dev/full given")
    yield "of files that are no run", smoke("--workdir=images", pattern="has files but no config")
    yield (
        "of another config",
        other("--workdir=run", pattern=r"config\.bits is 8 there and 12 here"),
    )
    broken = {"broken/config.json": "{"}
    yield "a damaged config", smoke("--workdir=broken", pattern="config.json", files=broken)
    evaluation = launch("--mode=eval")
    yield "eval without a folder", evaluation(pattern="--mode: eval given; allowed: with --workdir")
    yield (
        "eval with a config",
        evaluation("--config=CONFIGS/fdah.py", "--workdir=run", pattern="without --config"),
    )
    for name, folder, pattern in (
        ("eval of nothing", "none", r"none/config\.json: there is no such file"),
        ("eval of an empty folder", "empty", r"empty/config\.json: there is no such file"),
        ("eval of a file", "bad.png", r"bad\.png/config\.json"),
        ("eval of a damaged config", "broken", r"broken/config\.json: the file is damaged"),
    ):
        yield name, evaluation(f"--workdir={folder}", pattern=pattern, files=broken)
    evaluation = launch("--mode=eval", "--workdir=run")
    for override, pattern in (
        ("metrics.map_at=0", r"config\.metrics\.map_at: 0 given; allowed"),
        ("metrics.map_at=abc", r"config\.metrics\.map_at: 'abc' given"),
        ("metrics.map_att=5", r"config\.metrics\.map_att: 5 given, but there is no such field"),
        ("metrics.map_at_percent=101", r"config\.metrics\.map_at_percent: 101 given"),
        ("metrics.precision_ranks=(1,x)", r"config\.metrics\.precision_ranks"),
        ("data.options.side=5", r"--config\.data\.options\.side: given without --config"),
    ):
        yield f"eval, {override}", evaluation(f"--config.{override}", pattern=pattern)
    yield (
        "eval, another field",
        evaluation("--config.bits=8", pattern=r"--config\.bits: given without", status=2),
    )
    yield "eval, extra word", evaluation("x", pattern="'x' given; allowed: flags", status=2)
    yield (
        "eval, trusted names that are none",
        evaluation("--trust-modules=a b", pattern="trust_modules: .*given; allowed"),
    )


def _codes():
    """Returns cases of `encode` and `index`."""
    use = {"status": 2}
    encode = jhash("encode", "--quiet")
    whole = ("--images", "images", "--output", "out.npz")
    yield "encode, no word", jhash("encode")(pattern="required: --run, --images, --output", **use)
    yield "encode, no run", encode("--run", "none", *whole, pattern=r"none")
    yield "encode, no encoder", encode("--run", "empty", *whole, pattern=r"empty")
    yield "encode, a file as run", encode("--run", "bad.png", *whole, pattern=r"bad\.png")
    run = jhash("encode", "--quiet", "--run", "run", "--output")
    for name, words, pattern in (
        ("no such images", ("out.npz", "--images", "none"), "none"),
        ("an empty folder", ("out.npz", "--images", "empty"), "empty"),
        ("a text as a batch", ("out.npz", "--images", "images", "--batch-size", "x"), "batch-size"),
        ("a batch of 0", ("out.npz", "--images", "images", "--batch-size", "0"), "batch-size"),
        ("a batch of -3", ("out.npz", "--images", "images", "--batch-size", "-3"), "batch-size"),
        ("an image twice", ("out.npz", "--images", "images/0.png", "images/0.png"), r"0\.png"),
        ("a folder as output", ("empty", "--images", "images"), "empty"),
        ("output below a file", ("bad.png/x.npz", "--images", "images"), "bad.png"),
        ("output in /proc", ("/proc/x.npz", "--images", "images"), "/proc"),
    ):
        status = 2 if "batch" in name else 1
        yield f"encode, {name}", run(*words, pattern=pattern, status=status)
    # The images that cannot be read are listed before.
    pattern, words = "none of which can be read", ("out.npz", "--images", "images.txt")
    yield "encode, a file that is no image", run(*words, pattern=pattern, lines=2)
    index = jhash("index")
    yield "index, no action", index(pattern="ACTION", **use)
    yield "index, unknown action", index("sync", pattern="invalid choice: 'sync'", **use)
    build = jhash("index", "build", "--output", "new.index")
    for name, words, pattern, status in (
        ("nothing to build of", (), "give --images, --run or --codes", 2),
        ("no images without a run", ("--images", "empty"), "empty", 1),
        ("no bits", ("--images", "images", "--bits", "0"), "--bits", 2),
        ("too many bits", ("--images", "images", "--bits", "513"), "--bits: 513", 1),
        ("codes and images", ("--codes", "codes.npz", "--images", "images"), "--codes needs", 2),
        ("codes and a run", ("--codes", "codes.npz", "--run", "run"), "--codes needs", 2),
        ("codes that are missing", ("--codes", "none.npz"), r"none\.npz", 1),
        ("codes that are none", ("--codes", "bad.png"), r"bad\.png", 1),
        ("a folder as codes", ("--codes", "empty"), "empty", 1),
        ("an unknown database", ("--run", "run", "--database", "all"), "invalid choice", 2),
        ("a run that is none", ("--run", "empty"), "empty", 1),
        ("an empty folder of images", ("--run", "run", "--images", "empty"), "empty", 1),
        ("an unknown option", ("--runs", "run"), "unrecognized|runs", 2),
    ):
        yield f"index build, {name}", build(*words, pattern=pattern, status=status)
    build = jhash("index", "build", "--codes", "codes.npz")
    yield "index build, no output", build(pattern="--output", **use)
    yield "index build, a folder as output", build("--output", "empty", pattern="empty")
    yield "index build, below a file", build("--output", "bad.png/x", pattern=r"bad\.png")
    for action, words in (
        ("add", ("--codes", "codes.npz")),
        ("remove", ("1",)),
        ("info", ()),
        ("export", ("--packed", "out.npy")),
    ):
        change = jhash("index", action)
        yield f"index {action}, no index", change(*words, pattern="--index", **use)
        for name, path in (
            ("of nothing", "none.index"),
            ("of no index", "bad.png"),
            ("of a folder", "empty"),
        ):
            # Who changes an index holds a lock, which is a file.
            case = change("--index", path, *words, pattern=path, makes=(f".{path}.lock",))
            yield f"index {action}, {name}", case
    add = jhash("index", "add", "--index", "it.index")
    yield "index add, the same ids", add("--codes", "codes.npz", pattern="id")
    yield "index add, no codes", add(pattern="--codes", **use)
    yield "index add, codes that are none", add("--codes", "bad.png", pattern=r"bad\.png")
    yield "index add, other bits", add("--codes", "other.npz", pattern="bits|12")
    remove = jhash("index", "remove", "--index", "it.index")
    yield "index remove, no id", remove(pattern="ID", **use)
    yield "index remove, an unknown id", remove("99999", pattern="99999")
    yield "index remove, a text as id", remove("cat.png", pattern=r"cat\.png")
    yield "index remove, an id twice", remove("1", "1", pattern="1")
    yield "index remove, a number of 30 digits", remove("9" * 30, pattern="999")
    export = jhash("index", "export", "--index", "it.index")
    yield "index export, nothing", export(pattern="at least one of --faiss", **use)
    yield "index export, a folder", export("--packed", "empty", pattern="empty")
    yield "index export, below a file", export("--ids", "bad.png/x.npy", pattern=r"bad\.png")


def _searches():
    """Returns cases of `search`, `report` and of the command line itself."""
    use = {"status": 2}
    command = jhash()
    yield "no command", command(pattern="COMMAND", **use)
    yield "unknown command", command("train", pattern="invalid choice: 'train'", **use)
    search = jhash("search", "--index", "it.index")
    for name, words, pattern, status in (
        ("no query", (), "--image|--id", 2),
        ("both kinds of query", ("--id", "1", "--image", "images/0.png"), "not allowed with", 2),
        ("k of 0", ("--id", "1", "-k", "0"), "-k", 2),
        ("k of -1", ("--id", "1", "-k", "-1"), "-k", 2),
        ("k of 1.5", ("--id", "1", "-k", "1.5"), "-k", 2),
        ("k of a text", ("--id", "1", "-k", "x"), "-k", 2),
        ("a radius of -1", ("--id", "1", "--radius", "-1"), "radius", 2),
        ("a radius of a text", ("--id", "1", "--radius", "x"), "radius", 2),
        ("a radius of 99", ("--id", "1", "--radius", "99"), "radius: 99 given", 1),
        ("an unknown id", ("--id", "99999"), "99999", 1),
        ("a text as id", ("--id", "cat.png"), r"cat\.png", 1),
        ("an image that is missing", ("--image", "none.png"), r"none\.png", 1),
        ("an image that is none", ("--image", "bad.png"), r"bad\.png", 1),
        ("a folder as image", ("--image", "empty"), "empty", 1),
        ("a run that is none", ("--image", "images/0.png", "--run", "empty"), "empty", 1),
        ("an unknown option", ("--id", "1", "--top", "3"), "unrecognized", 2),
    ):
        # The images that cannot be read are listed before.
        lines = 2 if name.startswith(("an image that", "a folder as")) else 1
        yield f"search, {name}", search(*words, pattern=pattern, status=status, lines=lines)
    search = jhash("search", "--id", "1", "--index")
    yield "search, no such index", search("none.index", pattern=r"none\.index")
    yield "search, no index", search("bad.png", pattern=r"bad\.png")
    yield "search, codes as an index", search("codes.npz", pattern=r"codes\.npz")
    cuda = {"JAX_PLATFORMS": "cuda"}
    pattern = "JAX_PLATFORMS: 'cuda' given"
    yield "search, cuda", search("it.index", pattern=pattern, variables=cuda)
    words = ("--run", "run", "--images", "images", "--output", "out.npz", "--quiet")
    yield "encode, cuda", jhash("encode")(*words, pattern=pattern, variables=cuda)
    report = jhash("report")
    yield "report, nothing", report(pattern="RUN", **use)
    yield "report, no such run", report("none", pattern="none")
    yield "report, no run", report("empty", pattern="empty")
    yield "report, a file", report("bad.png", pattern=r"bad\.png")
    yield "report, twice the same", report("run", "run", pattern="run given twice")
    yield "report, a folder as output", report("run", "--output", "empty", pattern="empty")
    yield "report, output in /proc", report("run", "--output", "/proc/x.html", pattern="/proc")


def _files():
    """Returns cases of files that are not what they should be."""
    heic = {"photos/a.heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200)}
    search = jhash("search", "--index", "it.index", "--image", "photos/a.heic")
    yield "a query in HEIC", search(pattern=r"(?i)heic", files=heic, lines=2)
    encode = jhash("encode", "--quiet", "--run", "run", "--output", "out.npz", "--images")
    yield "a folder of HEIC", encode("photos", pattern=r"(?i)heic", files=heic)
    codes = np.zeros((3, 1), np.uint32)
    build = jhash("index", "build", "--output", "new.index", "--codes", "own.npz")
    for name, arrays, pattern in (
        ("ids that are objects", {"codes": codes, "ids": np.array([{}, 1, "a"])}, r"own\.npz"),
        ("8.5 bits", {"codes": codes, "ids": np.arange(3), "bits": 8.5}, r"own\.npz.*8\.5"),
        ("0 bits", {"codes": codes, "ids": np.arange(3), "bits": 0}, r"own\.npz"),
        ("fewer ids than codes", {"codes": codes, "ids": np.arange(2)}, r"own\.npz"),
        ("an id twice", {"codes": codes, "ids": np.array([1, 2, 1])}, r"own\.npz|id"),
        ("real codes", {"codes": codes.astype(float), "ids": np.arange(3)}, r"own\.npz"),
        ("no array codes", {"ids": np.arange(3)}, r"own\.npz"),
    ):
        file = io.BytesIO()
        np.savez(file, **{"bits": 8, "run": "run", "network": "0" * 64} | arrays)
        yield name, build(pattern=pattern, files={"own.npz": file.getvalue()})
    damaged = {"run/codes/queries.npz": b"PK\3\4" + bytes(100)}
    pattern = r"run/codes/queries\.npz"
    yield "report of damaged codes", jhash("report")("run", pattern=pattern, files=damaged)
    damaged = {"run/encoder.bin": bytes(500)}
    yield "a damaged encoder", encode("images", pattern=r"run/encoder\.bin", files=damaged)
    damaged = {"own.index": b"JHASHIDX" + bytes(500)}
    search = jhash("search", "--id", "1", "--index", "own.index")
    yield "a damaged index", search(pattern=r"own\.index", files=damaged)
    good = {}
    for number in range(6):
        image = io.BytesIO()
        Image.new("L", (8, 8), 40 * number).save(image, "PNG")
        good[f"lists/{number}.png"] = image.getvalue()
    lines = [f"{number}.png {number % 2} {1 - number % 2}\n" for number in range(6)]
    lists = good | {
        "lists/train.txt": "".join(lines[:4]),
        "lists/database.txt": "".join(lines[:4]),
        "lists/test.txt": "".join(lines[4:]),
    }
    train = launch(
        "--config=CONFIGS/fdah.py",
        "--config.data.source=lists",
        "--config.data.options.folder=lists",
        "--config.data.options.image_size=28",
        "--config.batch_size=4",
    )
    split = "--config.data.split=lists"
    for name, words, changes, pattern in (
        ("another split", (), {}, r"data\.split: 'embedded' given; allowed for this .*lists"),
        ("a missing image", (split,), {"lists/test.txt": "9.png 0 1\n"}, r"9\.png"),
        ("no line in test", (split,), {"lists/test.txt": ""}, r"test"),
        ("a text as label", (split,), {"lists/test.txt": "5.png a b\n"}, r"test\.txt"),
        ("an image in two lists", (split,), {"lists/test.txt": lines[0]}, r"test|quer|0\.png"),
    ):
        yield f"lists, {name}", train(*words, pattern=pattern, files=lists | changes)
    # Images that cannot be read are named and left out, and then no query is left.
    changes = {"lists/5.png": b"x", "lists/test.txt": lines[5]}
    pattern = "quer|test"
    train = train(split, pattern=pattern, files=lists | changes, lines=3)
    yield "lists, no image in test that can be read", train
    embedded = launch("--config=CONFIGS/fdah.py", "--config.data.split=official")
    for source, pattern in (
        ("tfds:image_folder", r"config\.data\.source: .*image_folder"),
        ("tfds:no_such_set", r"config\.data\.source: .*no_such_set"),
    ):
        yield source, embedded(f"--config.data.source={source}", pattern=pattern)
    walks = launch("--config=CONFIGS/dstgeh.py:smoke,embedding=walks")
    yield (
        "walks without gensim",
        walks(
            pattern=r"config\.method\.embedding\.name: 'walks' given without gensim",
            files={"hidden/gensim/__init__.py": "raise ImportError('hidden')\n"},
            variables={"PYTHONPATH": "hidden:ROOT"},
        ),
    )


def _library():
    """Returns cases of Python code; the line is that of the InputError."""
    start = (
        "import sys, os\nfrom configs import fdah\nfrom jhash import evaluate, train\n"
        "from jhash.errors import InputError\nconfig = fdah.get_config('smoke')\ntry:\n    "
    )
    end = "\nexcept InputError as error:\n    sys.exit(f'jhash: {error}')\n"
    for name, code, pattern in (
        ("a dict", "train.train(config.to_dict(), 'new')", "config: a dict given; allowed: an ml"),
        ("None", "train.train(None, 'new')", "config: a NoneType given"),
        ("a text", "train.train('configs/fdah.py', 'new')", "config: a str given"),
        ("no folder", "train.train(config, '')", "--workdir: '' given"),
        ("None as folder", "train.train(config, None)", "--workdir: None given"),
        ("bytes as folder", "train.train(config, b'new')", "--workdir: b'new' given"),
        ("a number as folder", "train.train(config, 5)", "--workdir: 5 given"),
        ("NUL in the folder", "train.train(config, 'a\\0b')", "--workdir: 'a.*b' given"),
        (
            "a field of another type",
            "config.update_from_flattened_dict({'bits': 16})\n    with config.ignore_type():\n"
            "        config.bits = '16'\n    train.train(config, 'new')",
            r"config\.bits: '16' given; allowed: 1 to 512",
        ),
        (
            "True as a number",
            "with config.ignore_type():\n        config.epochs = True\n"
            "    train.train(config, 'new')",
            r"config\.epochs: True given",
        ),
        (
            "a real number as a count",
            "with config.ignore_type():\n        config.batch_size = 16.0\n"
            "    train.train(config, 'new')",
            r"config\.batch_size: 16\.0 given",
        ),
        (
            "a missing group",
            "del config.optimizer\n    train.train(config, 'new')",
            r"config\.optimizer: none given",
        ),
        ("evaluate nothing", "evaluate.evaluate_workdir('none')", r"none/config\.json"),
        ("evaluate None", "evaluate.evaluate_workdir(None)", "--workdir: None given"),
        (
            "evaluate with bad metrics",
            "evaluate.evaluate_workdir('run', metrics={'map_at': 0})",
            r"config\.metrics\.map_at: 0 given",
        ),
        (
            "evaluate with unknown metrics",
            "evaluate.evaluate_workdir('run', metrics={'map': 5})",
            r"config\.metrics\.map: 5 given, but there is no such field",
        ),
    ):
        yield name, Case(("-c", start + code + end), pattern)


def _all():
    yield from (("launch.py", name, case) for name, case in _arguments())
    yield from (("config files", name, case) for name, case in _config_files())
    yield from (("fields", name, case) for name, case in _fields("smoke", "", _COMMON))
    for name, case in _fields("smoke", "", _TYPES):
        yield "fields", name, dataclasses.replace(case, status=2)
    for (argument, config), cases in _OTHERS.items():
        for name, case in _fields(argument, "", cases, config):
            yield "fields of methods", f"{config}:{argument}, {name}", case
    yield from (("folders of runs", name, case) for name, case in _workdirs())
    yield from (("encode and index", name, case) for name, case in _codes())
    yield from (("search and report", name, case) for name, case in _searches())
    yield from (("files", name, case) for name, case in _files())
    yield from (("library", name, case) for name, case in _library())


# (row of the table, name, case) of every case.
CASES = list(_all())
