"""What every test needs: no weights, cache or settings of the machine's user."""

import os
import pathlib

import pytest

# Before anything imports TensorFlow: errors only.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@pytest.fixture(autouse=True, scope="session")
def own_environment(tmp_path_factory):
    """Keep the user's weights, cache and settings out of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NST_COURSE_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("NST_COURSE_WEIGHTS", raising=False)
        yield


@pytest.fixture(scope="session")
def test_data():
    """Folder of real weights and pictures, or a skip that says so."""
    folder = os.environ.get("NST_COURSE_TEST_DATA")
    if not folder or not pathlib.Path(folder).is_dir():
        pytest.skip("NST_COURSE_TEST_DATA names no folder with the test data")
    return pathlib.Path(folder)
