"""A tour of the notebooks in a real browser: JupyterLab on loopback, driven in Debian's Chromium.

Plain `pytest` leaves these out; `pytest -m browser` runs them, where Chromium and its driver are installed.
"""

import os
import shutil
import socket
import subprocess
import sys
import time

import pytest

webdriver = pytest.importorskip("selenium.webdriver", reason="Selenium is not installed: pip install selenium")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER), reason="Chromium is not installed: apt-get install chromium chromium-driver"
    ),
]

#: Seconds after which something that never comes is given up. Machines differ; nothing waits as long as that.
PATIENCE = 1200

NOTEBOOK = "jupyterapp.shell.currentWidget.content"
#: Of each code cell its number of execution (null while it has none or runs) and its text outputs.
CELLS = f"""
return {NOTEBOOK}.widgets.filter(cell => cell.model.type === 'code').map(cell => ({{
    count: cell.model.executionCount, running: cell.model.executionState ?? null,
    source: cell.model.sharedModel.source, outputs: cell.model.outputs.toJSON(),
}}));"""


@pytest.fixture(scope="module")
def project(tmp_path_factory, pytestconfig):
    """Return a folder with a copy of the notebooks, in which notebook 01 paints small pictures."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(pytestconfig.rootpath / "notebooks", folder / "notebooks", ignore=shutil.ignore_patterns("output"))
    path = folder / "notebooks" / "01_art_generation.ipynb"
    text = path.read_text(encoding="utf-8")
    assert text.count("height, width = 300, 400") == 1 and text.count("num_iterations = 200") == 1
    text = text.replace("height, width = 300, 400", "height, width = 75, 100")
    path.write_text(text.replace("num_iterations = 200", "num_iterations = 61"), encoding="utf-8")
    return folder


@pytest.fixture
def address(project, tmp_path):
    """Start JupyterLab in the copy; return its address. Each test has its own, with no tabs of another."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    options = ["--no-browser", f"--port={port}", "--ip=127.0.0.1", "--IdentityProvider.token=tour"]
    options += [f"--ServerApp.root_dir={project}", "--LabApp.expose_app_in_browser=True", "--allow-root"]
    # Where settings of the person who runs this are kept does not matter, nor do extensions.
    environment = os.environ | {"JUPYTER_CONFIG_DIR": str(tmp_path), "JUPYTER_NO_CONFIG": "1"}
    with open(tmp_path / "lab.log", "wb") as log:
        lab = subprocess.Popen([sys.executable, "-m", "jupyterlab", *options], stdout=log, stderr=log, env=environment)
    try:
        until(lambda: answers(port))
        yield f"http://127.0.0.1:{port}/lab"
    finally:
        lab.terminate()
        lab.wait()


@pytest.fixture
def browser(address):
    """Open a new Chromium."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for option in ("headless", "no-sandbox", "disable-gpu", "no-first-run", "disable-background-networking"):
        options.add_argument(f"--{option}")
    options.add_argument("--window-size=1280,800")
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


def answers(port):
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def until(condition):
    """Wait until a condition holds; return what it gave."""
    deadline = time.monotonic() + PATIENCE
    while True:
        if found := condition():
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {PATIENCE} s in vain")
        time.sleep(0.3)


def opened(browser, address, notebook):
    """Open a notebook, and wait for its kernel."""
    browser.get(f"{address}/tree/{notebook}?token=tour")
    context = "window.jupyterapp?.shell.currentWidget?.sessionContext"
    until(lambda: browser.execute_script(f"return {context}?.session?.kernel?.status === 'idle'"))


def run(browser, part):
    """Run the first code cell that has `part` in it, and return it when it is done."""
    before = cell_with(browser, part)["count"]
    start(browser, part)
    until(lambda: cell_with(browser, part)["count"] not in (None, before))
    until(lambda: cell_with(browser, part)["running"] == "idle")
    return cell_with(browser, part)


def start(browser, part):
    """Put the cursor into the first code cell that has `part` in it, and run it."""
    browser.execute_script(
        f"""
        {NOTEBOOK}.activeCellIndex = {NOTEBOOK}.widgets.findIndex(
            cell => cell.model.type === 'code' && cell.model.sharedModel.source.includes(arguments[0]));
        jupyterapp.commands.execute('notebook:run-cell');""",
        part,
    )


def cell_with(browser, part):
    """Return the first code cell that has `part` in it."""
    return next(cell for cell in browser.execute_script(CELLS) if part in cell["source"])


def write(browser, part, source):
    """Write other code into the first code cell that has `part` in it."""
    browser.execute_script(
        f"""
        {NOTEBOOK}.widgets.find(
            cell => cell.model.type === 'code' && cell.model.sharedModel.source.includes(arguments[0])
        ).model.sharedModel.setSource(arguments[1]);""",
        part,
        source,
    )


def errors(cell):
    return [output for output in cell["outputs"] if output["output_type"] == "error"]


def text(cell):
    return "".join(output.get("text", "") for output in cell["outputs"] if output["output_type"] == "stream")


def test_notebook_01_runs_to_its_end_and_goes_on_after_the_stop_button(browser, address, project):
    opened(browser, address, "notebooks/01_art_generation.ipynb")
    browser.execute_script("jupyterapp.commands.execute('notebook:run-all-cells');")
    until(lambda: cell_with(browser, 'save_image("')["running"] == "idle")
    cells = browser.execute_script(CELLS)
    assert all(cell["count"] for cell in cells) and not [error for cell in cells for error in errors(cell)]
    assert (project / "notebooks" / "output" / "generated_image.jpg").stat().st_size > 1000

    long = "num_iterations = 1000000"
    source = cell_with(browser, "num_iterations = 61")["source"]
    write(browser, "num_iterations = 61", source.replace("num_iterations = 61", long))
    start(browser, long)
    until(lambda: "Iteration 60" in text(cell_with(browser, long)))
    browser.find_element("css selector", '[data-jp-item-name="interrupt"] jp-button').click()
    until(lambda: cell_with(browser, long)["running"] == "idle")
    assert not errors(cell_with(browser, long))
    for part in ("show_costs(steps)", "kept = [", 'save_image("'):  # with the picture as far as it came
        assert not errors(run(browser, part))


def test_the_hint_for_a_wrong_function_is_on_the_screen(browser, address):
    opened(browser, address, "notebooks/student/art_generation_assignment.ipynb")
    assert not errors(run(browser, "start_tensorflow()"))
    write(browser, "def gram_matrix", "def gram_matrix(A):\n    return tf.matmul(tf.transpose(A), A)\n")
    assert not errors(run(browser, "def gram_matrix"))
    assert len(errors(run(browser, "check_gram_matrix(gram_matrix)"))) == 1
    places = """
        return [...document.querySelectorAll('.jp-OutputArea-output pre')]
            .filter(pre => pre.textContent.includes(arguments[0]))
            .map(pre => pre.getBoundingClientRect())
            .filter(box => 0 <= box.top && box.bottom <= window.innerHeight).length;"""
    until(lambda: browser.execute_script(places, "Rows are channels, and rows are to meet rows"))
