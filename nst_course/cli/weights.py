"""Weights files: `weights inspect` and `weights download`."""

from .terminal import say


def add_weights(verb):
    """Add the verb `weights` with its own verbs and their options."""
    weights = verb("weights", None, "look into a weights file, or fetch the published ones")
    actions = weights.add_subparsers(title="what to do", required=True, metavar="VERB")
    inspect = actions.add_parser("inspect", help="say which network, layers and checksum a file has")
    inspect.add_argument("file", help="a .mat, .h5, .keras or .npz file")
    inspect.set_defaults(run=_inspect)
    download = actions.add_parser("download", help="fetch the published VGG-19 weights, or the models of restyle")
    download.add_argument(
        "--source",
        choices=["vlfeat", "keras", "arbitrary"],
        default="vlfeat",
        help="VGG-19 in 535 or 80 MB, or the models of restyle in 3 MB (default: %(default)s)",
    )
    download.add_argument("--folder", help="where to keep the file (pretrained-model/ of the project)")
    download.set_defaults(run=_download)


def _inspect(args):
    from ..weights.download import PUBLISHED, checksums
    from ..weights.network import WeightsError
    from ..weights.reading import read_weights

    try:
        weights = read_weights(args.file)
    except WeightsError:
        if line := _own_file(args.file):
            say(f"{args.file}: {line}")
            return 0
        raise
    sums = checksums(args.file)
    known = next((PUBLISHED[s] for s in sums if s in PUBLISHED), "not one of the published files we know")
    say(f"{args.file}: {weights.network}, {weights.layout}")
    say(f"This is {known}.")
    if weights.description:
        say(f"It says of itself: {weights.description}")
    for checksum in sums:
        say(checksum)
    for name in weights.layers:
        W, b = weights[name]
        say(f"{name}  kernel {'x'.join(map(str, W.shape))}  bias {b.size}")
    return 0


def _own_file(file):
    """Say what a file of ours is that holds no VGG; an empty line for others."""
    from ..startup import start_tensorflow

    start_tensorflow()
    from ..feedforward.checkpoint import CheckpointError, load_network
    from ..weights.network import WeightsError
    from ..weights.sketch import read_sketch

    try:
        read_sketch(file)
        return "the sketch of VGG-19 that the preset fast takes its first steps on"
    except (OSError, WeightsError):
        pass
    try:
        settings = load_network(file).settings or {}
    except (OSError, CheckpointError):
        return ""
    style = f", trained on {settings['picture']}" if "picture" in settings else ""
    return f"a network of fast style transfer{style}. Apply it with: nst-course apply {file} PICTURE -o DIR"


def _download(args):
    from ..weights.download import SOURCES, STYLE_MODELS, download_style_models, download_weights

    if args.source == "arbitrary":
        say(f"Fetching {' and '.join(model.file for model in STYLE_MODELS)}, 3 MB")
        say(f"Models: {download_style_models(args.folder)}")
        return 0
    say(f"Fetching {SOURCES[args.source].file}, {SOURCES[args.source].n_bytes / 1e6:.0f} MB")
    say(f"Weights: {download_weights(args.source, args.folder)}")
    return 0
