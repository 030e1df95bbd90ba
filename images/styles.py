"""Three more styles, each in a manner of its own: a woodcut, a leaded window, and dots of pure colour."""

import numpy as np
from make_images import HEIGHT, WIDTH, blend, fractal_noise, ramp, rgb, smoothstep
from PIL import Image, ImageDraw
from scipy import ndimage as ndi
from scipy.interpolate import make_interp_spline
from scipy.spatial import cKDTree


def grid():
    """Return rows and columns of the canvas, in parts of its height."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] / HEIGHT
    return y, x


def filled(*polygons):
    """Return where polygons are, as an array of 0 and 1; points are in parts of the canvas' height."""
    mask = Image.new("L", (WIDTH, HEIGHT))
    for points in polygons:
        ImageDraw.Draw(mask).polygon([(HEIGHT * x, HEIGHT * y) for x, y in points], fill=1)
    return np.array(mask)


def discs(places):
    """Return where discs are, as an array of 0 and 1; each is a column, a row and a radius."""
    mask = Image.new("L", (WIDTH, HEIGHT))
    for x, y, r in HEIGHT * np.asarray(places):
        ImageDraw.Draw(mask).ellipse((x - r, y - r, x + r, y + r), fill=1)
    return np.array(mask)


# --- a woodcut --------------------------------------------------------------------------------------------------------

INK, CREAM = rgb("14213d"), rgb("f4e7c8")


def curve(points, count=600):
    """Return points of a smooth curve through a few, at equal distances along it."""
    points = np.asarray(points, float)
    along = np.r_[0, np.cumsum(np.hypot(*np.diff(points, axis=0).T) ** 0.5)]
    fine = make_interp_spline(along, points)(np.linspace(0, along[-1], 4000))
    length = np.r_[0, np.cumsum(np.hypot(*np.diff(fine, axis=0).T))]
    at = np.linspace(0, length[-1], count)
    return np.stack([np.interp(at, length, column) for column in fine.T], axis=1)


def distance_to(points):
    """Return how far each pixel is from a curve, in parts of the canvas' height."""
    y, x = grid()
    return cKDTree(points).query(np.stack([x, y], axis=-1).reshape(-1, 2), workers=1)[0].reshape(y.shape)


def foam(rng, back, size):
    """Return the discs that make the foam of a crest: a thick lip, and fingers that curl from it, with hooks."""
    tangent = np.gradient(back, axis=0)
    tangent /= np.hypot(*tangent.T)[:, None]
    inward = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
    places, first = [], int(0.30 * len(back))
    for i in range(first, len(back), 3):
        share = (i - first) / (len(back) - first)
        thick = size * (0.008 + 0.030 * share**0.8) * rng.uniform(0.8, 1.15)
        places.append([*(back[i] + 0.5 * thick * inward[i]), thick])
    i = first + 10
    while i < len(back):
        share = (i - first) / (len(back) - first)
        for spread in (-0.5, 0.15, 0.8):
            at = back[i] + size * (0.010 + 0.040 * share) * inward[i]
            length = size * (0.03 + 0.105 * share) * rng.uniform(0.75, 1.2)
            heading = np.arctan2(inward[i, 1], inward[i, 0]) - spread + rng.uniform(-0.15, 0.15)
            bend, steps = rng.uniform(1.2, 2.2), 34
            for step in range(steps):
                t = step / (steps - 1)
                thick = size * ((0.0125 + 0.007 * share) * (1 - t) ** 0.75 + 0.0012)
                places.append([*at, thick])
                if step % 12 == 8 and t < 0.8:
                    for k in range(9):
                        turned = heading - 1.1 + 0.16 * k
                        hook = at + 0.0035 * size * k * np.array([np.cos(turned), np.sin(turned)])
                        places.append([*hook, 0.62 * thick * (1 - k / 9) + 0.001 * size])
                heading -= 2 * bend * t / steps
                at = at + length / steps * np.array([np.cos(heading), np.sin(heading)])
        i += int(13 + 16 * share * size)
    return np.array(places)


def breaker(canvas, rng, soft, size, bands, tones, back, face):
    """Lay a breaking wave over the canvas: its back runs up to the tip, its face from there down and to the right."""
    y, x = grid()
    back, face = curve(back), curve(face)
    inside = filled([*map(tuple, back), *map(tuple, face), (1.8, 1.6), (-0.5, 1.6)])
    from_back, from_face = distance_to(back), distance_to(face)
    # Where the way from back to face is shared alike, a line runs from the foot to the tip.
    band = bands * from_back / (from_back + from_face + 1e-6) + 0.10 * soft + 0.05 * np.sin(31 * (x + y) / size)
    deep, middle, pale = (rgb(code) for code in tones.split())
    kind = np.floor(band).astype(int) % 3
    colour = np.array([middle, deep, pale])[kind]
    blend(colour, deep, 0.85 * ((np.abs(3 * band % 1 - 0.5) < 0.12) & (kind != 1)))
    blend(colour, INK, (np.abs(band % 1 - 0.5) > 0.465).astype(float))
    blend(colour, CREAM, ((from_face > 0.004 * size) & (from_face < 0.013 * size)).astype(float))
    blend(colour, INK, (np.minimum(from_back, from_face) < 0.004 * size).astype(float))
    blend(canvas, colour, inside.astype(float))
    places = foam(rng, back, size)
    blend(canvas, INK, discs(places + [0, 0, 0.0042 * size**0.5]))
    white = discs(places)
    blend(canvas, CREAM, white)
    depth = ndi.distance_transform_edt(white) / HEIGHT / size**0.5
    blend(canvas, middle, 0.75 * ((np.abs(depth / 0.0085 % 1 - 0.5) < 0.13) & (depth > 0.006)))


def spray(canvas, rng, centre, spread, count, size):
    """Throw drops of foam on the canvas."""
    places = rng.normal(centre, spread, (count, 2))
    drops = np.column_stack([places, size * rng.uniform(0.25, 1, count) ** 2])
    for paint, rim in ((INK, 0.0022), (CREAM, 0)):
        blend(canvas, paint, discs(drops + [0, 0, rim]))


def draw_wave(seed=21):
    """Cut a great wave under a red sun, as an array of colours between 0 and 1."""
    rng = np.random.default_rng(seed)
    y, x = grid()
    soft = fractal_noise(rng, y.shape, 1.9)
    # The sky: rays around the sun, and banks of cloud with lines along them.
    sun_x, sun_y = x - 0.98, y - 0.33
    far, turn = np.hypot(sun_x, sun_y), np.arctan2(sun_y, sun_x)
    canvas = ramp(y, "0 4f7f9b .16 9fb9b0 .34 ecd9ae .60 efbf8a")
    rays = np.cos(46 * turn + 0.6 * soft) > 0.35 + 0.5 * smoothstep(far, 0.2, 0.9)
    blend(canvas, rgb("e58a52"), 0.75 * rays * (far > 0.15))
    blend(canvas, rgb("c8402c"), (far < 0.135).astype(float))
    blend(canvas, INK, (np.abs(far - 0.135) < 0.005).astype(float))
    for level in (0.05, 0.17):
        bumps = np.abs(np.sin(9 * x + 31 * level)) + 0.6 * np.abs(np.sin(21 * x + 17 * level))
        depth = y - (level + 0.05 * np.sin(2.2 * x + 40 * level) - 0.05 * bumps)
        inside = (depth > 0) & (depth < 0.085 + 0.03 * np.sin(5 * x + 9 * level))
        blend(canvas, ramp(depth, "0 f7eccd .05 d8d6bd .11 86a8ac"), inside.astype(float))
        lines = np.abs((depth / 0.017 + 0.12 * soft) % 1 - 0.5) < 0.11 + 0.9 * np.clip(0.07 - depth, 0, 0.1)
        edge = ndi.binary_dilation(inside, iterations=4) & ~ndi.binary_erosion(inside, iterations=3)
        blend(canvas, rgb("35587a"), 0.9 * (inside & lines))
        blend(canvas, INK, edge.astype(float))
    # Three breakers: far away, the great one, and one in front.
    back = [(0.70, 0.66), (0.86, 0.585), (0.98, 0.545), (1.06, 0.555), (1.10, 0.60)]
    face = [(1.10, 0.60), (1.06, 0.59), (1.04, 0.625), (1.10, 0.665), (1.25, 0.67), (1.45, 0.63)]
    breaker(canvas, rng, soft, 0.42, 6, "1b3f73 5f94ad a9c8c6", back, face)
    back = [(-0.15, 0.66), (0.02, 0.43), (0.16, 0.275), (0.33, 0.175), (0.50, 0.165), (0.64, 0.235), (0.725, 0.36)]
    face = [(0.735, 0.455), (0.685, 0.385), (0.60, 0.35), (0.515, 0.38), (0.462, 0.47), (0.47, 0.60), (0.545, 0.72)]
    face += [(0.68, 0.795), (0.88, 0.81), (1.10, 0.755), (1.25, 0.69), (1.45, 0.65)]
    breaker(canvas, rng, soft, 1.0, 9, "16305c 3f78a3 b5d0cd", [*back, face[0]], face)
    spray(canvas, rng, (0.80, 0.42), (0.07, 0.09), 60, 0.013)
    back = [(-0.12, 0.90), (0.06, 0.83), (0.22, 0.765), (0.36, 0.745), (0.47, 0.785), (0.50, 0.84)]
    face = [(0.50, 0.84), (0.455, 0.815), (0.40, 0.83), (0.385, 0.885), (0.44, 0.945), (0.60, 0.965), (0.82, 0.93)]
    breaker(canvas, rng, soft, 0.62, 7, "12284f 2c639a 8fb9c4", back, [*face, (1.02, 0.875), (1.2, 0.86), (1.45, 0.90)])
    spray(canvas, rng, (0.56, 0.83), (0.05, 0.05), 30, 0.009)
    # The grain of the block, and paper that shows through.
    grain = fractal_noise(rng, y.shape, 1.0, (4.0, 0.25))
    canvas *= 1 + 0.045 * grain[..., None]
    blend(canvas, CREAM, 0.10 * smoothstep(grain, 0.6, 2.0))
    return np.clip(ndi.gaussian_filter(canvas, (0.8, 0.8, 0)), 0, 1)


# --- a window ---------------------------------------------------------------------------------------------------------


def draw_glass(seed=31):
    """Lead a window of a sun over hills, a river and flowers, as an array of colours between 0 and 1."""
    rng = np.random.default_rng(seed)
    y, x = grid()
    soft = fractal_noise(rng, y.shape, 2.1)
    panes = np.zeros(y.shape, np.int64)
    colour = np.zeros((*y.shape, 3))

    def lay(inside, along, across, palette, chance=0.35):
        """Cut a region into panes by two coordinates, in whole numbers, and glaze them."""
        rows = np.floor(across).astype(np.int64)
        shift = rng.uniform(0, 1, 4096)[rows % 4096]
        cells = rows * 8192 + np.floor(along + shift).astype(np.int64)
        kinds, index = np.unique(cells[inside], return_inverse=True)
        tones = np.array([rgb(code) for code in palette.split()])
        # Neighbouring rows take neighbouring glass, some panes any.
        stray = rng.uniform(size=kinds.size) < chance
        choice = np.where(stray, rng.integers(0, len(tones), kinds.size), kinds // 8192 % len(tones))
        light = rng.uniform(0.72, 1.25, kinds.size)
        panes[inside] = kinds[index] + panes.max() + 1 - kinds.min()
        colour[inside] = (tones[choice] * light[:, None])[index]

    sun_x, sun_y = x - 0.42, y - 0.30
    far, turn = np.maximum(np.hypot(sun_x, sun_y) + 0.012 * soft, 0), np.arctan2(sun_y, sun_x)
    everywhere = np.ones(y.shape, bool)
    ring = np.floor((far / 0.075) ** 0.85)
    sectors = np.maximum(6, np.round(5 * ring + 7))
    lay(everywhere, turn / (2 * np.pi) * sectors, ring, "1d3f9a 2c6bc4 123075 5a3a9c 2f93c9 7fc4de 26509f")
    lay(far < 0.36, turn / (2 * np.pi) * 20, np.floor(far / 0.09), "f7c62f ee8a1d d93a1f b81f3c", 0.15)
    lay(far < 0.11, turn / (2 * np.pi) * 7, np.floor(far / 0.07), "fff3b0 ffd84a", 0.1)
    for level, wave, palette in (
        (0.50, 2.3, "5b3f97 3d5fb0 7a4aa5 2f7a8f"),
        (0.60, 3.1, "1f7a4c 2f9a55 136044 86b83a"),
        (0.71, 2.0, "0f5c3a 4aa03f b6c935 1b7b58 d8b52c"),
    ):
        depth = y - (level + 0.05 * np.sin(wave * x + 9 * level) + 0.012 * soft)
        lay(depth > 0, (x + 0.5 * depth) / 0.085, depth / 0.052, palette)
    bank = 0.62 + 0.30 * np.sin(3.2 * (y - 0.45)) - 0.12 * y
    broad = 0.05 + 0.55 * np.clip(y - 0.55, 0, 1)
    river = (np.abs(x - bank) < broad) & (y > 0.56)
    lay(river, (x - bank) / broad * 2.4, (y + 0.01 * np.sin(20 * x)) / 0.036, "1c62b8 2a8fd0 9bd7e6 1a3f8f 5bb9d8")
    # Flowers stand in front: petals around a heart.
    for cx, cy, size, petals, tones in (
        (0.20, 0.84, 0.135, 7, "c4183c e0455a 8e1238"),
        (0.98, 0.86, 0.125, 6, "d8431c f08a2a b32a1a"),
        (1.22, 0.66, 0.105, 7, "8a2fa0 b45ac4 5f1f80"),
        (0.62, 0.93, 0.085, 6, "f2c12e f7e08a e08a1f"),
        (1.15, 0.98, 0.075, 6, "d83a6e f08fb0 a81f55"),
        (0.04, 0.68, 0.085, 6, "f0f0dc f6d8a0 d9c7e8"),
    ):
        away, angle = np.hypot(x - cx, y - cy), np.arctan2(y - cy, x - cx) + 0.2 * soft
        reach = size * (0.72 + 0.28 * np.abs(np.cos(petals * angle / 2)))
        lay(away < reach, angle / (2 * np.pi) * petals, np.floor(away / (0.55 * size)), tones, 0.25)
        lay(away < 0.26 * size, 0 * x, 0 * x, "f7d23a")
    # Leads where panes meet, thicker around the drawing's parts.
    meet = np.zeros(y.shape, bool)
    for axis in (0, 1):
        meet |= np.roll(panes, 1, axis) != panes
    meet[0] = meet[:, 0] = False
    away = ndi.distance_transform_edt(~meet)
    thick = 5.2 + 1.1 * fractal_noise(rng, y.shape, 1.8)
    # Glass: streaks and bubbles, brighter in the middle of a pane.
    streaks = fractal_noise(rng, y.shape, 1.4, (0.35, 1.6)) + 0.6 * fractal_noise(rng, y.shape, 0.9)
    canvas = colour * (0.70 + 0.36 * smoothstep(away, 0, 42) + 0.11 * streaks)[..., None]
    bubbles = ndi.gaussian_filter((rng.uniform(size=y.shape) > 0.9985).astype(float), 1.7)
    canvas += (3.5 * bubbles)[..., None] * [1, 1, 0.9]
    glow = ndi.gaussian_filter(canvas, (22, 22, 0))
    canvas = 0.86 * canvas + 0.20 * glow
    lead = 1 - smoothstep(away, thick - 1, thick + 1)
    down, right = np.gradient(ndi.gaussian_filter(np.minimum(away, thick), 1.2))
    metal = np.clip(0.13 + 0.16 * (-down - right), 0.03, 0.6)
    blend(canvas, metal[..., None] * np.array([0.95, 1.0, 1.1]), lead)
    return np.clip(canvas, 0, 1)


# --- dots -------------------------------------------------------------------------------------------------------------

#: Pure colours, as they come from the tube.
TUBES = (
    *("fff6d8", "ffe14a", "f9b21c", "f0741a", "d9301f", "b5123f", "e889a6", "7d2a8c", "3c2a86"),
    *("1d3fa8", "2f80d2", "8cc9ea", "0f7c7c", "1d8a3e", "8fc13a", "10203f"),
)


def harbour(rng):
    """Plan a harbour in the evening: colours of shape (`HEIGHT`, `WIDTH`, 3)."""
    y, x = grid()
    soft = fractal_noise(rng, y.shape, 1.9)
    sun = np.hypot(x - 0.50, 1.1 * (y - 0.34))
    sky = ramp(
        sun + 0.04 * soft, "0 fffbe0 .05 fff0a0 .13 ffc860 .26 f59a70 .42 d08ab0 .62 7f8fd0 .9 3f6fc0 1.2 2a4fa0"
    )
    picture = sky.copy()
    clouds = smoothstep(fractal_noise(rng, y.shape, 1.9, (0.45, 1)), 0.5, 1.5)
    blend(picture, ramp(sun, "0 ffd0a0 .4 f0a0b0 1 b8c8f0"), 0.8 * clouds)
    shore = 0.50
    hills = y > shore - 0.055 - 0.05 * np.sin(3 * x + 1.2) - 0.02 * np.sin(9 * x)
    blend(picture, ramp(x, "0 3a4a90 .5 9a70b0 1.3 4a5fa8"), 0.9 * (hills & (y < shore)))
    land = filled([(-0.1, 0.47), (0.22, 0.485), (0.38, 0.505), (0.30, 0.53), (-0.1, 0.56)]) > 0
    blend(picture, rgb("4a8a40"), land.astype(float))
    for trunk, high, wide in ((0.05, 0.40, 0.10), (0.16, 0.34, 0.08), (0.27, 0.22, 0.06)):
        crown = ((x - trunk) / wide) ** 2 + ((y - (0.50 - 0.62 * high)) / (0.5 * high)) ** 2 + 0.22 * soft < 1
        lit = (x - trunk) / wide + 0.5 * soft
        blend(picture, ramp(lit, "-1 143a5a -.2 1f6a48 .4 6aa83a 1 f0c040"), crown.astype(float))
        stem = (np.abs(x - trunk) < 0.008) & (y > 0.40) & (y < 0.52)
        blend(picture, rgb("5a2a50"), stem.astype(float))
    for cx, water, high, sail in (
        (0.78, 0.60, 0.30, "fff0d0"),
        (1.12, 0.70, 0.42, "f09040"),
        (0.60, 0.535, 0.13, "e8b0c0"),
        (0.98, 0.53, 0.10, "fff6e0"),
    ):

        def placed(*points, cx=cx, water=water, high=high):
            return filled([(cx + 0.30 * high * dx, water - high * dy) for dx, dy in points])

        sails = placed((0, 1), (0, 0.05), (1.5, 0.07)) | placed((-0.07, 0.9), (-0.07, 0.06), (-0.9, 0.06))
        blend(picture, ramp((x - cx) / (0.30 * high), f"-1 7a4a90 -.2 {sail} 1.2 d07090"), sails)
        blend(picture, rgb("2a1f60"), placed((-1.1, 0.045), (1.7, 0.045), (1.3, -0.05), (-0.8, -0.05)))
    # The water mirrors what is above it, broken by ripples.
    ripple = fractal_noise(rng, y.shape, 1.2, (0.3, 1.6))
    below = y > 0.515 + 0.03 * (x < 0.38) * np.clip(1 - x / 0.38, 0, 1)
    depth = np.clip(y - 0.515, 0, 1)
    rows = np.clip((0.515 - 1.02 * depth) * HEIGHT + 26 * ripple * (0.3 + depth), 0, HEIGHT - 1)
    columns = np.clip(x * HEIGHT + 20 * ripple * (0.2 + depth), 0, WIDTH - 1)
    mirrored = picture[np.int32(rows), np.int32(columns)] * [0.80, 0.88, 0.98]
    boat = (np.abs(picture - sky).max(axis=2) > 0.05) & (y < 0.74) & (x > 0.45)
    water = below & ~boat
    blend(picture, mirrored, water.astype(float))
    path = np.exp(-(((x - 0.5) / 0.16) ** 2))  # of the sun
    blend(picture, rgb("ffe9a0"), 0.75 * water * smoothstep(ripple, 0.7, 1.6) * path)
    blend(picture, rgb("1d3070"), 0.40 * water * smoothstep(-ripple, 0.4, 1.6))
    return picture


def draw_dots(seed=41):
    """Set a harbour in dots of pure colour, as an array of colours between 0 and 1."""
    rng = np.random.default_rng(seed)
    scene = harbour(rng)
    tubes = np.array([rgb(code) for code in TUBES])
    canvas = ndi.gaussian_filter(scene, (12, 12, 0)) * 0.6 + 0.4 * rgb("caa98a")
    pixels = np.stack(np.mgrid[:HEIGHT, :WIDTH], axis=-1).reshape(-1, 2).astype(np.float32)
    wobble = 0.10 * fractal_noise(rng, scene.shape[:2], 0.9).ravel()
    for spacing, radius in ((21, 0.74), (17, 0.62), (16, 0.56), (14, 0.50)):
        rows, columns = np.mgrid[-1 : HEIGHT // spacing + 2, -1 : WIDTH // spacing + 2]
        centres = np.stack([rows, columns + 0.5 * (rows % 2)], axis=-1).reshape(-1, 2) * spacing
        centres = centres + rng.uniform(-0.42, 0.42, centres.shape) * spacing
        inside = np.clip(np.int32(centres), 0, [HEIGHT - 1, WIDTH - 1])
        wanted = scene[inside[:, 0], inside[:, 1]]
        # What one dot has too much the next one has too little: each takes a tube near to its colour pushed at random.
        pushed = wanted + rng.normal(0, 0.17, wanted.shape)
        opposite = rng.uniform(size=len(wanted)) < 0.10
        pushed[opposite] = 0.35 * wanted[opposite].mean(axis=1, keepdims=True) + 0.65 * (1 - wanted[opposite])
        chosen = tubes[((pushed[:, None] - tubes) ** 2).sum(axis=2).argmin(axis=1)]
        chosen = chosen * rng.uniform(0.9, 1.06, (len(chosen), 1))
        size = spacing * radius * rng.uniform(0.78, 1.12, len(chosen))
        away, nearest = cKDTree(centres.astype(np.float32)).query(pixels, workers=1)
        share = away / size[nearest] + wobble
        cover = (1 - smoothstep(share, 0.86, 1.02)).reshape(HEIGHT, WIDTH)
        # A dot of paint is a little hill, lit from the upper left.
        slope = ((pixels - centres[nearest]) / size[nearest, None]).sum(axis=1)
        paint = chosen[nearest] * (1 - 0.13 * slope * share)[:, None]
        blend(canvas, paint.reshape(HEIGHT, WIDTH, 3), cover)
    return np.clip(canvas, 0, 1)
