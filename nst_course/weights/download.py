"""Where the published weights and models are, how to know them, and how to get them."""

import contextlib
import dataclasses
import hashlib
import io
import pathlib
import queue
import threading
import time

from .._files import whole_file
from .folders import cache_folder, in_checkout, repository_folder
from .network import WeightsError


@dataclasses.dataclass(frozen=True)
class Source:
    """A published file.

    Parameters
    ----------
    file : str
        Its name, which is also the name it is kept under.
    url : str
        Where it is.
    hash : str
        Checksum of the file, as "algorithm:hexadecimal digits".
    n_bytes : int
        Its size.
    """

    file: str
    url: str
    hash: str
    n_bytes: int


#: The files `download_weights` knows, the course's own first.
SOURCES = {
    "vlfeat": Source(
        "imagenet-vgg-verydeep-19.mat",
        "https://www.vlfeat.org/matconvnet/models/imagenet-vgg-verydeep-19.mat",
        "sha256:abdb57167f82a2a1fbab1e1c16ad9373411883f262a1a37ee5db2e6fb0044695",
        534_904_783,
    ),
    "keras": Source(
        "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "https://storage.googleapis.com/tensorflow/keras-applications/vgg19/"
        "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "md5:253f8cb515780f3b799900260a226db6",
        80_134_624,
    ),
}

#: Seconds in which so many bytes have to come, or a download is given up.
PATIENCE, _LEAST = 60, 2**16

_MAGENTA = "https://storage.googleapis.com/download.tensorflow.org/models/tflite/arbitrary_style_transfer/"


def _magenta(file, sha256, n_bytes):
    return Source(file, _MAGENTA + file, f"sha256:{sha256}", n_bytes)


#: The files `download_style_models` fetches: Magenta's pair of TFLite models, Apache-2.0. The publisher gives no
#: checksums. These were computed from copies of the files; another project's Git LFS pointers of November 2019 say the
#: same of both.
STYLE_MODELS = (
    _magenta(
        "style_predict_quantized_256.tflite",
        "203dbd6a09da1091ab7e48e8b101aef8c2d81438ad047a5cb150747a977134c1",
        2_827_952,
    ),
    _magenta(
        "style_transfer_quantized_dynamic.tflite",
        "69b191c1f1f3f6520634293803a528469015a00269f982ebd38b7850f68d9341",
        244_072,
    ),
)

#: Checksums of published files, and what they are.
PUBLISHED = {
    **{source.hash: f"the published {source.file} ({name})" for name, source in SOURCES.items()},
    **{source.hash: f"the published {source.file} (Magenta)" for source in STYLE_MODELS},
    "sha256:1972f7d438b6e9ff326c466db1a8005a8a0efa0274886bbd52f91dc8be2f4f04": "the published "
    "style_transfer_quantized_384.tflite (Magenta)",
    "md5:106118b7cf60435e6d8e04f6a6dc3657": "the published imagenet-vgg-verydeep-19.mat, new layout",
    "md5:8ee3263992981a1d26e73b3ca028a123": "the published imagenet-vgg-verydeep-19.mat, old layout",
}


def checksums(path):
    """Compute the checksums published files are known by.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    tuple of str
        "sha256:..." and "md5:...", in hexadecimal.
    """
    hashes = [hashlib.sha256(), hashlib.md5(usedforsecurity=False)]
    with open(path, "rb") as file:
        while block := file.read(2**20):
            for h in hashes:
                h.update(block)
    return tuple(f"{h.name}:{h.hexdigest()}" for h in hashes)


def download_weights(source="vlfeat", folder=None, *, progressbar=True):
    """Fetch published weights, check them and keep them.

    Nothing is fetched when the right file is there already. A file is given its name only when it is complete and its
    checksum is right; after an interruption the next call starts again.

    Parameters
    ----------
    source : {"vlfeat", "keras"}, optional
        "vlfeat": the 535 MB file the course uses. "keras": the same convolutions in 80 MB, without the classifier.
    folder : str or path-like, optional
        Where to keep it; by default ``pretrained-model/`` of a checkout, else the user's cache folder.
    progressbar : bool, optional
        Show a bar on the error stream.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    ValueError
        If the source is unknown.
    OSError
        If the file cannot be fetched or written, or another file has its name.
    WeightsError
        If what came is not the published file.

    Notes
    -----
    The weights are by K. Simonyan and A. Zisserman, Visual Geometry Group, University of Oxford, licensed under
    Creative Commons Attribution 4.0.
    """
    if source not in SOURCES:
        raise ValueError(f"source must be one of {', '.join(SOURCES)}; found {source!r}.")
    return _fetch(SOURCES[source], folder, progressbar, "Try again later, or try the other source with --source.")


def download_style_models(folder=None, *, progressbar=True):
    """Fetch the pair of models that `load_arbitrary` reads, 3 MB, check them and keep them.

    Nothing is fetched when the right files are there already. A file is given its name only when it is complete and its
    checksum is right.

    Parameters
    ----------
    folder : str or path-like, optional
        Where to keep them; by default ``pretrained-model/`` of a checkout, else the user's cache folder.
    progressbar : bool, optional
        Show a bar on the error stream.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    OSError
        If a file cannot be fetched or written, or another file has its name.
    WeightsError
        If what came is not the published file.

    Notes
    -----
    The models are by the Magenta project, Google, licensed under Apache-2.0.
    """
    return [_fetch(model, folder, progressbar, "Try again later.") for model in STYLE_MODELS][0].parent


def _fetch(wanted, folder, progressbar, advice):
    """Return the path of a published file, which is fetched if it is not there; `advice` is for another checksum."""
    import requests
    import urllib3

    usual = repository_folder("pretrained-model") if in_checkout() else cache_folder()
    target = pathlib.Path(folder or usual) / wanted.file
    if target.is_file():
        # Any published file of that name will do: the reader of weights takes both layouts.
        if not PUBLISHED.keys().isdisjoint(checksums(target)):
            return target
        raise FileExistsError(
            f"Expected no other file under this name; {target} is not a published file we know. "
            "It was left as it is: move it away or delete it, then try again."
        )
    other = f"Expected the published {wanted.file}; {{}}. Nothing was kept. {advice}"
    try:
        with whole_file(target) as temporary:
            with open(temporary, "wb") as file, contextlib.closing(_arriving(wanted.url)) as blocks:
                for n_bytes, block in _counted(blocks, wanted.n_bytes, progressbar):
                    if n_bytes > wanted.n_bytes:
                        raise WeightsError(other.format(f"more came than its {wanted.n_bytes:,} bytes"))
                    file.write(block)
            if wanted.hash not in checksums(temporary):
                raise WeightsError(other.format(f"what came has another checksum ({wanted.hash} is expected)"))
    except (requests.RequestException, urllib3.exceptions.HTTPError, TimeoutError) as error:
        raise OSError(
            f"Could not fetch {wanted.url}: {_reason(error)}. Check the internet connection and try again, "
            f"or fetch the file with a browser and put it into {target.parent}."
        ) from error
    return target


def _counted(blocks, expected, progressbar):
    """Yield (bytes so far, block), and move a bar."""
    from tqdm import tqdm

    n_bytes = 0
    with tqdm(total=expected, unit="B", unit_scale=True, disable=not progressbar) as bar:
        for block in blocks:
            n_bytes += len(block)
            yield n_bytes, block
            bar.update(len(block))


def _arriving(url):
    """Yield what is at a URL in blocks, as long as it comes at a reasonable pace; else raise TimeoutError.

    A host may send a byte now and then for ever, in its headers too, and no library bounds that: each bounds the time
    to the next byte. So another thread waits for the host, and this one for that thread.
    """
    blocks, given_up = queue.Queue(8), threading.Event()

    def fetch():
        try:
            for block in _requested(url):
                blocks.put(block)
                if given_up.is_set():
                    return
            blocks.put(None)
        except Exception as error:
            blocks.put(error)

    threading.Thread(target=fetch, daemon=True).start()
    since, n_bytes = time.monotonic(), 0
    try:
        while True:
            try:
                block = blocks.get(timeout=max(0, since + PATIENCE - time.monotonic()))
            except queue.Empty:
                raise TimeoutError(f"less than {_LEAST >> 10} KiB came within {PATIENCE} s") from None
            if block is None:
                return
            if isinstance(block, Exception):
                raise block
            yield block
            n_bytes += len(block)
            if n_bytes >= _LEAST:
                since, n_bytes = time.monotonic(), 0
    finally:
        given_up.set()
        with contextlib.suppress(queue.Empty):  # the thread may wait for room
            while True:
                blocks.get_nowait()


def _requested(url):
    """Yield what is at a URL as it is sent, not unpacked."""
    import requests

    def unread(response, **options):
        if response.is_redirect:  # requests would read all of it before it goes on
            response.close()
            response.raw = io.BytesIO()

    options = {"headers": {"Accept-Encoding": "identity"}, "hooks": {"response": unread}}
    with requests.get(url, stream=True, timeout=PATIENCE, **options) as response:
        response.raise_for_status()
        yield from response.raw.stream(_LEAST, decode_content=False)


def _reason(error):
    """Say in a few words why a request failed; the libraries' own texts are nests of objects."""
    import requests
    import urllib3

    if isinstance(error, TimeoutError):
        return str(error)
    if isinstance(error, (requests.Timeout, urllib3.exceptions.TimeoutError)):
        return "the host did not answer in time"
    if isinstance(error, requests.HTTPError):
        return f"the host answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, urllib3.exceptions.ProtocolError):
        return "the connection broke off"
    if isinstance(error, requests.ConnectionError):
        return "the host cannot be reached"
    return str(error)
