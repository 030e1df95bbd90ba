"""Networks that paint in one pass: `apply`, `styles`, `sheet`, `train` and `export`."""

import dataclasses
import pathlib

from ..startup import start_tensorflow
from .common import add_dask, check_new, count, executor, frame_bar, paint_pictures, picture_bar, seed
from .terminal import say


def add_apply(verb):
    """Add the verb `apply` and its options."""
    sub = verb("apply", _apply, "paint pictures with a network of fast style transfer, in one pass each")
    sub.add_argument("network", help="name of a style, a .npz, or a TensorFlow checkpoint of the published project")
    sub.add_argument("pictures", nargs="+", metavar="PICTURE", help="picture, animated GIF, video, or folder of them")
    sub.add_argument("-o", "--output", required=True, metavar="DIR", help="folder to write to, under the same names")
    sub.add_argument(
        "--padding",
        choices=["zeros", "reflect"],
        help="what layers see beyond their borders, zeros or themselves mirrored (what the network was trained with)",
    )
    sub.add_argument(
        "--precision",
        choices=["float32", "bfloat16", "auto"],
        default="float32",
        help="what the network computes in; auto takes the clearly faster one (default: %(default)s)",
    )
    sub.add_argument(
        "--steady",
        type=float,
        default=0,
        metavar="S",
        help="less flicker in videos: 0 to below 1 (default: %(default)s)",
    )
    add_dask(sub)


def _apply(args):
    start_tensorflow()
    from ..feedforward.files import plan
    from ..images import check_output
    from ..many import apply_to_files

    options = {"padding": args.padding, "precision": args.precision, "steady": args.steady}
    with executor(args.dask) as pool, frame_bar() as show:
        outputs = plan(args.pictures, args.output)
        if pool is None:  # frames on other machines are not heard of
            options["callback"] = show
        results = apply_to_files(args.network, outputs, executor=pool, **options)
        check_output(pathlib.Path(args.output, "painting.png"))
        return paint_pictures(results, picture_bar(outputs), args.output)


def add_styles(verb):
    """Add the verb `styles`."""
    verb("styles", _styles, "list the styles that come along for apply and sheet")


def _styles(args):
    from ..feedforward.checkpoint import load_network
    from ..feedforward.styles import style_names

    for name in style_names():
        say(f"{name:16}{load_network(name).settings['picture']}")
    return 0


def add_sheet(verb):
    """Add the verb `sheet` and its options."""
    sub = verb("sheet", _sheet, "paint a photograph in every style that comes along, side by side")
    sub.add_argument("picture", help="photograph that is painted")
    sub.add_argument("-o", "--output", required=True, help="picture to write")
    sub.add_argument(
        "--size", type=count, default=480, metavar="W", help="width of each in pixels (default: %(default)s)"
    )


def _sheet(args):
    start_tensorflow()
    from .._files import whole_file
    from ..feedforward.checkpoint import load_network
    from ..feedforward.styles import style_names
    from ..images import check_output, read_image, resize_image
    from ..plots import show_pictures

    check_new([args.output], [args.picture])
    check_output(args.output)
    photograph, names = resize_image(read_image(args.picture), width=args.size), style_names()
    paintings = [load_network(name).apply(photograph) for name in names]
    figure = show_pictures([photograph, *paintings], ["photograph", *names], columns=3)
    with whole_file(args.output) as temporary:
        figure.savefig(temporary, dpi=args.size / 4)  # each picture is 4 inches wide
    say(f"Sheet: {pathlib.Path(args.output).resolve()}")
    return 0


def add_train(verb):
    """Add the verb `train` and its options."""
    sub = verb("train", _train, "train a network of fast style transfer, or go on with a training")
    sub.add_argument("style", help="picture whose style is learned, at the size its strokes shall be painted")
    sub.add_argument("--pictures", required=True, metavar="DIR", help="folder of pictures to train with")
    sub.add_argument("-o", "--output", required=True, metavar="NET", help="network to write, a .npz")
    sub.add_argument("--steps", type=count, metavar="N", help="steps in all (default: 40000)")
    sub.add_argument("--batch-size", type=count, metavar="M", help="pictures of a step (default: 4)")
    sub.add_argument("--size", type=count, metavar="W", help="width and height of the crops in pixels (default: 256)")
    sub.add_argument("--content-layer", metavar="LAYER", help="layer that compares content (default: relu4_2)")
    sub.add_argument("--alpha", type=float, help="weight of the content cost (default: 7.5)")
    sub.add_argument("--beta", type=float, help="weight of the style cost (default: 100)")
    sub.add_argument("--variation", type=float, help="weight of the total variation: smooths (default: 0.02)")
    sub.add_argument(
        "--learning-rate", type=float, help="of Adam, at first (default: 0.001); it falls to 0 until the last step"
    )
    sub.add_argument("--start", metavar="NETWORK", help="network to begin with, such as one of another style")
    sub.add_argument("--seed", type=seed, help="seed of the first parameters and of the crops (default: 0)")
    sub.add_argument(
        "--precision", choices=["float32", "bfloat16", "auto"], help="what the loss network computes in (auto)"
    )
    sub.add_argument("--every", type=count, default=500, metavar="N", help="steps between files (default: %(default)s)")
    sub.add_argument("--sample", help="picture painted each time files are written (our own)")
    sub.add_argument("--weights", metavar="FILE", help="weights to use in place of those found")


def _train(args):
    start_tensorflow()
    from tqdm import tqdm

    from ..eager.optimizers import Adam
    from ..feedforward.checkpoint import load_network
    from ..feedforward.training import PERCEPTUAL, Training, train
    from ..images import example_image, read_image

    def given(*names):
        return {name: getattr(args, name) for name in names if getattr(args, name) is not None}

    changes = given("alpha", "beta", "variation")
    if args.content_layer is not None:
        changes["content_layers"] = ((args.content_layer, 1.0),)
    training = Training(
        dataclasses.replace(PERCEPTUAL, **changes),
        Adam(**{"learning_rate": 1e-3, **given("learning_rate")}),
        **given("steps", "batch_size", "size", "seed", "precision"),
    )
    sample = read_image(args.sample) if args.sample else example_image("glass_pyramid")
    with tqdm(total=training.steps, unit="step", desc="Training") as bar:

        def callback(step):
            bar.set_postfix_str(f"cost {step.J:.3g}", refresh=False)
            bar.initial = bar.initial or step.iteration  # what an earlier run did does not count for the time left
            bar.update(step.iteration + 1 - bar.n)

        net = train(
            read_image(args.style),
            args.pictures,
            args.output,
            training,
            weights=args.weights,
            start=None if args.start is None else load_network(args.start),
            sample=sample,
            every=args.every,
            callback=callback,
        )
    say(f"Pictures: {net.settings['pictures']}, of which {net.settings['skipped']} cannot be read")
    say(f"Network: {pathlib.Path(args.output).resolve()}")
    return 0


def add_export(verb):
    """Add the verb `export` and its options."""
    sub = verb("export", _export, "write a network of fast style transfer as a TFLite file, for phones and browsers")
    sub.add_argument("network", help="as apply takes it")
    sub.add_argument("-o", "--output", required=True, metavar="FILE", help="file to write, a .tflite")
    sub.add_argument(
        "--precision",
        choices=["float32", "float16"],
        default="float32",
        help="float16: half the size (default: %(default)s)",
    )
    sub.add_argument("--size", type=count, nargs=2, metavar=("W", "H"), help="of the pictures, in pixels (any)")


def _export(args):
    start_tensorflow()
    from ..feedforward.checkpoint import load_network

    size = None if args.size is None else args.size[::-1]
    load_network(args.network).save_tflite(args.output, precision=args.precision, size=size)
    output = pathlib.Path(args.output).resolve()
    say(f"Network: {output}, {output.stat().st_size / 1e6:.1f} MB")
    return 0
