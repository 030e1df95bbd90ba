import subprocess
import sys

import pytest

import nst_course


def test_import_is_light():
    """TensorFlow takes seconds to import; a name that does not need it must not wait for it."""
    code = (
        "import sys, time; t = [time.perf_counter()]; import nst_course; t.append(time.perf_counter()); "
        "import numpy; t.append(time.perf_counter()); nst_course.VGGWeights; "
        "heavy = {'tensorflow', 'scipy', 'matplotlib'} & set(sys.modules); "
        "print((t[1] - t[0]) / (t[2] - t[1])); assert not heavy, heavy"
    )
    ratios = [
        float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout) for _ in range(3)
    ]
    assert min(ratios) < 0.5  # of the time NumPy takes


@pytest.mark.parametrize("name", nst_course.__all__)
def test_public_names_exist_and_are_documented(name):
    value = getattr(nst_course, name)
    assert name in dir(nst_course)
    if callable(value):
        assert len(value.__doc__.splitlines()) > 1 or issubclass(value, Exception)


def test_unknown_name():
    with pytest.raises(AttributeError, match="no attribute 'gram_matriks'"):
        nst_course.gram_matriks  # noqa: B018
