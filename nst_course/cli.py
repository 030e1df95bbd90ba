"""The ``nst-course`` command. Thin: every verb calls one library function and says what came of it."""

import argparse
import dataclasses
import pathlib
import signal
import subprocess
import sys

from . import __version__
from .eager.presets import COLORS, PRESETS
from .startup import start_tensorflow
from .vgg import LayerNotFoundError


def main(argv=None):
    """Run the ``nst-course`` command.

    Parameters
    ----------
    argv : list of str, optional
        The words behind the command's name; by default those it was called with.

    Returns
    -------
    int
        Exit status: 0 when all went well, 1 for an error or a value that is off, 130 after Ctrl-C.
    """
    args = _parser().parse_args(argv)
    try:
        return args.run(args)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 128 + signal.SIGINT
    except (ValueError, ArithmeticError, OSError, LayerNotFoundError, ModuleNotFoundError) as error:
        print(f"nst-course: {error}", file=sys.stderr)
        return 1


def _parser():
    parser = argparse.ArgumentParser(prog="nst-course", description="Learn neural style transfer by doing it.")
    parser.add_argument("--version", action="version", version=f"nst-course {__version__}")
    verbs = parser.add_subparsers(title="what to do", required=True, metavar="VERB")

    def verb(name, run, text):
        sub = verbs.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        return sub

    demo = verb("demo", _demo, "check the expected values, and paint a photograph in our brush strokes")
    demo.add_argument("-o", "--output", default="output/generated_image.jpg", help="picture to write (%(default)s)")
    demo.add_argument(
        "--preset", choices=("fast", "course"), default="fast", help="course: its own 200 iterations (%(default)s)"
    )
    demo.add_argument(
        "--size", type=_count, default=400, metavar="W", help="width in pixels; fewer on a slow machine (%(default)s)"
    )
    demo.add_argument("--iterations", type=_count, metavar="N", help="steps (the preset's)")
    demo.add_argument("--weights", metavar="FILE", help="weights to use in place of those found")

    stylize = verb("stylize", _stylize, "paint one picture in the style of others")
    stylize.add_argument("content", help="picture that is painted")
    stylize.add_argument("style", nargs="+", help="picture whose style is taken; several are blended in equal shares")
    stylize.add_argument("-o", "--output", required=True, help="picture to write")
    stylize.add_argument("--preset", choices=PRESETS, default="fast", help="how to paint (%(default)s)")
    stylize.add_argument("--size", type=int, metavar="W", help="width of the result in pixels (the content's)")
    stylize.add_argument("--iterations", type=_count, metavar="N", help="steps (the preset's)")
    stylize.add_argument("--alpha", type=float, help="weight of the content cost (the preset's)")
    stylize.add_argument("--beta", type=float, help="weight of the style cost (the preset's)")
    stylize.add_argument("--variation", type=float, help="weight of the total variation: smooths (the preset's)")
    stylize.add_argument("--scale", type=float, default=1, help="size of the strokes, 1 is the style picture's")
    stylize.add_argument(
        "--color", choices=COLORS, help="whose colours; luminance and histogram keep the photograph's (style)"
    )
    stylize.add_argument("--start", help="content, blend, noise, recolored, or a picture to go on with (the preset's)")
    stylize.add_argument("--seed", type=int, help="seed of the noise, to get the same picture again")
    stylize.add_argument("--weights", metavar="FILE", help="weights to use in place of those found")

    restyle = verb("restyle", _restyle, "paint a picture in any style in one pass, with a network trained by others")
    restyle.add_argument("content", help="picture that is painted")
    restyle.add_argument("style", nargs="+", help="picture whose style is taken; several are blended in equal shares")
    restyle.add_argument("-o", "--output", required=True, help="picture to write")
    restyle.add_argument("--models", metavar="DIR", help="folder of the models (where weights download puts them)")
    restyle.add_argument("--strength", type=float, default=1, help="0 is the content's own style (%(default)s)")
    restyle.add_argument("--size", type=int, metavar="W", help="width of the result in pixels (the content's)")

    apply = verb("apply", _apply, "paint pictures with a network of fast style transfer, in one pass each")
    apply.add_argument("network", help="a .npz, or a TensorFlow checkpoint of the published project")
    apply.add_argument("pictures", nargs="+", metavar="PICTURE", help="picture, animated GIF, or folder of them")
    apply.add_argument("-o", "--output", required=True, metavar="DIR", help="folder to write to, under the same names")
    apply.add_argument(
        "--padding",
        choices=["zeros", "reflect"],
        default="zeros",
        help="reflect: fainter coloured borders (%(default)s)",
    )
    apply.add_argument(
        "--precision",
        choices=["float32", "bfloat16", "auto"],
        default="float32",
        help="what the network computes in; auto takes the clearly faster one (%(default)s)",
    )

    train = verb("train", _train, "train a network of fast style transfer, or go on with a training that was cut short")
    train.add_argument("style", help="picture whose style is learned, at the size its strokes shall be painted")
    train.add_argument("--pictures", required=True, metavar="DIR", help="folder of pictures to train with")
    train.add_argument("-o", "--output", required=True, metavar="NET", help="network to write, a .npz")
    train.add_argument("--steps", type=_count, metavar="N", help="steps in all (40000)")
    train.add_argument("--batch-size", type=_count, metavar="M", help="pictures of a step (4)")
    train.add_argument("--size", type=_count, metavar="W", help="width and height of the crops in pixels (256)")
    train.add_argument("--content-layer", metavar="LAYER", help="layer that compares content (relu4_2)")
    train.add_argument("--alpha", type=float, help="weight of the content cost (7.5)")
    train.add_argument("--beta", type=float, help="weight of the style cost (100)")
    train.add_argument("--variation", type=float, help="weight of the total variation: smooths (0.01)")
    train.add_argument("--learning-rate", type=float, help="of Adam (0.001)")
    train.add_argument("--seed", type=int, help="seed of the first parameters and of the crops (0)")
    train.add_argument("--every", type=_count, default=500, metavar="N", help="steps between files (%(default)s)")
    train.add_argument("--sample", help="picture painted each time files are written (our own)")
    train.add_argument("--weights", metavar="FILE", help="weights to use in place of those found")

    migrate = verb("migrate", _migrate, "make an old copy of the course notebook (TensorFlow 1) run again")
    migrate.add_argument("notebook", metavar="OLD", help="the old notebook, an .ipynb; it is not changed")
    migrate.add_argument("-o", "--output", metavar="NEW", help="notebook to write (OLD-migrated.ipynb beside it)")
    migrate.add_argument(
        "--run",
        dest="execute",
        action="store_true",
        help="run the new notebook, that is, the code in it, and say which saved numbers came out again",
    )

    migrate.add_argument(
        "--time", type=float, default=3600, metavar="S", help="seconds a cell may take with --run (%(default)s)"
    )

    check = verb("check", _check, "compare the expected values with what this machine gives; exit 1 if one is off")
    check.add_argument(
        "--run", dest="long", action="store_true", help="also the course's run, 181 iterations, which takes minutes"
    )
    grade = verb("grade", _grade, "grade all submissions of an nbgrader course folder, and list the commonest mistakes")
    grade.add_argument("folder", help="the course folder, with submitted/STUDENT/ASSIGNMENT/")
    grade.add_argument("--jobs", type=_count, metavar="N", help="submissions that run at once (one per processor)")
    grade.add_argument("--time", type=float, default=600, metavar="S", help="seconds for a submission (%(default)s)")
    grade.add_argument("--memory", type=float, default=4, metavar="GB", help="memory for a submission (%(default)s)")
    notebook = verb("notebook", _notebook, "open JupyterLab at the notebooks")
    notebook.add_argument("options", nargs="*", help="options for JupyterLab, behind --, such as -- --no-browser")

    weights = verb("weights", None, "look into a weights file, or fetch the published ones")
    actions = weights.add_subparsers(title="what to do", required=True, metavar="VERB")
    inspect = actions.add_parser("inspect", help="say which network, layers and checksum a file has")
    inspect.add_argument("file", help="a .mat, .h5 or .npz file")
    inspect.set_defaults(run=_inspect)
    download = actions.add_parser("download", help="fetch the published VGG-19 weights, or the models of restyle")
    download.add_argument(
        "--source",
        choices=["vlfeat", "keras", "arbitrary"],
        default="vlfeat",
        help="VGG-19 in 535 or 80 MB, or the models of restyle in 3 MB (%(default)s)",
    )
    download.add_argument("--folder", help="where to keep the file (pretrained-model/ of the project)")
    download.set_defaults(run=_download)
    return parser


def _count(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, found {number}")
    return number


def _demo(args):
    from skimage import data

    start_tensorflow()
    from .eager.presets import Style
    from .expected import EXPECTED
    from .images import read_image, resize_image
    from .weights.folders import repository_folder

    beginning = [row for row in EXPECTED if row.name.startswith("iteration 0") and not row.missing()]
    status = _print_table([row for row in EXPECTED if row.holds_for == "any"] + beginning, args.weights)
    print("Content: Chelsea the cat (a photograph from scikit-image). Style: our own brush strokes.")
    content = resize_image(data.chelsea(), width=400, height=300)
    style = Style(read_image(repository_folder("images") / "brush_strokes.png"))
    changes = {} if args.iterations is None else {"iterations": args.iterations}
    content = resize_image(content, width=args.size)
    return _paint(args, content, [style], PRESETS[args.preset].but(**changes), seed=3) or status


def _stylize(args):
    start_tensorflow()
    from .eager.presets import STARTS, Style
    from .images import read_image, resize_image

    _check_new(args.output, (args.content, *args.style, args.start or ""))
    content = read_image(args.content)
    if args.size is not None:
        content = resize_image(content, width=args.size)
    styles = [Style(read_image(path), scale=args.scale) for path in args.style]
    fields = ("iterations", "alpha", "beta", "variation", "color", "start")
    changes = {name: getattr(args, name) for name in fields if getattr(args, name) is not None}
    if args.start is not None and args.start not in STARTS:
        changes["start"] = read_image(args.start)
    return _paint(args, content, styles, PRESETS[args.preset].but(**changes), args.seed)


def _restyle(args):
    start_tensorflow()
    from .feedforward.arbitrary import load_arbitrary
    from .images import check_output, read_image, resize_image, save_image

    _check_new(args.output, (args.content, *args.style))
    check_output(args.output)
    content = read_image(args.content)
    if args.size is not None:
        content = resize_image(content, width=args.size)
    styles = [read_image(path) for path in args.style]
    save_image(args.output, load_arbitrary(args.models).stylize(content, styles, strength=args.strength))
    print(f"Picture: {pathlib.Path(args.output).resolve()}")
    return 0


def _check_new(output, pictures):
    """Refuse to write over one of the user's pictures."""
    if pathlib.Path(output).resolve() in (pathlib.Path(p).resolve() for p in pictures):
        raise ValueError(f"Expected a new file to write to; {output} is one of your pictures. Choose another name.")


def _apply(args):
    start_tensorflow()
    from tqdm import tqdm

    from .feedforward.checkpoint import load_network
    from .feedforward.files import apply_to_file, plan
    from .images import check_output

    net = load_network(args.network)
    outputs, failures = plan(args.pictures, args.output), []
    check_output(pathlib.Path(args.output, "painting.png"))
    with tqdm(outputs.items(), unit="picture", desc="Painting") as bar:
        for picture, output in bar:
            try:
                apply_to_file(net, picture, output, padding=args.padding, precision=args.precision)
            except (ValueError, OSError, MemoryError) as error:
                failures.append(f"{picture}: {error}")
    print(f"Pictures: {len(outputs) - len(failures)} of {len(outputs)} in {pathlib.Path(args.output).resolve()}")
    if failures:
        print("\n".join(["nst-course: not painted:", *failures]), file=sys.stderr)
    return 1 if failures else 0


def _train(args):
    start_tensorflow()
    from tqdm import tqdm

    from .eager.optimizers import Adam
    from .feedforward.training import PERCEPTUAL, Training, train
    from .images import read_image
    from .weights.folders import repository_folder

    def given(*names):
        return {name: getattr(args, name) for name in names if getattr(args, name) is not None}

    changes = given("alpha", "beta", "variation")
    if args.content_layer is not None:
        changes["content_layers"] = ((args.content_layer, 1.0),)
    training = Training(
        dataclasses.replace(PERCEPTUAL, **changes),
        Adam(**{"learning_rate": 1e-3, **given("learning_rate")}),
        **given("steps", "batch_size", "size", "seed"),
    )
    sample = read_image(args.sample or repository_folder("images") / "glass_pyramid.png")
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
            sample=sample,
            every=args.every,
            callback=callback,
        )
    print(f"Pictures: {net.settings['pictures']}, of which {net.settings['skipped']} cannot be read")
    print(f"Network: {pathlib.Path(args.output).resolve()}")
    return 0


def _paint(args, content, styles, preset, seed):
    """Run with a bar, and write the picture even if the run is cut short."""
    from tqdm import tqdm

    from .eager.memory import estimate_memory
    from .eager.stylize import stylize
    from .images import check_output, save_image
    from .session import DivergenceError
    from .weights.find import load_weights

    check_output(args.output)
    weights = load_weights(args.weights)
    print(f"Memory: about {estimate_memory(weights, content.shape[:2], preset) / 1e9:.1f} GB")
    with tqdm(total=sum(preset.iterations), unit="it", desc="Painting") as bar:

        def callback(step):
            bar.set_postfix_str(f"cost {step.J:.3g}", refresh=False)
            bar.update()

        try:
            painting = stylize(content, styles, preset, weights=weights, seed=seed, callback=callback)
        except DivergenceError as error:
            save_image(args.output, error.image)
            raise
    if painting.timings:
        times = ", ".join(f"{name} {1000 * t:.0f} ms" for name, t in painting.timings.items())
        print(f"The network computed in {painting.precision} (timed: {times}).")
    save_image(args.output, painting.image)
    print(f"Picture: {pathlib.Path(args.output).resolve()}")
    return 128 + signal.SIGINT if painting.interrupted else 0


def _migrate(args):
    from .migration import migrate, run_notebook

    new, edits = migrate(args.notebook, args.output)
    for edit in edits:
        place = f"code cell {edit.cell}" if edit.cell else "the notebook"
        if not edit.after:
            print(f"{place}: left as it is: {edit.before}\n    {edit.why}")
        else:
            was = f"{edit.before.strip()}  ->" if edit.before else "new:"
            print(f"{place}: {was}  {edit.after.strip()}\n    {edit.why}")
    print(f"Edits: {sum(bool(edit.after) for edit in edits)}. Notebook: {new.resolve()}")
    if not args.execute:
        return 0
    print("Running it; a run of 200 iterations takes minutes.", flush=True)
    cells = run_notebook(args.notebook, new, cell_seconds=args.time)
    again = [came for cell in cells for came in cell.again]
    print(f"Saved numbers that came out again: {sum(again)} of {len(again)}")
    for cell in cells:
        if cell.saved:
            off = [number for number, came in zip(cell.saved, cell.again) if not came]
            others = f"; others than {', '.join(off[:3])}{' ...' if off[3:] else ''}" if off else ""
            print(f"code cell {cell.cell}: {sum(cell.again)} of {len(cell.again)}{others}")
    for line in dict.fromkeys(line for cell in cells for line in cell.stand_ins):
        print(line)
    failed = [f"code cell {cell.cell}: {cell.error}" for cell in cells if cell.error]
    if failed:
        print("\n".join(["nst-course: stopped with an error they had not been saved with:", *failed]), file=sys.stderr)
    return 1 if failed else 0


def _check(args):
    start_tensorflow()
    from .expected import EXPECTED

    status = _print_table([row for row in EXPECTED if args.long or not row.is_long])
    if not args.long:
        print("Iterations 20 to 180 of the course take minutes: nst-course check --run")
    return status


def _print_table(rows, weights=None):
    """Print expected values beside this machine's; return 1 if one is off."""
    from .expected import check
    from .weights.folders import repository_folder

    status, unchecked = 0, {}
    for row, measured, result in check(rows, weights):
        if measured is None:
            unchecked.setdefault(result, []).append(row.name)
            continue
        status = status if result else 1
        print(f"{'ok ' if result else 'OFF'}  {row.name:14} expected {row.show(row.value)}")
        print(f"{'':20}here     {row.show(measured)}", flush=True)
    for needed, names in unchecked.items():
        more = f" and {len(names) - 1} more" if names[1:] else ""
        print(f"Not checked: {names[0]}{more}. Needed: {needed}.")
    if unchecked:
        print(f"Pictures are looked for in {repository_folder('images')}; docs/expected-values.md says what they are.")
    return status


def _grade(args):
    from tqdm import tqdm

    from .classroom.grading import grade, printable

    with tqdm(unit="submission", desc="Grading") as bar:

        def callback(result, total):
            bar.total = total
            bar.update()

        limits = {"time_limit": args.time, "memory_limit": args.memory * 1e9}
        results = grade(args.folder, jobs=args.jobs, **limits, callback=callback)
    width = max(len(f"{result.student} {result.assignment}") for result in results)
    for result in results:
        name = printable(f"{result.student} {result.assignment}").ljust(width)
        print(f"{name}  {result.score:6g} of {result.max_score:g}  {result.seconds:5.0f} s  {printable(result.status)}")
    folder = pathlib.Path(args.folder).resolve()
    print(f"Table: {folder / 'grades.csv'}\nMistakes: {folder / 'mistakes.html'}")
    return 0


def _notebook(args):
    from .weights.folders import repository_folder

    folder = repository_folder("notebooks")
    if not folder.is_dir():
        raise FileNotFoundError(f"Expected the notebooks; there are none at {folder}. Work in a clone of the project.")
    return subprocess.call([sys.executable, "-m", "jupyterlab", f"--notebook-dir={folder}", *args.options])


def _inspect(args):
    from .weights.download import PUBLISHED, checksums
    from .weights.reading import read_weights

    weights = read_weights(args.file)
    sums = checksums(args.file)
    known = next((PUBLISHED[s] for s in sums if s in PUBLISHED), "not one of the published files we know")
    print(f"{args.file}: {weights.network}, {weights.layout}")
    print(f"This is {known}.")
    if weights.description:
        print(f"It says of itself: {weights.description}")
    print("\n".join(sums))
    for name in weights.layers:
        W, b = weights[name]
        print(f"{name}  kernel {'x'.join(map(str, W.shape))}  bias {b.size}")
    return 0


def _download(args):
    from .weights.download import SOURCES, STYLE_MODELS, download_style_models, download_weights

    if args.source == "arbitrary":
        print(f"Fetching {' and '.join(model.file for model in STYLE_MODELS)}, 3 MB")
        print(f"Models: {download_style_models(args.folder)}")
        return 0
    print(f"Fetching {SOURCES[args.source].file}, {SOURCES[args.source].n_bytes / 1e6:.0f} MB")
    print(f"Weights: {download_weights(args.source, args.folder)}")
    return 0
