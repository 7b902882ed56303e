"""python -m jhash encode: images to codes."""

from jhash.commands import images, parser
from jhash.data import image_files
from jhash.system import files

_SUMMARY = "encode images with the network of a run"
_DETAILS = f"""
Folders are searched, with all that is below them, for
{" ".join(image_files.EXTENSIONS)}.
An image is converted to grey or RGB and resized (bilinearly, antialiased, without
regard to its aspect ratio) to the images that the run was trained on; transparency
and EXIF rotation are ignored. From there on it goes the way of the run's evaluation,
and gets the evaluation's code: bit for bit, measured on CPUs. A batch of another size
can in principle flip a bit whose output is as good as 0.

Images that cannot be read, and those of 16 bits or floats, are reported on stderr,
counted and left out; that is no error (exit status 0) unless none can be read.

CODES.npz holds: codes, uint32 [N, words], bit j of a code being bit j % 32 of word
j // 32; ids, strings [N]: paths relative to the folder given, or a file as it was
given; bits; run, the run's folder; network, which tells one trained network from
another.
"""
_EXAMPLES = ("encode --run RUN --images photos/ --output photos.npz",)


def add(commands):
    """Adds the command's arguments."""
    command = parser(commands, "encode", _SUMMARY, _DETAILS, _EXAMPLES)
    command.add_argument(
        "--run", required=True, dest="workdir", metavar="RUN", help="a run's folder"
    )
    command.add_argument(
        "--images", required=True, nargs="+", metavar="FOLDER_OR_FILE", help="what to encode"
    )
    command.add_argument("--output", required=True, metavar="CODES.npz", help="the file to write")
    images.add_arguments(command)
    command.set_defaults(run=run)


def run(arguments):
    """Runs the command."""
    from jhash.runs import code_files

    files.check_output(arguments.output)
    made = images.encode_found(arguments)
    code_files.write(arguments.output, **made)
    print(f"The codes are in {arguments.output}.")
