"""Painting one picture: `demo`, `stylize` and `restyle`."""

import pathlib
import signal

from ..eager.presets import COLORS, PRESETS
from ..startup import start_tensorflow
from .classroom import print_table
from .common import check_new, count


def add_demo(verb):
    """Add the verb `demo` and its options."""
    sub = verb("demo", _demo, "check the expected values, and paint a photograph in our brush strokes")
    sub.add_argument("-o", "--output", default="output/generated_image.jpg", help="picture to write (%(default)s)")
    sub.add_argument(
        "--preset", choices=("fast", "course"), default="fast", help="course: its own 200 iterations (%(default)s)"
    )
    sub.add_argument(
        "--size", type=count, default=400, metavar="W", help="width in pixels; fewer on a slow machine (%(default)s)"
    )
    sub.add_argument("--iterations", type=count, metavar="N", help="steps on the network itself (the preset's)")
    sub.add_argument("--weights", metavar="FILE", help="weights to use in place of those found")


def _demo(args):
    from skimage import data

    start_tensorflow()
    from ..eager.presets import Style
    from ..expected import EXPECTED
    from ..images import read_image, resize_image
    from ..weights.folders import repository_folder

    beginning = [row for row in EXPECTED if row.name.startswith("iteration 0") and not row.missing()]
    status = print_table([row for row in EXPECTED if row.holds_for == "any"] + beginning, args.weights)
    print("Content: Chelsea the cat (a photograph from scikit-image). Style: our own brush strokes.")
    content = resize_image(data.chelsea(), width=400, height=300)
    style = Style(read_image(repository_folder("images") / "brush_strokes.png"))
    changes = {} if args.iterations is None else {"iterations": args.iterations}
    content = resize_image(content, width=args.size)
    return _paint(args, content, [style], PRESETS[args.preset].but(**changes), seed=3) or status


def add_stylize(verb):
    """Add the verb `stylize` and its options."""
    sub = verb("stylize", _stylize, "paint one picture in the style of others")
    sub.add_argument("content", help="picture that is painted")
    sub.add_argument("style", nargs="+", help="picture whose style is taken; several are blended in equal shares")
    sub.add_argument("-o", "--output", required=True, help="picture to write")
    sub.add_argument("--preset", choices=PRESETS, default="fast", help="how to paint (%(default)s)")
    sub.add_argument("--size", type=int, metavar="W", help="width of the result in pixels (the content's)")
    sub.add_argument("--iterations", type=count, metavar="N", help="steps on the network itself (the preset's)")
    sub.add_argument("--alpha", type=float, help="weight of the content cost (the preset's)")
    sub.add_argument("--beta", type=float, help="weight of the style cost (the preset's)")
    sub.add_argument("--variation", type=float, help="weight of the total variation: smooths (the preset's)")
    sub.add_argument("--scale", type=float, default=1, help="size of the strokes, 1 is the style picture's")
    sub.add_argument(
        "--color", choices=COLORS, help="whose colours; luminance and histogram keep the photograph's (style)"
    )
    sub.add_argument("--start", help="content, blend, noise, recolored, or a picture to go on with (the preset's)")
    sub.add_argument("--seed", type=int, help="seed of the noise, to get the same picture again")
    sub.add_argument("--weights", metavar="FILE", help="weights to use in place of those found")


def _stylize(args):
    start_tensorflow()
    from ..eager.presets import STARTS, Style
    from ..images import read_image, resize_image

    check_new(args.output, (args.content, *args.style, args.start or ""))
    content = read_image(args.content)
    if args.size is not None:
        content = resize_image(content, width=args.size)
    styles = [Style(read_image(path), scale=args.scale) for path in args.style]
    fields = ("iterations", "alpha", "beta", "variation", "color", "start")
    changes = {name: getattr(args, name) for name in fields if getattr(args, name) is not None}
    preset = PRESETS[args.preset]
    if args.start is not None and args.start not in STARTS:
        # At half the size its details would be lost.
        changes |= {"start": read_image(args.start), "sketch": preset.sketch[-1:]}
    return _paint(args, content, styles, preset.but(**changes), args.seed)


def _paint(args, content, styles, preset, seed):
    """Run with a bar, and write the picture even if the run is cut short."""
    from tqdm import tqdm

    from ..eager.memory import estimate_memory
    from ..eager.stylize import stylize
    from ..images import check_output, save_image
    from ..session import DivergenceError
    from ..weights.find import load_weights

    check_output(args.output)
    weights = load_weights(args.weights)
    print(f"Memory: about {estimate_memory(weights, content.shape[:2], preset) / 1e9:.1f} GB")
    with tqdm(total=sum(stage.iterations for stage in preset.stages), unit="it", desc="Painting") as bar:

        def callback(step):
            where = f" ({step.stage})" if step.stage else ""
            bar.set_postfix_str(f"cost {step.J:.3g}{where}", refresh=False)
            bar.update()

        try:
            painting = stylize(content, styles, preset, weights=weights, seed=seed, callback=callback)
        except DivergenceError as error:
            save_image(args.output, error.painting.image)  # error.image may have half the size
            raise
    if painting.timings:
        times = ", ".join(f"{name} {1000 * t:.0f} ms" for name, t in painting.timings.items())
        print(f"The network computed in {painting.precision} (timed: {times}).")
    save_image(args.output, painting.image)
    print(f"Picture: {pathlib.Path(args.output).resolve()}")
    return 128 + signal.SIGINT if painting.interrupted else 0


def add_restyle(verb):
    """Add the verb `restyle` and its options."""
    sub = verb("restyle", _restyle, "paint a picture in any style in one pass, with a network trained by others")
    sub.add_argument("content", help="picture that is painted")
    sub.add_argument("style", nargs="+", help="picture whose style is taken; several are blended in equal shares")
    sub.add_argument("-o", "--output", required=True, help="picture to write")
    sub.add_argument("--models", metavar="DIR", help="folder of the models (where weights download puts them)")
    sub.add_argument("--strength", type=float, default=1, help="0 is the content's own style (%(default)s)")
    sub.add_argument("--size", type=int, metavar="W", help="width of the result in pixels (the content's)")


def _restyle(args):
    start_tensorflow()
    from ..feedforward.arbitrary import load_arbitrary
    from ..images import check_output, read_image, resize_image, save_image

    check_new(args.output, (args.content, *args.style))
    check_output(args.output)
    content = read_image(args.content)
    if args.size is not None:
        content = resize_image(content, width=args.size)
    styles = [read_image(path) for path in args.style]
    save_image(args.output, load_arbitrary(args.models).stylize(content, styles, strength=args.strength))
    print(f"Picture: {pathlib.Path(args.output).resolve()}")
    return 0
