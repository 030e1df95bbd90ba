"""Where the published weights are, how to know them, and how to get them."""

import dataclasses
import hashlib
import pathlib

from ._files import whole_file
from .weights import WeightsError, cache_folder, in_checkout, repository_folder


@dataclasses.dataclass(frozen=True)
class Source:
    """A published weights file.

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

#: Checksums of published files, and what they are.
PUBLISHED = {
    **{source.hash: f"the published {source.file} ({name})" for name, source in SOURCES.items()},
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
    import pooch
    import requests

    if source not in SOURCES:
        raise ValueError(f"source must be one of {', '.join(SOURCES)}; found {source!r}.")
    wanted = SOURCES[source]
    usual = repository_folder("pretrained-model") if in_checkout() else cache_folder()
    target = pathlib.Path(folder or usual) / wanted.file
    if target.is_file():
        # Any published file of that name will do: the reader takes both layouts.
        if not PUBLISHED.keys().isdisjoint(checksums(target)):
            return target
        raise FileExistsError(
            f"Expected no other file under this name; {target} is not a published file we know. "
            "It was left as it is: move it away or delete it, then try again."
        )
    download = pooch.HTTPDownloader(progressbar=progressbar, chunk_size=2**18, timeout=30)
    try:
        with whole_file(target) as temporary:
            download(wanted.url, str(temporary), None)
            if wanted.hash not in checksums(temporary):
                raise WeightsError(
                    f"Expected the published {wanted.file}; what came has another checksum ({wanted.hash} is "
                    "expected). Nothing was kept. Try again later, or try the other source with --source."
                )
    except requests.RequestException as error:
        if error.response is not None:
            error.response.close()  # an answer such as 404 is left unread
        raise OSError(
            f"Could not fetch {wanted.url}: {_reason(error)}. Check the internet connection and try again, "
            f"or fetch the file with a browser and put it into {target.parent}."
        ) from error
    return target


def _reason(error):
    """Say in a few words why a request failed; the library's own text is a nest of objects."""
    import requests

    if isinstance(error, requests.Timeout):
        return "the host did not answer in time"
    if isinstance(error, requests.HTTPError):
        return f"the host answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off"
    if isinstance(error, requests.ConnectionError):
        return "the host cannot be reached"
    return str(error)
