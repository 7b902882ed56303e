"""The command `python -m jhash encode`: image files to codes."""

import argparse

from jhash.commands import add_json, at_least, images, parser, tell
from jhash.data import decoding, image_files
from jhash.system import files

_SUMMARY = "encode images with the model of a run"
_DETAILS = f"""
Folders are searched, with all folders below them, for
{" ".join(image_files.EXTENSIONS)}.
An image is converted to gray or RGB and resized (bilinearly, antialiased, by the run's
config.image.resize) to the size of the run's images. A run on a folder of photos turns
images as their EXIF data say and puts transparency on white; other runs do neither.
From there on it is encoded as in the run's evaluation and gets the same code, bit for
bit (measured on CPUs). With another batch size, a bit whose output is as good as 0 can
in principle differ.

Images that cannot be read are reported on stderr, counted and left out. That is no
error (exit status 0) unless none can be read. They are regular files of the formats
{", ".join(decoding.FORMATS)},
with up to {decoding.MAX_PIXELS // 10**6} million pixels of 8 or 16 bits per channel; HEIF (HEIC)
needs the extra "heic". Files of other types are counted. In names that are shown,
characters that a terminal would obey, such as line ends, are written as \\n.

CODES.npz holds:
  codes    uint32 [N, words]; bit j of a code is bit j % 32 of word j // 32
  ids      strings [N]: paths relative to the given folder, of several folders relative to
           the one that all are in; files as given
  bits     the code length
  run      the run's folder
  network  the digest of the trained model; models with other weights have another
  root, folders, newest
           where the images are, and the time of the latest change of one

With --beam, a pipeline of Apache Beam encodes, on as many machines as its runner uses
(extra "beam"). --output is a folder then, which all of them can write to, as they can read
the run and the images. --images may also be URLs that Beam reads, and both may have * in
them. The folder gets codes-00000-of-00016.npz and so on, which `index build --codes
DIR/*.npz` merges; images.jsonl, a list of all images; and unreadable.json. All that comes
behind --beam are options of Beam.
"""
_EXAMPLES = (
    "encode --run RUN --images photos/ --output photos.npz",
    "encode --run RUN --images 'gs://BUCKET/*.jpg' --output DIR --beam --runner=FlinkRunner",
)


def add(commands):
    """Adds the command and its arguments."""
    command = parser(commands, "encode", _SUMMARY, _DETAILS, _EXAMPLES)
    command.add_argument(
        "--run", required=True, dest="workdir", metavar="RUN", help="a run's folder"
    )
    command.add_argument(
        "--images", required=True, nargs="+", metavar="FOLDER_OR_FILE", help="what to encode"
    )
    command.add_argument(
        "--output",
        required=True,
        metavar="CODES.npz",
        help="the file to write; with --beam, the folder",
    )
    images.add_arguments(command)
    command.add_argument(
        "--shards", type=at_least(1), metavar="N", help="with --beam: number of files; default: 16"
    )
    command.add_argument(
        "--beam", nargs=argparse.REMAINDER, metavar="OPTION", help="encode by Apache Beam"
    )
    add_json(command)
    command.set_defaults(run=run, wrong=command.error)


def run(arguments):
    """Encodes the images and writes the file of codes, or files with --beam."""
    if arguments.beam is not None:
        from jhash.commands import encode_beam

        encode_beam.run(arguments)
        return
    if arguments.shards:
        arguments.wrong("--shards needs --beam")
    from jhash.runs import code_files

    files.check_output(arguments.output)
    encoded = images.encode_found(arguments)
    code_files.write(arguments.output, **encoded.content)
    tell(
        arguments,
        f"{encoded.words}\nThe codes are in {arguments.output}.",
        output=arguments.output,
        bits=encoded.content["bits"],
        **encoded.fields,
    )
