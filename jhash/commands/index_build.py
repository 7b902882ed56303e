"""The action `build` of the command `index`."""

import os

from jhash.commands import at_least, images, milvus, tell
from jhash.errors import InputError, in_config
from jhash.system import files

DETAILS = """
With --images alone: fits an encoder to these very images, and takes their codes. The
encoder is EfficientNet-Lite0 with its ImageNet weights at 96 x 96 pixels, and ITQ, or LSH
if there are no more images than bits. It is written beside the index, as INDEX.encoder;
keep the two together. Nothing is trained. It needs the extra "features".
With --run and --images: encodes the images with the run (see encode --help).
With --codes: takes a file that `python -m jhash encode` wrote, or one of a run's
folder codes/. Several files, such as all that `encode --beam` wrote, are merged in the
order of their ids; one model must have made them. With --id-table, ids of the index are
integers, 0 and so on, and a file has the texts for which they stand, so that these take
no memory in a search; see jhash.retrieval.index.id_table.
With --milvus: takes a collection that `index export --milvus` has made.
With --run alone: takes the codes of the run's database; their ids are the images'
places in the data set.

The ids of images are their paths relative to the folder, of several folders relative to
the one that all are in. Images that cannot be read are left out, as by encode.
"""


def add_arguments(command) -> None:
    """Adds the arguments of the action."""
    command.add_argument("--output", required=True, metavar="INDEX", help="the file to write")
    command.add_argument(
        "--overwrite", action="store_true", help="replace the index if there is one"
    )
    command.add_argument(
        "--codes", nargs="+", metavar="CODES.npz", help="the codes of the index, in files"
    )
    command.add_argument(
        "--id-table", metavar="FILE", help="with --codes: the file that gets the ids, see above"
    )
    command.add_argument("--run", dest="workdir", metavar="RUN", help="a run's folder")
    command.add_argument("--images", nargs="+", metavar="FOLDER_OR_FILE", help="images to encode")
    command.add_argument(
        "--bits",
        type=at_least(1),
        metavar="L",
        help="code length of the encoder that is fitted to the images; default: 64",
    )
    command.add_argument(
        "--database",
        choices=("encoded", "learned"),
        help="codes that the run's model computes (default), or that training learned",
    )
    milvus.add_arguments(command, "take the codes of a collection of Milvus")
    images.add_arguments(command)
    command.set_defaults(run=_run, wrong=command.error)


def size(index) -> str:
    """Describes the size of an index."""
    return f"{len(index):,} codes of {index.bits} bits"


def _run(arguments):
    _check_use(arguments)
    files.check_output(arguments.output)
    fits = not (arguments.codes or arguments.workdir or arguments.milvus)
    _refuse_existing(arguments, fits)
    from jhash.retrieval import HammingIndex
    from jhash.retrieval.index import editing

    if not fits:
        index, encoded = _not_fitted(arguments)
        with editing.locked(arguments.output):
            _refuse_existing(arguments, fits)
            index.save(arguments.output)
        _say(arguments, index, encoded)
        return
    from jhash.encoding import encoder, fitted

    arguments.bits = arguments.bits or fitted.BITS
    encoded, made = images.fit_found(arguments)
    path = fitted.path_of(arguments.output)
    with editing.locked(arguments.output):
        _refuse_existing(arguments, fits)
        # The encoder comes first: an index never names one that is not there.
        encoded.content["network"] = encoder.write(path, made.content)
        encoded.content["encoder"] = os.path.basename(path)
        index = HammingIndex.build(**_as_index(encoded.content))
        index.save(arguments.output)
    _say(arguments, index, encoded, path)


def _not_fitted(arguments):
    """Makes an index for which nothing is fitted; returns it, and what was encoded or None."""
    if arguments.milvus:
        return milvus.read(arguments), None
    return _with_run(arguments) if arguments.workdir else (_of_codes(arguments), None)


def _check_use(arguments):
    milvus.check(arguments)
    if arguments.milvus and (arguments.codes or arguments.workdir or arguments.images):
        arguments.wrong("--milvus needs neither --codes nor --run nor --images")
    if arguments.codes and (arguments.workdir or arguments.images):
        arguments.wrong("--codes needs neither --run nor --images")
    if not (arguments.codes or arguments.workdir or arguments.images or arguments.milvus):
        arguments.wrong("give --images, --run, --codes or --milvus")
    if arguments.id_table and not arguments.codes:
        arguments.wrong("--id-table needs --codes")
    if arguments.database and (arguments.images or arguments.codes):
        arguments.wrong("--database needs --run alone, without --images or --codes")
    if arguments.bits and (arguments.workdir or arguments.codes or arguments.milvus):
        arguments.wrong("--bits needs --images alone; a run has its code length")
    if arguments.batch_size and not (arguments.workdir and arguments.images):
        arguments.wrong("--batch-size needs --run and --images")


def _refuse_existing(arguments, fits):
    if arguments.overwrite:
        return
    from jhash.retrieval.index import file_format

    target = os.path.realpath(arguments.output)
    # The encoder may belong to an index that has another name now.
    for path in (target, target + file_format.ENCODER_SUFFIX) if fits else (target,):
        if os.path.exists(path):
            raise InputError(
                f"--output: {arguments.output} given, but there is {path}; allowed: a new file, "
                "or --overwrite to replace it."
            )


def _with_run(arguments):
    from jhash.encoding import compatibility
    from jhash.retrieval import HammingIndex
    from jhash.runs import code_files

    if arguments.images:
        encoded = images.encode_found(arguments)
        return HammingIndex.build(**_as_index(encoded.content)), encoded
    with in_config({"workdir": "--run"}):
        index = code_files.load_index(arguments.workdir, arguments.database or "encoded")
    compatibility.check_run(arguments.workdir, index.metadata.get("network"))
    return index, None


def _of_codes(arguments):
    from jhash.encoding import compatibility
    from jhash.retrieval import HammingIndex
    from jhash.runs import code_files

    with in_config({"codes": "--codes"}):
        code_files.check_shards(arguments.codes)
        contents = [code_files.read(path) for path in arguments.codes]
        made_by = [
            (path, content.bits, content.metadata.get("network"))
            for path, content in zip(arguments.codes, contents, strict=True)
        ]
        for other in made_by[1:]:
            compatibility.check_same(made_by[0], other)
        several = len(contents) > 1 or arguments.id_table
        content = code_files.merge(contents) if several else contents[0]
    if arguments.id_table:
        content = _with_id_table(arguments, content)
    return HammingIndex.build(content.codes, content.bits, content.ids, content.metadata)


def _with_id_table(arguments, content):
    """Writes the ids of codes, which are sorted, to a table; returns the codes without them."""
    from jhash.retrieval.index import id_table

    path = arguments.id_table
    if content.ids.dtype.kind in "iu":
        raise InputError(
            f"--id-table: {path} given for codes whose ids are integers; allowed: codes with "
            "texts as ids."
        )
    if os.path.exists(path) and not arguments.overwrite:
        raise InputError(
            f"--id-table: {path} given, which is there already; allowed: a new file, or "
            "--overwrite to replace it."
        )
    files.check_output(path)
    with in_config({"texts": "--codes"}):
        id_table.write(path, content.ids)
    metadata = {**content.metadata, "id_table": os.path.basename(path)}
    return content._replace(ids=None, metadata=metadata)


def _as_index(content):
    """Splits the content of a file of codes into the arguments of `HammingIndex.build`."""
    arrays = {name: content[name] for name in ("codes", "bits", "ids")}
    metadata = {name: value for name, value in content.items() if name not in arrays}
    return {**arrays, "metadata": metadata}


def _say(arguments, index, encoded, encoder_path=None):
    lines = [encoded.words] if encoded else []
    line = f"{arguments.output}: {size(index)}"
    lines.append(f"{line}; its encoder is {encoder_path}." if encoder_path else f"{line}.")
    fields = encoded.fields if encoded else {}
    if encoder_path:
        fields = {**fields, "encoder": encoder_path}
    tell(
        arguments,
        "\n".join(lines),
        index=arguments.output,
        codes=len(index),
        bits=index.bits,
        **fields,
    )
