"""Draw the pictures of the course: a glass pyramid at dusk, a painted river bank, and three more styles.

All are computed from formulas and seeded random numbers alone, so that the course needs no
photograph and no download.  Each is drawn at twice its large size and then reduced, which
smooths every edge.
"""

import argparse
import os
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage as ndi

WIDTH, HEIGHT = 1600, 1200
LARGE, SMALL = (800, 600), (400, 300)

# The palace scene is measured in metres: x to the right, y away from the viewer, z up.  The
# picture plane stays upright, so that walls do not lean.
FOCAL, EYE, CENTRE, HORIZON = 1300.0, 2.1, 800.0, 800.0
COURT_LEFT, COURT_RIGHT, COURT_BACK = -55.0, 45.0, 132.0
PIXELS_PER_METRE, BAY, FACADE_TOP = 18, 5.0, 44.0


def rgb(code):
    """Convert six hexadecimal digits to three numbers between 0 and 1."""
    return np.array(list(bytes.fromhex(code))) / 255


def ramp(t, stops):
    """Look up `t` in a colour scale, given as a string of positions and colours in turn."""
    words = stops.split()
    positions = [float(word) for word in words[::2]]
    table = np.array([rgb(word) for word in words[1::2]])
    return np.stack([np.interp(t, positions, column) for column in table.T], axis=-1)


def smoothstep(x, low, high):
    """Rise smoothly from 0 at `low` to 1 at `high`."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def blend(canvas, colour, alpha):
    """Lay `colour` over `canvas`, in place, with the opacity `alpha`."""
    canvas += np.asarray(alpha)[..., None] * (colour - canvas)


def fractal_noise(rng, shape, power=1.7, stretch=(1, 1)):
    """Make smooth noise that has structure at every scale.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the randomness.
    shape : tuple of int
        Shape of the result.
    power : float, optional
        How fast the amplitude falls with the frequency; larger is smoother.
    stretch : tuple of float, optional
        Elongation of the structures along the rows and the columns.

    Returns
    -------
    noise : ndarray
        Noise of mean 0 and standard deviation 1.
    """
    fy = np.fft.fftfreq(shape[0])[:, None] * shape[0] * stretch[0]
    fx = np.fft.rfftfreq(shape[1])[None, :] * shape[0] * stretch[1]
    spectrum = np.fft.rfft2(rng.standard_normal(shape)) / (1 + np.hypot(fy, fx)) ** power
    spectrum[0, 0] = 0
    noise = np.fft.irfft2(spectrum, shape)
    return noise / noise.std()


def dusk_sky(rng):
    """Return the evening sky, with clouds lit from below the horizon on the left."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] / HORIZON
    height = y + 0.10 * np.exp(-(((x - 0.45) / 1.1) ** 2)) - 0.05
    sky = ramp(height, "0 16244f .3 34497f .52 7d719f .68 c98a93 .82 f2a873 1 ffd79a")
    # Clouds flatten towards the horizon: sample the noise at growing distances.
    noise = fractal_noise(rng, (1024, 2048), 1.85, (0.6, 1.0))
    depth = 1 / (1.16 - np.clip(y, 0, 1))
    rows, columns = 250 + 480 * depth, 1024 + (x - 0.9) * 330 * depth**0.4
    cover = ndi.map_coordinates(noise, [rows, columns], order=1, mode="wrap")
    below = ndi.map_coordinates(noise, [rows + 22, columns - 10], order=1, mode="wrap")
    light = np.clip(0.45 + 0.9 * (cover - below) + 0.35 * (y - 0.4), 0, 1)
    shade = ramp(y, "0 26315c .45 5f5683 .75 a5687c 1 d98f78")
    lit = ramp(y, "0 8f86ab .35 e8a59b .7 ffbe85 1 ffdf9f")
    blend(sky, shade + light[..., None] * (lit - shade), 0.85 * smoothstep(cover, -0.3, 1.6))
    return sky


def palace_plan(rng, bays, pavilions):
    """Draw the plan of a palace front: what sticks out, and what is roof, wall or window.

    Parameters
    ----------
    rng : numpy.random.Generator
        Chooses the lit windows.
    bays : int
        Number of windows in a row.
    pavilions : list of tuple of (int, int, float)
        First bay, number of bays, and added height of each raised part.

    Returns
    -------
    relief, slate, cover, window : ndarray
        Height of the relief, presence of slates and of the building, brightness of windows.
    """
    size = (int(bays * BAY * PIXELS_PER_METRE), int(FACADE_TOP * PIXELS_PER_METRE))
    layers = {name: Image.new("F", size) for name in ("relief", "slate", "cover", "window")}

    def shape(points, oval=False, **values):
        pixels = [(x * PIXELS_PER_METRE, (FACADE_TOP - z) * PIXELS_PER_METRE) for x, z in points]
        for name, value in values.items():
            pen = ImageDraw.Draw(layers[name])
            (pen.ellipse if oval else pen.polygon)(pixels, fill=value)

    def box(x0, z0, x1, z1, **values):
        shape([(x0, z0), (x1, z0), (x1, z1), (x0, z1)], **values)

    def arch(x, z, half, height, **values):
        box(x - half, z, x + half, z + height, **values)
        shape([(x - half, z + height + half), (x + half, z + height - half)], True, **values)

    def block(first, count, raised):
        x0, x1, eaves = first * BAY, (first + count) * BAY, 18.0 + raised
        # The mansard roof is steep and slightly bulging, and ends in a crest.
        inset, t = 3.2 * (raised > 0), np.linspace(0, 1, 12)
        edge, z = inset * t**1.6 - 0.4, eaves + (7.0 + 0.45 * raised) * t
        outline = [*zip(x0 + edge, z, strict=True), *zip(x1 - edge[::-1], z[::-1], strict=True)]
        shape(outline, slate=1, cover=1, relief=0, window=0)
        crest = (x0 + inset - 0.6, z[-1], x1 - inset + 0.6, z[-1] + 0.5)
        box(*crest, slate=0.4, cover=1, relief=1.5, window=0)
        box(x0 - 0.3, 0, x1 + 0.3, eaves + 0.7, slate=0, cover=1, window=0)
        box(x0, 0, x1, eaves, relief=1.0 if raised else 0.6)
        for z in np.arange(0.8, 8, 0.8):
            box(x0, z, x1, z + 0.1, relief=0.45)
        storeys = [(1.0, 5.2, 1.25), (9.6, 4.6, 1.1)] + [(18.4, raised - 3.4, 0.9)] * (raised > 0)
        for x in x0 + BAY * (np.arange(count) + 0.5):
            for side in (x - BAY / 2, x + BAY / 2):
                box(side - 0.4, 8.8, side + 0.4, eaves - 1.6, relief=1.5)
                box(side - 0.6, eaves - 2.2, side + 0.6, eaves - 1.6, relief=1.9)
            for z, height, half in storeys:
                arch(x, z, half + 0.35, height, relief=1.3)
                arch(x, z, half, height, relief=0.2)
                lit = rng.uniform(0.55, 1.0) if rng.random() < 0.8 else rng.uniform(0.05, 0.2)
                arch(x, z, half - 0.1, height, window=lit)
                box(x - 0.09, z, x + 0.09, z + height + half, window=0.05)
                for bar in z + height * np.array([1, 2, 3]) / 3:
                    box(x - half, bar - 0.07, x + half, bar + 0.07, window=0.05)
            shape([(x - 1.7, 15.7), (x + 1.7, 15.7), (x, 16.7)], relief=1.9)
            z = eaves + 0.7
            box(x - 1.1, z, x + 1.1, z + 3, relief=1.6, slate=0)
            shape([(x - 1.4, z + 3), (x + 1.4, z + 3), (x, z + 4.2)], relief=2, slate=0)
            box(x - 0.6, z + 0.5, x + 0.6, z + 2.6, window=rng.choice([0.08, 0.6, 0.85]))
        ledges = [(0, 0.8, 1.4), (8, 0.7, 2), (eaves - 1.4, 0.5, 1.8), (eaves - 0.4, 1, 2.6)]
        for z, high, out in ledges:
            box(x0 - 0.2, z, x1 + 0.2, z + high, relief=out)

    for x in BAY * np.arange(2, bays, 4):
        box(x - 1, 18, x + 1, 27.6, cover=1)
    for part in [(0, bays, 0.0), *pavilions]:
        block(*part)
    return [np.array(layer) for layer in layers.values()]


def palace_facade(rng, bays, pavilions):
    """Colour a palace front (see `palace_plan`), lit from its foot, as an RGBA picture."""
    relief, slate, cover, window = palace_plan(rng, bays, pavilions)
    z = FACADE_TOP - np.arange(relief.shape[0])[:, None] / PIXELS_PER_METRE
    x = np.arange(relief.shape[1])[None, :] / PIXELS_PER_METRE
    grain = 0.06 * fractal_noise(rng, relief.shape, 1.1)
    smooth = ndi.gaussian_filter(relief, 1.2)
    down, right = np.gradient(smooth)
    hollow = smooth - ndi.gaussian_filter(relief, 14)
    # Floodlights stand at the foot of each pier and again on the ledge of the upper floor.
    beam = 0.6 + 0.4 * np.cos(2 * np.pi * x / BAY)
    flood = beam * (0.9 * np.exp(-z / 6) + 0.8 * np.exp(-np.abs(z - 9) / 7) * (z > 8.7))
    flood = (0.28 + flood) * np.clip(1 - 2.6 * down + 0.8 * right + 0.3 * hollow, 0.15, 2.6)
    sky = np.clip(0.8 + 1.4 * down + 0.25 * hollow, 0.3, 1.6)
    colour = flood[..., None] * [0.80, 0.52, 0.27] + sky[..., None] * [0.17, 0.16, 0.23]
    colour *= 1 + grain[..., None]
    courses = 0.87 + 0.07 * np.sin(2 * np.pi * z / 0.55) + 0.02 * (z - 18)
    tiles = (courses + 1.6 * grain + 1.2 * right)[..., None] * rgb("3b3c4f")
    blend(colour, tiles, ndi.gaussian_filter(slate, 0.7))
    pane = window * (0.85 + 1.7 * grain)
    blend(colour, ramp(pane, "0 1b1e33 .3 8a4a1e .7 ffb347 1.1 fff0b0"), window > 0)
    bands = np.dstack([np.clip(colour, 0, 1), cover])
    return Image.fromarray(np.uint8(255 * bands + 0.5))


def project(points, sign):
    """Project world points to pixels; a `sign` of -1 mirrors them in the wet ground."""
    x, y, z = np.array(points, dtype=float).T
    return np.stack([CENTRE + FOCAL * x / y, HORIZON - FOCAL * (sign * z - EYE) / y], axis=-1)


def hang(canvas, picture, start, end, sign):
    """Paint `picture` on the upright wall that stands between two points of the ground."""
    width, height = picture.size
    corners = [(*start, 0), (*end, 0), (*end, FACADE_TOP), (*start, FACADE_TOP)]
    source = [(0, height), (width, height), (width, 0), (0, 0)]
    # The eight coefficients of the perspective that leads from the canvas to the picture.
    rows = []
    for (x, y), (u, v) in zip(project(corners, sign), source, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
    perspective = np.linalg.solve(rows, np.ravel(source))
    bicubic = Image.Resampling.BICUBIC
    warped = picture.transform((WIDTH, HEIGHT), Image.Transform.PERSPECTIVE, perspective, bicubic)
    bands = np.asarray(warped) / 255
    blend(canvas, bands[..., :3], bands[..., 3])


def glass_pyramid(canvas, rng, sign):
    """Draw the pyramid: four glass faces on a lattice of bars, warm light inside."""
    cells, height, centre = 15, 21.0, np.array([4.5, 70.0])
    turn = np.deg2rad(72) + np.pi / 2 * np.arange(4)
    corners = centre + 24 * np.stack([np.cos(turn), np.sin(turn)], axis=-1)
    faces = sorted(zip(corners, np.roll(corners, -1, axis=0), strict=True), key=lambda f: -sum(f)[1])
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    rays = np.stack([(x - CENTRE) / FOCAL, np.ones_like(x), (HORIZON - y) / FOCAL])
    haze = fractal_noise(rng, (HEIGHT, WIDTH), 1.5)
    mirrored_sky = [None, None, "0 c77f6c 1 a98bb0", "0 6f6a96 1 3f63a8"]
    for (left, right), reflection in zip(faces, mirrored_sky, strict=True):
        # Barycentric coordinates: a counts from the ground to the apex, b and c sideways.
        basis = np.array([[*centre, sign * height - EYE], [*left, -EYE], [*right, -EYE]]).T
        weights = np.tensordot(np.linalg.inv(basis), rays, 1)
        inside = (weights >= 0).all(axis=0)
        a, b, c = np.where(inside, weights / weights.sum(axis=0), 0)
        to_line = [np.abs(w * cells - np.round(w * cells)) for w in (a, b, c)]
        bars = 1 - smoothstep(np.minimum(*to_line[1:]), 0.02, 0.07)
        bars = np.maximum(bars, 0.3 - 0.3 * smoothstep(to_line[0], 0.02, 0.06))
        panes = rng.uniform(-1, 1, (cells + 1, cells + 1))[np.int32(b * cells), np.int32(c * cells)]
        warm = np.exp(-2.6 * a) * (1 + 0.12 * haze) + 0.07 * panes
        light = ramp(warm, "0 3b3450 .2 8a5540 .5 e8963c .8 ffcf70 1 fff3c4")
        if reflection is None:
            blend(canvas, light, inside * (0.35 + 0.45 * np.clip(warm, 0, 1)))
            blend(canvas, rgb("5c3821"), inside * bars * 0.6)
            continue
        blend(canvas, light, inside * np.clip(0.12 + 0.5 * warm, 0, 1))
        gloss = np.clip(0.06 + 0.75 * a + 0.14 * panes * (0.3 + a), 0, 0.8)
        blend(canvas, ramp(a, reflection), inside * gloss)
        blend(canvas, rgb("2b1f1f"), inside * bars * 0.75)
        rim = 1 - smoothstep(np.minimum(np.minimum(a, b), c) * cells, 0.05, 0.12)
        blend(canvas, rgb("fadba8"), inside * rim * 0.75)


def people_and_lamps(canvas, rng, sign):
    """Draw walkers, some under umbrellas, and two rows of street lamps."""
    figures, flames = (Image.new("L", (WIDTH, HEIGHT)) for _ in range(2))

    def shape(image, x, y, points):
        pixels = project([(x + dx, y, z) for dx, z in points], sign)
        ImageDraw.Draw(image).polygon([tuple(pixel) for pixel in pixels], fill=255)

    def disc(x, z, rx, rz, turn=2 * np.pi):
        t = np.linspace(0, turn, 24)
        return zip(x + rx * np.cos(t), z + rz * np.sin(t), strict=True)

    walkers = [(-10.5, 25), (-9.8, 25.3), (11.5, 31), (-20, 46), (-4.5, 40), (17.5, 38), (19, 38)]
    walkers += [(-26, 70), (32, 62), (38, 82), (-22, 58), (-31, 88)]
    coat = [(0.21, 0.74), (0.24, 0.5), (0.2, 0.4), (-0.2, 0.4), (-0.24, 0.5), (-0.21, 0.74)]
    coat += [(-0.18, 0.8), (-0.06, 0.85), (0.06, 0.85), (0.18, 0.8)]
    for number, (x, y) in enumerate(walkers):
        tall, stride = rng.uniform(1.6, 1.85), rng.uniform(0.10, 0.34)
        shape(figures, x, y, [(dx, z * tall) for dx, z in coat])
        shape(figures, x, y, disc(0, 0.925 * tall, 0.11, 0.13))
        for foot in (-stride, stride):
            hip = foot / 4
            leg = [(hip - 0.12, 0.8), (hip + 0.12, 0.8), (foot + 0.07, 0), (foot - 0.1, 0)]
            shape(figures, x, y, leg)
        if number % 3 == 0:
            shape(figures, x, y, disc(0.15, tall + 0.12, 0.75, 0.42, np.pi))
            shape(figures, x, y, [(0.13, 1.2), (0.17, 1.2), (0.17, 2.2), (0.13, 2.2)])
    post = [(-0.3, 0), (0.3, 0), (0.12, 1), (0.07, 4.6), (-0.07, 4.6), (-0.12, 1)]
    for x, y in [(-25, 46), (-28, 62), (-33, 86), (-38, 114), (26.5, 46), (34.5, 68), (42, 90)]:
        shape(figures, x, y, post)
        shape(figures, x, y, [(-0.5, 5.7), (0.5, 5.7), (0, 6.3)])
        shape(flames, x, y, [(-0.25, 4.6), (0.25, 4.6), (0.42, 5.7), (-0.42, 5.7)])
    dark, flame = (ndi.gaussian_filter(np.array(i) / 255, 0.8) for i in (figures, flames))
    blend(canvas, rgb("120f1a"), 0.93 * dark)
    blend(canvas, rgb("ffedb3"), flame)
    halo = sum(ndi.gaussian_filter(flame, s) * s * w for s, w in ((7, 0.10), (30, 0.45)))
    canvas += (1 - np.exp(-halo[..., None] * [1.0, 0.66, 0.34])) * np.clip(1 - canvas, 0, 1)


def wet_paving(rng, canvas, mirror):
    """Cover the court with wet slabs that reflect the `mirror` picture."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    depth = FOCAL * EYE / np.maximum(y - HORIZON, 1e-3)
    across = (x - CENTRE) / FOCAL * depth
    ground = (depth < COURT_BACK) & (across > COURT_LEFT) & (across < COURT_RIGHT)
    slab = 0.9
    v = np.clip(depth / slab, 0, 150)
    u = np.clip(across / slab + 500.5 + 0.5 * (np.int32(v) % 2), 0, 1000)
    tint = rng.uniform(-1, 1, (151, 1001))[np.int32(v), np.int32(u)]
    # Joints are a few centimetres wide, and soften before they get finer than a pixel.
    pixel = 1.5 * depth / FOCAL
    joint_u = 1 - smoothstep(np.abs(u - np.round(u)) * slab, 0.02, 0.03 + pixel)
    joint_v = 1 - smoothstep(np.abs(v - np.round(v)) * slab, 0.02, 0.03 + pixel * depth / EYE)
    joint = np.maximum(joint_u, joint_v) * np.exp(-depth / 22)
    puddles = fractal_noise(rng, (1024, 1024), 1.5)
    wet = ndi.map_coordinates(puddles, [depth * 16, across * 16], order=1, mode="wrap")
    wet = smoothstep(wet, -0.75, 0.45)
    ripple = fractal_noise(rng, (HEIGHT, WIDTH), 1.25, (0.35, 1.3))
    near = np.clip((y - HORIZON) / 400, 0, 1)
    tilt = 9 * (1 - 0.65 * wet) * (ripple + tint) * near
    # Upright things leave upright smears on damp stone, and a sharp image in a puddle.
    image = ndi.gaussian_filter(mirror, (16, 4, 0))
    blend(image, ndi.gaussian_filter(mirror, (3, 1, 0)), wet)
    where = [y - 0.5 + 2.2 * tilt, x - 0.5 + 0.5 * tilt]
    bands = np.moveaxis(image, -1, 0)
    image = np.dstack([ndi.map_coordinates(b, where, order=1, mode="nearest") for b in bands])
    shine = np.clip(0.72 + 0.26 * wet - 0.20 * near, 0, 0.92)[..., None]
    stone = rgb("282633") * (1 + 0.16 * tint + 0.08 * ripple)[..., None]
    floor = (stone * (1 - 0.5 * shine) + shine * image) * (1 - 0.34 * joint)[..., None]
    blend(canvas, floor, ndi.gaussian_filter(ground.astype(float), 0.7))


def draw_pyramid(seed=7):
    """Draw the glass pyramid before the palace, as an array of colours between 0 and 1."""
    rng = np.random.default_rng(seed)
    sky = dusk_sky(rng)
    back = palace_facade(rng, 20, [(8, 4, 9.0), (0, 2, 5.0), (18, 2, 5.0)])
    wing = palace_facade(rng, 17, [(0, 3, 5.0), (9, 3, 5.0)])
    far_left, far_right = (COURT_LEFT, COURT_BACK), (COURT_RIGHT, COURT_BACK)
    near_left, near_right = (COURT_LEFT, COURT_BACK - 85), (COURT_RIGHT, COURT_BACK - 85)
    mirror = None
    # The scene upside down comes first, because the paving of the upright one reflects it.
    for sign in (-1, 1):
        rows = np.arange(HEIGHT) if sign > 0 else np.abs(2 * HORIZON - np.arange(HEIGHT))
        picture = sky[np.int32(np.clip(rows, 0, HEIGHT - 1))]
        hang(picture, back, far_left, far_right, sign)
        hang(picture, wing, near_left, far_left, sign)
        hang(picture, wing, far_right, near_right, sign)
        if mirror is not None:
            wet_paving(rng, picture, mirror)
        # Both passes need the same panes and the same people, hence the fresh generators.
        glass_pyramid(picture, np.random.default_rng(seed + 1), sign)
        people_and_lamps(picture, np.random.default_rng(seed + 2), sign)
        mirror = picture
    bright = np.clip(picture - 0.62, 0, None)
    for sigma, weight in ((6, 0.25), (40, 0.40)):
        picture += weight * ndi.gaussian_filter(bright, (sigma, sigma, 0))
    y, x = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
    return picture * (1.04 - 0.10 * (x**2 + y**2) ** 1.2)[..., None]


def river_scene(rng):
    """Plan the painting before any stroke is laid.

    Returns
    -------
    colour : ndarray
        Colours of the scene, of shape (`HEIGHT`, `WIDTH`, 3).
    angle : ndarray
        Direction in which the brush follows each form, in radians.
    meadow : ndarray of bool
        Where flowers grow.
    """
    y, x = np.mgrid[:HEIGHT, :WIDTH] / HEIGHT
    soft, wide, flat = (fractal_noise(rng, y.shape, 1.9, (s, 1)) for s in (1, 0.5, 0.35))
    sun_x, sun_y = x - 0.86, 1.25 * (y - 0.27)
    sun = np.hypot(sun_x, sun_y)
    scale = "0 fffbd0 .06 ffe98a .16 ffc25e .27 f59a78 .4 b993c8 .6 5c86cf .85 2a56ad 1.1 1b3f92"
    colour = ramp(sun + 0.03 * soft, scale)
    clouds = ramp(sun, "0.1 fff0b8 .35 ffcfae .8 d3dcf2")
    blend(colour, clouds, 0.8 * smoothstep(wide, 0.2, 1.6))
    # The brush circles the sun, and is led astray by the clouds.
    angle = np.arctan2(sun_y, sun_x) + np.pi / 2 + 0.45 * soft

    def lay(layer, inside, direction):
        blend(colour, layer, inside)
        angle[inside] = direction[inside]

    hills = 0.40 - 0.05 * np.sin(2.3 * x + 0.6) - 0.025 * np.sin(7 * x)
    haze = (y - hills) / 0.12 + 0.25 * soft
    lay(ramp(haze, "0 5b6bb5 .6 8d86c4 1 d9a3a8"), y > hills, np.cos(5 * x) * 0.3)
    shore = 0.475 + 0.012 * np.sin(9 * x) + 0.01 * soft
    crowns = shore - 0.035 - 0.03 * np.abs(np.sin(11 * x + soft * 0.6)) - 0.02 * soft
    bush = ramp(soft - 20 * (y - crowns - 0.04), "-1 1d3f5e 0 2f7a5a 1 a8b94a 2 f2d15a")
    lay(bush, (y > crowns) & (y < shore), 1.2 + soft)
    poplars = [(0.10, 0.05, 0.055), (0.24, 0.13, 0.045), (0.36, 0.22, 0.036), (1.24, 0.16, 0.05)]
    for trunk, tip, width in poplars:
        t = np.clip((y - tip) / (0.47 - tip), 0, 1)
        side = (x - trunk - 0.012 * soft) / width
        inside = (np.abs(side) < t**0.55 * (1.25 - 0.75 * t**4)) & (y < 0.475)
        towards_sun = side * np.sign(0.86 - trunk) + 0.5 * soft
        leaves = ramp(towards_sun, "-1 14304f -.3 1f5b54 .3 4d8f3f .9 d7b53a 1.5 f39a3d")
        lay(leaves, inside, np.pi / 2 + 0.4 * side + 0.2 * flat)
    # The river mirrors everything above it, and winds towards the viewer.
    t = np.clip((y - 0.475) / 0.525, 0, 1)
    left = 0.30 - 0.55 * t**0.8 + 0.12 * np.sin(5.5 * t) + 0.01 * soft
    right = 1.20 - 0.62 * t**0.75 + 0.05 * np.sin(8 * t) + 0.012 * soft
    land = (y > shore) & ((x < left) | (x > right))
    rows = np.clip((0.95 - y - 0.35 * t) * HEIGHT + 14 * flat, 0, HEIGHT - 1)
    columns = np.clip(x * HEIGHT + 8 * flat, 0, WIDTH - 1)
    water = 0.86 * colour[np.int32(rows), np.int32(columns)] + [0.0, 0.03, 0.07]
    lay(water, (y > shore) & ~land, 0.12 * flat)
    scale = "-1.5 1d5a4e -.4 3d8a45 .5 86ad3c 1.3 d2c24a 2.2 3a8a5a 3 24506b"
    sway = np.pi / 2 + 0.54 * np.sin(4 * x + 3 * t) + 0.35 * soft
    lay(ramp(wide + 1.4 * t, scale), land, sway)
    edge = np.minimum(np.abs(x - left), np.abs(x - right))
    blend(colour, rgb("21335c"), 0.6 * land * np.exp(-edge / 0.02))
    return colour, angle, land & (y > shore + 0.01)


def brush(canvas, relief, x, y, angle, bend, length, width, colour, bristles):
    """Lay one stroke of thick paint, in place.

    Parameters
    ----------
    canvas, relief : ndarray
        The colours, and the thickness of the paint.
    x, y : float
        Column and row of the middle of the stroke.
    angle, bend : float
        Direction at the middle, and how far it turns from end to end.
    length, width : float
        Size in pixels.
    colour : ndarray
        The paint.
    bristles : ndarray
        Random profile across the brush, between 0 and 1.
    """
    reach = length / 2 + width
    top, left = max(int(y - reach), 0), max(int(x - reach), 0)
    window = np.s_[top : int(y + reach) + 1, left : int(x + reach) + 1]
    rows, columns = relief[window].shape
    dy, dx = np.ogrid[top : top + rows, left : left + columns]
    dy, dx = dy - y, dx - x
    along = (dx * np.cos(angle) + dy * np.sin(angle)) / (length / 2)
    across = (dy * np.cos(angle) - dx * np.sin(angle)) / (width / 2)
    across -= bend * length / (4 * width) * (along**2 - 0.4)
    hair = np.interp(across, np.linspace(-1, 1, bristles.size), bristles)
    # Each bristle runs dry at its own distance, which frays the far end of the stroke.
    end = 1 - along - 0.45 * (1 - hair) * (along > 0)
    start = 1 + along - 0.12 * hair
    alpha = (0.8 + 0.2 * hair) * np.clip(np.minimum(end, start) * length / 8, 0, 1)
    alpha *= np.clip((1 - np.abs(across)) * width / 5, 0, 1)
    blend(canvas[window], np.clip(colour, 0.02, 1) * (0.86 + 0.28 * hair)[..., None], alpha)
    ridge = 0.5 * hair + 0.4 * np.abs(across) ** 3 + 0.3 * np.exp(-8 * np.abs(end))
    relief[window] += alpha * (ridge - 0.75 * relief[window])


def paint_river(seed=11):
    """Paint a river bank with poppies, as an array of colours between 0 and 1."""
    rng = np.random.default_rng(seed)
    scene, angle, meadow = river_scene(rng)
    canvas, relief = 0.9 * scene, np.zeros((HEIGHT, WIDTH))
    hairs = ndi.gaussian_filter1d(rng.standard_normal((64, 24)), 0.7)
    brushes = np.clip(0.5 + 0.48 * hairs, 0, 1)

    def stroke(*shape_and_colour):
        brush(canvas, relief, *shape_and_colour, brushes[rng.integers(64)])

    # Only the coarse layers cover everything; the fine one sharpens the outlines.
    detail = np.abs(scene - ndi.gaussian_filter(scene, (12, 12, 0))).max(axis=2)
    layers = [(40, 46, 170, 0.03), (27, 32, 130, 0.05), (20, 23, 95, 0.055), (17, 17, 66, 0.06)]
    corner = np.array([HEIGHT - 1, WIDTH - 1])
    for spacing, width, length, vary in layers:
        grid = np.mgrid[0 : HEIGHT + spacing : spacing, 0 : WIDTH + spacing : spacing]
        places = grid.reshape(2, -1).T + rng.uniform(-0.6, 0.6, (grid[0].size, 2)) * spacing
        for place in rng.permutation(np.clip(places, 0, corner)):
            here = tuple(np.int32(place))
            if width < 20 and detail[here] < 0.07:
                continue
            way = angle[here] + 0.12 * rng.standard_normal()
            step = length / 3 * np.array([np.sin(way), np.cos(way)])
            ahead, behind = np.int32(np.clip([place + step, place - step], 0, corner))
            bend = 1.2 * np.sin(angle[tuple(ahead)] - angle[tuple(behind)])
            # Broken colour: neighbours differ in hue, and most between warm and cool.
            warmth = rng.standard_normal() * np.array([1.4, 1.0, -0.4])
            paint = scene[here] + vary * (rng.standard_normal(3) + warmth)
            long, broad = length * rng.uniform(0.7, 1.2), width * rng.uniform(0.75, 1.2)
            stroke(*place[::-1], way, bend, long, broad, paint)

    petals = [rgb(c) for c in "e3231b f4511e c2123a ff7a3d f6b4cc 7a4fc4 ffd23d".split()]
    clumps = fractal_noise(rng, (HEIGHT, WIDTH), 1.6, (1, 0.5))
    # Far flowers come first, because the near ones stand before them.
    for far, x in sorted(rng.uniform(0, 1, (2200, 2)).tolist()):
        x, y = x * WIDTH, (0.48 + 0.52 * far) * HEIGHT
        if not meadow[int(y), int(x)] or clumps[int(y), int(x)] < rng.normal(0.7, 0.5):
            continue
        size = 11 + 19 * far
        paint = petals[rng.choice(7, p=(0.34, 0.2, 0.16, 0.12, 0.05, 0.08, 0.05))]
        for turn in rng.uniform(0, 2 * np.pi) + np.array([0, 2.1, 4.2]):
            px, py = x + 0.5 * size * np.cos(turn), y + 0.35 * size * np.sin(turn)
            way, shade = turn + rng.normal(1.2, 0.6), rng.uniform(0.7, 1.15)
            stroke(px, py, way, 0.7, 1.8 * size, size, shade * paint)
        stroke(x, y, rng.uniform(0, np.pi), 0, 0.7 * size, 0.4 * size, 0.45 * paint)

    # Light from the upper left catches the ridges of the paint.
    light = sum(np.gradient(ndi.gaussian_filter(relief, 1.3)))
    picture = canvas * np.clip(1 + 1.3 * light, 0.7, 1.4)[..., None]
    return picture + 0.9 * np.clip(light - 0.06, 0, 0.2)[..., None]


def save(picture, folder, name):
    """Write the large and the small version of a picture, each whole or not at all."""
    image = Image.fromarray(np.uint8(255 * np.clip(picture, 0, 1) + 0.5))
    large = image.resize(LARGE, Image.Resampling.LANCZOS)
    small = large.resize(SMALL, Image.Resampling.LANCZOS)
    for version, target in ((large, f"{name}_large.jpg"), (small, f"{name}.png")):
        temporary = folder / f".part-{target}"
        try:
            version.save(temporary, optimize=True, quality=90)
            os.replace(temporary, folder / target)
        finally:
            temporary.unlink(missing_ok=True)


def main():
    """Parse the command line and draw the pictures."""
    import styles  # which needs the functions above

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    here = Path(__file__).resolve().parent
    parser.add_argument("--output", type=Path, default=here, metavar="DIR", help="folder to fill")
    folder = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    save(draw_pyramid(), folder, "glass_pyramid")
    save(paint_river(), folder, "brush_strokes")
    save(styles.draw_wave(), folder, "woodcut_wave")
    save(styles.draw_glass(), folder, "stained_glass")
    save(styles.draw_dots(), folder, "colour_dots")


if __name__ == "__main__":
    main()
