"""Painting pictures, one or a folder of them: `demo`, `stylize` and `restyle`."""

import pathlib
import signal

from ..eager.presets import COLORS, PRESETS
from ..startup import start_tensorflow
from .classroom import print_table
from .common import add_dask, check_new, count, executor, paint_pictures, picture_bar, seed
from .terminal import say


def add_demo(verb):
    """Add the verb `demo` and its options."""
    sub = verb("demo", _demo, "check the expected values, and paint a photograph in our brush strokes")
    sub.add_argument(
        "-o", "--output", default="output/generated_image.jpg", help="picture to write (default: %(default)s)"
    )
    sub.add_argument(
        "--preset",
        choices=("fast", "course"),
        default="fast",
        help="course: its own 200 iterations (default: %(default)s)",
    )
    sub.add_argument(
        "--size",
        type=count,
        default=400,
        metavar="W",
        help="width in pixels; fewer on a slow machine (default: %(default)s)",
    )
    sub.add_argument("--iterations", type=count, metavar="N", help="steps on the network itself (the preset's)")
    sub.add_argument("--weights", metavar="FILE", help="weights to use in place of those found")


def _demo(args):
    from skimage import data

    start_tensorflow()
    from ..eager.presets import Style
    from ..expected import EXPECTED
    from ..images import example_image, resize_image

    beginning = [row for row in EXPECTED if row.name.startswith("iteration 0") and not row.missing()]
    status = print_table([row for row in EXPECTED if row.holds_for == "any"] + beginning, args.weights)
    say("Content: Chelsea the cat (a photograph from scikit-image). Style: our own brush strokes.")
    content = resize_image(data.chelsea(), width=400, height=300)
    style = Style(example_image("brush_strokes"))
    changes = {} if args.iterations is None else {"iterations": args.iterations}
    content = resize_image(content, width=args.size)
    return _paint(args, content, [style], PRESETS[args.preset].but(**changes), seed=3) or status


def add_stylize(verb):
    """Add the verb `stylize` and its options."""
    sub = verb("stylize", _stylize, "paint pictures in the style of others")
    _add_pictures(sub)
    sub.add_argument("--preset", choices=PRESETS, default="fast", help="how to paint (default: %(default)s)")
    sub.add_argument("--size", type=int, metavar="W", help="width of the result in pixels (the content's)")
    sub.add_argument("--iterations", type=count, metavar="N", help="steps on the network itself (the preset's)")
    sub.add_argument("--alpha", type=float, help="weight of the content cost (the preset's)")
    sub.add_argument("--beta", type=float, help="weight of the style cost (the preset's)")
    sub.add_argument("--variation", type=float, help="weight of the total variation: smooths (the preset's)")
    sub.add_argument(
        "--scale",
        type=float,
        action="append",
        metavar="S",
        help="size of a style's strokes, given as --weight is (default: 1)",
    )
    sub.add_argument(
        "--mask", action="append", help="picture that is white where in the content a style goes, given as --weight is"
    )
    sub.add_argument(
        "--color", choices=COLORS, help="whose colours; luminance and histogram keep the photograph's (style)"
    )
    sub.add_argument("--start", help="content, blend, noise, recolored, or a picture to go on with (the preset's)")
    sub.add_argument("--seed", type=seed, help="seed of the noise, to get the same picture again")
    sub.add_argument(
        "--every", type=count, metavar="N", help="also save the picture every N steps: OUT-000050.jpg and so on"
    )
    sub.add_argument("--gif", action="store_true", help="also save the run as an animation: OUT.gif")
    sub.add_argument("--weights", metavar="FILE", help="weights to use in place of those found")
    add_dask(sub)


def _stylize(args):
    start_tensorflow()
    from ..eager.files import names_of_run
    from ..eager.presets import STARTS
    from ..images import check_output, read_first, read_image, resize_image
    from ..many import StyleFile, stylize_files

    values = (_of_each_style(args, name, default) for name, default in (("weight", 1), ("scale", 1), ("mask", None)))
    styles = [StyleFile(*style) for style in zip(args.style, *values)]
    fields = ("iterations", "alpha", "beta", "variation", "color", "start")
    changes = {name: getattr(args, name) for name in fields if getattr(args, name) is not None}
    preset, pictures = PRESETS[args.preset], [*args.style, *(args.mask or ())]
    if args.start is not None and args.start not in STARTS:
        # At half the size its details would be lost.
        if not pathlib.Path(args.start).exists():
            expected = f"{', '.join(map(str, STARTS))}, or a picture"
            raise ValueError(f"--start takes {expected}; found {args.start!r}, which is no file either.")
        changes |= {"start": read_image(args.start), "sketch": preset.sketch[-1:]}
        pictures.append(args.start)
    preset, saved = preset.but(**changes), {"every": args.every, "gif": args.gif}
    outputs = _plan(args)
    names = [name for output in outputs.values() for name in names_of_run(output, preset, **saved)]
    check_new(names, [*outputs, *pictures])
    if not _many(args):
        content = read_first(args.content)
        if args.size is not None:
            content = resize_image(content, width=args.size)
        return _paint(args, content, [style.read() for style in styles], preset, args.seed, **saved)
    with executor(args.dask) as pool:
        options = {"width": args.size, "weights": args.weights, "seed": args.seed, **saved}
        if pool is None:  # steps on other machines are not heard of
            options["callback"] = lambda step: _show(step, bar, 0)  # the bar below
        results = stylize_files(outputs, styles, preset, executor=pool, **options)
        check_output(names[0])
        bar = picture_bar(outputs)
        return paint_pictures(results, bar, names[0].parent)


def _paint(args, content, styles, preset, seed, **saved):
    """Run with a bar, and write the picture even if the run is cut short."""
    from tqdm import tqdm

    from ..eager.files import stylize_to_file
    from ..eager.memory import estimate_memory
    from ..images import check_output
    from ..weights.find import load_weights

    check_output(args.output, content.shape[:2])
    weights = load_weights(args.weights)
    say(f"Memory: about {estimate_memory(weights, content.shape[:2], preset, styles=styles) / 1e9:.1f} GB")
    with tqdm(total=sum(stage.iterations for stage in preset.stages), unit="it", desc="Painting") as bar:
        options = {"weights": weights, "seed": seed, "callback": lambda step: _show(step, bar, 1), **saved}
        painting = stylize_to_file(content, styles, args.output, preset, **options)
    if painting.timings:
        times = ", ".join(f"{name} {1000 * t:.0f} ms" for name, t in painting.timings.items())
        say(f"The network computed in {painting.precision} (timed: {times}).")
    name = "Picture so far" if painting.interrupted else "Picture"
    say(f"{name}: {pathlib.Path(args.output).resolve()}")
    return 128 + signal.SIGINT if painting.interrupted else 0


def _show(step, bar, progress):
    where = f" ({step.stage})" if step.stage else ""
    bar.set_postfix_str(f"cost {step.J:.3g}{where}", refresh=False)
    bar.update(progress)


def add_restyle(verb):
    """Add the verb `restyle` and its options."""
    sub = verb("restyle", _restyle, "paint pictures in any style in one pass, with a network trained by others")
    _add_pictures(sub)
    sub.add_argument("--models", metavar="DIR", help="folder of the models (where weights download puts them)")
    sub.add_argument("--strength", type=float, default=1, help="0 is the content's own style (default: %(default)s)")
    sub.add_argument("--size", type=int, metavar="W", help="width of the result in pixels (the content's)")
    add_dask(sub)


def _restyle(args):
    start_tensorflow()
    from ..images import check_output
    from ..many import StyleFile, restyle_files

    styles = [StyleFile(*style) for style in zip(args.style, _of_each_style(args, "weight", 1))]
    outputs = _plan(args)
    check_new(outputs.values(), [*outputs, *args.style])
    first = next(iter(outputs.values()))
    with executor(args.dask) as pool:
        options = {"models": args.models, "strength": args.strength, "width": args.size}
        results = restyle_files(outputs, styles, executor=pool, **options)
        check_output(first)
        if _many(args):
            return paint_pictures(results, picture_bar(outputs), first.parent)
        for _, error in results:
            if error is not None:
                raise ValueError(error)
    say(f"Picture: {first.resolve()}")
    return 0


def _add_pictures(sub):
    """Add what `stylize` and `restyle` share: the pictures, and the styles' weights."""
    sub.add_argument("content", help="picture that is painted, or folder of them")
    sub.add_argument("style", nargs="+", help="picture whose style is taken; several are blended")
    sub.add_argument("-o", "--output", required=True, help="picture to write; for a folder of pictures, a folder")
    sub.add_argument(
        "--weight",
        type=float,
        action="append",
        metavar="W",
        help="share of a style among several: one for all styles, or one for each in their order (default: 1)",
    )


def _many(args):
    """Say whether pictures are counted and listed, or there is just one, whose error is the command's."""
    return args.dask is not None or pathlib.Path(args.content).is_dir()


def _plan(args):
    """Return which pictures are read, and where each painting goes."""
    from ..feedforward.files import plan

    content, output = pathlib.Path(args.content), pathlib.Path(args.output)
    return plan([content], output, animations=False) if content.is_dir() else {content: output}


def _of_each_style(args, option, default):
    """Return an option's value for each style."""
    given, n = getattr(args, option) or [default], len(args.style)
    if len(given) not in (1, n):
        raise ValueError(f"Expected --{option} once for all styles, or once for each of the {n}; found {len(given)}.")
    return given if len(given) == n else given * n
