"""Pictures to train on, from what the installed packages ship: photographs, and textures drawn at random."""

import numpy as np
import scipy.ndimage as ndi
import skimage.color
import skimage.data
import skimage.draw
import skimage.transform
from matplotlib.cbook import get_sample_data
from tqdm import tqdm

from nst_course import read_image

#: Side of a picture, in pixels.
TILE = 208


def palette(rng, size=6):
    """Choose random colours, from dark to light, of one temper or of many.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the randomness comes from.
    size : int, optional
        Number of colours.

    Returns
    -------
    colours : ndarray, shape (size, 3)
        RGB in 0..1.
    """
    hue = rng.uniform() + rng.normal(0, rng.choice([0.04, 0.15, 0.5]), size)
    saturation = np.clip(rng.uniform(0, 0.9) + rng.normal(0, 0.15, size), 0, 1)
    low, high = np.sort(rng.uniform(0, 1, 2))
    value = np.linspace(low, max(high, low + 0.25), size).clip(0, 1)
    if rng.uniform() < 0.4:
        value = rng.permutation(value)
    return skimage.color.hsv2rgb(np.stack([hue % 1, saturation, value], -1))


def colourise(field, colours, smooth):
    """Map a field in 0..1 onto a palette, in steps or smoothly."""
    position = np.clip(field, 0, 1) * (len(colours) - 1)
    if not smooth:
        return colours[np.rint(position).astype(int)]
    below = np.minimum(position.astype(int), len(colours) - 2)
    part = (position - below)[..., None]
    return colours[below] * (1 - part) + colours[below + 1] * part


def clouds(rng, exponent=None):
    """Draw noise whose spectrum falls as a power of the frequency, stretched at random, in 0..1."""
    exponent = rng.uniform(0.8, 2.4) if exponent is None else exponent
    fy, fx = np.meshgrid(np.fft.fftfreq(TILE), np.fft.fftfreq(TILE), indexing="ij")
    angle, stretch = rng.uniform(0, np.pi), rng.uniform(1, 4)
    along = fx * np.cos(angle) + fy * np.sin(angle)
    across = fy * np.cos(angle) - fx * np.sin(angle)
    radius = np.sqrt((along * stretch) ** 2 + across**2) + 1 / TILE
    noise = np.fft.ifft2(np.fft.fft2(rng.normal(size=(TILE, TILE))) / radius**exponent).real
    return np.clip(0.5 + noise / (4 * noise.std()), 0, 1)


def warped_grid(rng):
    """Make pixel coordinates, turned and gently bent."""
    y, x = np.mgrid[:TILE, :TILE].astype(float)
    bend = rng.choice([0.0, 8.0, 25.0])
    y, x = y + bend * clouds(rng, 2.5), x + bend * clouds(rng, 2.5)
    angle = rng.uniform(0, np.pi)
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)


def stripes(rng):
    """Draw waves or bands along one direction."""
    u, _ = warped_grid(rng)
    wave = 0.5 + 0.5 * np.sin(2 * np.pi * u / np.exp(rng.uniform(np.log(3), np.log(30))))
    return wave if rng.uniform() < 0.5 else (wave > rng.uniform(0.2, 0.8)).astype(float)


def checks(rng):
    """Draw checks, grids and dots."""
    u, v = warped_grid(rng)
    period = np.exp(rng.uniform(np.log(5), np.log(30)))
    product = np.sin(2 * np.pi * u / period) * np.sin(2 * np.pi * v / (period * rng.uniform(0.6, 1.7)))
    return rng.choice([0, 1]) + (1 if rng.uniform() < 0.5 else -1) * (product > rng.choice([0.0, 0.3, 0.6]))


def cells(rng):
    """Draw Voronoi cells: flat, shaded towards the middle, or outlined."""
    count = int(np.exp(rng.uniform(np.log(15), np.log(500))))
    seeds = rng.integers(0, TILE, (count, 2))
    field = np.ones((TILE, TILE))
    field[seeds[:, 0], seeds[:, 1]] = 0
    distance, nearest = ndi.distance_transform_edt(field, return_indices=True)
    kind = rng.integers(3)
    if kind == 0:
        return rng.uniform(size=(TILE, TILE))[nearest[0], nearest[1]]
    return distance / distance.max() if kind == 1 else np.clip(distance / rng.uniform(2, 8), 0, 1)


def lay_strokes(rng, picture, turn, length, width, cover, colour):
    """Lay short brush strokes over each other, in place.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the randomness comes from.
    picture : ndarray, shape (n, n, 3)
        What is painted on.
    turn : ndarray, shape (n, n)
        Direction of the strokes, in radians.
    length, width : float
        Size of a stroke, in pixels; the width is half of it.
    cover : float
        How many strokes lie over a pixel on average.
    colour : callable
        From row and column to the colour of a stroke.
    """
    n = len(picture)
    for _ in range(int(cover * n**2 / (length * 2 * width))):
        y, x = rng.uniform(0, n, 2)
        angle = turn[int(y), int(x)]
        dy, dx = np.sin(angle), np.cos(angle)
        corners = [(-1, -1), (-1, 1), (1, 1), (1, -1)]
        rows = [y + a * length / 2 * dy + b * width * dx for a, b in corners]
        cols = [x + a * length / 2 * dx - b * width * dy for a, b in corners]
        rr, cc = skimage.draw.polygon(rows, cols, (n, n))
        picture[rr, cc] = colour(int(y), int(x))


def strokes(rng):
    """Draw short brush strokes laid over each other along a flow, painted straight in colour."""
    colours = palette(rng, 10)
    length, width = rng.uniform(6, 32), rng.uniform(1, 5)
    turn = rng.uniform(0, np.pi) + rng.choice([0.3, 1.5, 5.0]) * clouds(rng, 2.5)
    tone = clouds(rng, 2.2)
    picture = np.ones((TILE, TILE, 3)) * colours[rng.integers(10)]

    def colour(y, x):
        return colours[np.clip(int(tone[y, x] * 9.99 + rng.normal(0, 1.2)), 0, 9)] + rng.normal(0, 0.03, 3)

    lay_strokes(rng, picture, turn, length, width, 2.5, colour)
    return picture


def drawn_texture(rng):
    """Draw one texture in 0..1."""
    kind = rng.choice(5, p=[0.17, 0.12, 0.16, 0.2, 0.35])
    if kind == 4:
        picture = strokes(rng)
    else:
        field = (stripes, checks, cells, clouds)[kind](rng)
        picture = colourise(field, palette(rng), smooth=rng.uniform() < 0.6)
    if rng.uniform() < 0.5:  # nothing painted is perfectly flat
        picture = picture + rng.uniform(0.05, 0.3) * (clouds(rng, rng.uniform(0.3, 1.5))[..., None] - 0.5)
    if rng.uniform() < 0.5:
        picture = ndi.gaussian_filter(picture, (0.6, 0.6, 0))
    return np.clip(picture, 0, 1)


def photographs():
    """Collect the photographs that ship with the installed packages, as float RGB in 0..1: (colour, grey)."""
    d = skimage.data
    colour = [d.astronaut(), d.coffee(), d.chelsea(), d.rocket(), d.hubble_deep_field(), d.retina()]
    colour += [d.immunohistochemistry(), d.stereo_motorcycle()[0]]
    colour.append(read_image(get_sample_data("grace_hopper.jpg", asfileobj=False)))
    grey = [d.brick(), d.grass(), d.gravel(), d.camera(), d.coins(), d.moon()]
    colour = [np.asarray(p[..., :3], np.float32) / 255 for p in colour]
    return colour, [np.asarray(p, np.float32) / 255 for p in grey]


def cut(rng, source, low, high, side):
    """Cut a square out of a picture, `low` to `high` of its shorter side wide, and bring it to `side` pixels."""
    width = int(rng.uniform(low, high) * min(source.shape[:2]))
    y, x = (rng.integers(0, n - width + 1) for n in source.shape[:2])
    region = skimage.transform.resize(source[y : y + width, x : x + width], (side, side), anti_aliasing=True)
    return region[:, ::-1] if rng.uniform() < 0.5 else region


def recolour(rng, region):
    """Give the same shapes other colours."""
    return region @ rng.dirichlet((0.4, 0.4, 0.4), 3).T


def any_photograph(rng, colour, grey):
    """Choose a photograph, sometimes a grey one in a palette's colours."""
    if rng.uniform() < 0.15:
        return colourise(grey[rng.integers(len(grey))], palette(rng), smooth=True)
    return colour[rng.integers(len(colour))]


def photograph_texture(rng, colour, grey):
    """Cut a region out of a photograph, at a random size, sometimes mirrored or in other colours."""
    region = cut(rng, any_photograph(rng, colour, grey), 0.25, 0.8, TILE)
    if rng.uniform() < 0.5:
        region = recolour(rng, region)
    return np.clip(0.5 + (region - 0.5) * rng.uniform(0.7, 1.3) + rng.normal(0, 0.05), 0, 1)


def make_textures(count, seed):
    """Make the textures, half of them drawn, half cut out of photographs.

    Returns
    -------
    textures : ndarray of uint8, shape (count, TILE, TILE, 3)
    """
    colour, grey = photographs()
    textures = np.empty((count, TILE, TILE, 3), np.uint8)
    for i in tqdm(range(count), desc="textures", unit="picture"):
        rng = np.random.default_rng([seed, 1, i])
        picture = drawn_texture(rng) if i % 2 else photograph_texture(rng, colour, grey)
        textures[i] = np.rint(picture * 255)
    return textures
