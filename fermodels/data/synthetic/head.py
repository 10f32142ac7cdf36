"""Wall, hair, neck, ears and the lit oval of the face: everything that lies behind the features.

Hair and skin are star-shaped about the middle of the face, so each is one radius per direction: a table a
face, looked up once per pixel by a cheap pseudo-angle. The skin's outline is the landmarks' own jaw line.
"""

import numpy as np
from jaxtyping import Float32

from fermodels.data.synthetic.anatomy import to_picture
from fermodels.data.synthetic.looks import Scene
from fermodels.data.synthetic.strokes import close_tile, disc, glow, open_tile, paint, per_face, shade

_DARK = np.array([0.50, 0.41, 0.38], np.float32)
_LIT = np.array([1.06, 1.03, 1.01], np.float32)


def light_at(scene: Scene, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Lambert's law with an ambient part, for unit normals (x, y, z) of any shape that starts with n."""
    look = scene.look
    extra = (1,) * (x.ndim - 1)
    lx, ly = look.light_x.reshape(-1, *extra), look.light_y.reshape(-1, *extra)
    ambient = look.ambient.reshape(-1, *extra)
    lz = np.sqrt(1 - 0.75 * (lx * lx + ly * ly))
    return ambient + (1.12 - ambient) * np.maximum(x * lx + y * ly + z * lz, -0.05)


def skin_colour(scene: Scene, light: np.ndarray) -> np.ndarray:
    """(n, 3, ...) colour of the skin where `light` (n, ...) falls on it."""
    extra = (1,) * (light.ndim - 1)
    dark = (scene.look.skin * _DARK).reshape(-1, 3, *extra)
    lit = (scene.look.skin * _LIT).reshape(-1, 3, *extra)
    return dark + (lit - dark) * light[:, None]


def feature_light(scene: Scene, points: Float32[np.ndarray, "n 2"]) -> Float32[np.ndarray, " n"]:
    """How bright the face is at a point of the picture."""
    x, y = (points[:, 0] - 0.5) / 0.42, (points[:, 1] - 0.5) / 0.5
    return light_at(scene, x, y, np.sqrt(np.maximum(1 - x * x - y * y, 0.05)))


def _smooth(low: float, high: float, value: np.ndarray) -> np.ndarray:
    share = np.clip((value - low) / (high - low), 0, 1)
    return share * share * (3 - 2 * share)


def _round_outline(points: int, factor: int) -> np.ndarray:
    """(points * factor, points): a closed Catmull-Rom spline through `points` knots, as a matrix."""
    matrix = np.zeros((points * factor, points), np.float32)
    for row in range(points * factor):
        knot, t = row // factor, row % factor / factor
        weights = (-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2)
        for step, weight in zip((-1, 0, 1, 2), weights, strict=True):
            matrix[row, (knot + step) % points] += weight / 2
    return matrix


_SPLINE = _round_outline(26, 4)


def _pseudo_angle(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """0 to the right, 1 down, 2 left, 3 up, growing to 4: an angle without trigonometry."""
    turn = 1 - x / (np.abs(x) + np.abs(y) + np.float32(1e-6))
    return np.where(y >= 0, turn, 4 - turn)


def _directions(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors at the centres of `count` bins of the pseudo-angle."""
    angle = (np.arange(count) + 0.5) * 4 / count
    x = 1 - np.where(angle < 2, angle, 4 - angle)
    y = np.where(angle < 2, 1, -1) * (1 - np.abs(x))
    return x / np.hypot(x, y), y / np.hypot(x, y)


def _face_radii(outline: np.ndarray, count: int) -> np.ndarray:
    """(n, count) radius of the skin in each direction."""
    smooth = _SPLINE @ outline
    angle = _pseudo_angle(smooth[..., 0], smooth[..., 1])
    radius = np.sqrt((smooth**2).sum(-1))
    where = (np.arange(count) + 0.5) * 4 / count
    return np.stack([np.interp(where, a, r, period=4) for a, r in zip(angle, radius, strict=True)]).astype(np.float32)


def _tables(scene: Scene, count: int) -> np.ndarray:
    """(4, n, count): radius of the hair, of the skin, of the hairline, and the brightness of the strands."""
    cos, sin = (value.astype(np.float32) for value in _directions(count))
    face = _face_radii(scene.shape.outline, count)
    look = type(scene.look)(*(value[:, None] for value in scene.look))
    side = np.where(cos > 0, face[:, :1], face[:, count // 2, None])
    width = 1 + look.volume
    short = face * (1 + look.volume * (1 - _smooth(0.0, 0.3, sin))) - 0.05 * _smooth(0.05, 0.3, sin)
    drop = np.minimum(side * width / np.maximum(np.abs(cos), 0.05), (0.1 + look.length) / np.maximum(sin, 0.05))
    hair = np.where((look.length > 0) & (sin > 0), drop, short)
    wave = look.wave * np.sin(5 * np.arctan2(sin, cos) + look.phase)
    hair = np.where(look.bald, 0.01, hair + wave)
    lean = np.clip(cos + 0.5 * np.sin(scene.pose.yaw)[:, None], -1, 1)
    line = look.fringe + (face + 0.01 - look.fringe) * _smooth(0.35, 0.95, np.abs(lean) + 0.12 * look.parting * lean)
    line = np.where(sin > 0.1, 9, line + wave + 0.035 * look.parting * cos)
    curtain = (look.length > 0) & (sin > -0.35) & (sin < 0.75)
    line = np.where(curtain, np.minimum(line, face * (0.955 - 0.02 * look.parting * np.sign(cos))), line)
    line = np.where(look.bald, 9, line)
    fan = np.arctan2(sin, cos)
    strands = 0.5 + 0.25 * np.sin(23 * fan + look.phase) + 0.25 * np.sin(41 * fan + 2.3 * look.phase)
    return np.stack([hair, face, line, np.broadcast_to(strands, face.shape)], axis=0).astype(np.float32)


def _each(value: np.ndarray) -> np.ndarray:
    """One number a face, shaped to meet (n, h, w)."""
    return value.astype(np.float32)[:, None, None]


def _upright_grid(scene: Scene, size: int) -> tuple[np.ndarray, np.ndarray]:
    """(n, size, size) coordinates of the pixels in the upright frame."""
    pose = scene.pose
    centres = ((np.arange(size) + 0.5) / size).astype(np.float32) - 0.5
    cos, sin = np.cos(pose.roll) / pose.scale, np.sin(pose.roll) / pose.scale
    x, y = centres[None, None, :] - _each(pose.shift_x), centres[None, :, None] - _each(pose.shift_y)
    return x * _each(cos) + y * _each(sin), y * _each(cos) - x * _each(sin)


def _wall(scene: Scene, size: int) -> np.ndarray:
    """(n, 3, size, size): two colours mixed by a smooth random field."""
    place = np.linspace(0, 4, size, dtype=np.float32)
    hat = np.maximum(1 - np.abs(place[:, None] - np.arange(5)), 0).astype(np.float32)
    field = hat @ scene.look.wall_grain.reshape(-1, 5, 5) @ hat.T
    mix = np.clip(0.5 + 0.6 * field, 0, 1)[:, None]
    near, far = 0.92 * scene.look.wall[..., None, None], 0.92 * scene.look.wall_far[..., None, None]
    image = (far - near) * mix
    image += near
    return image


def _body(scene: Scene, image: np.ndarray) -> None:
    """Neck in the chin's shadow and the collar, along the lower edge."""
    n = len(image)
    tile = open_tile(image, np.full((n, 2), (0.5, 0.9), np.float32), 1.0, 0.26)
    middle = np.stack([0.5 + scene.pose.shift_x, np.full(n, 0.8, np.float32)], 1)
    paint(tile, disc(tile, middle, 0.22, 0.30), skin_colour(scene, 0.62 * scene.look.ambient + 0.1))
    collar = np.stack([middle[:, 0], np.full(n, 1.72, np.float32)], 1)
    paint(tile, disc(tile, collar, 1.05, 0.78), scene.look.clothes * 0.9)
    close_tile(image, tile)


def _ears(scene: Scene, image: np.ndarray) -> None:
    for outward, jaw in ((-1, [0, 1, 2]), (1, [16, 15, 14])):
        middle = scene.shape.outline[:, jaw].mean(1) + np.array([outward * 0.012, -0.01], np.float32)
        middle = to_picture(middle[:, None], scene.pose)[:, 0]
        tile = open_tile(image, middle, 0.14, 0.24)
        bare = per_face(scene.look.length < 0)
        light = np.clip(scene.look.ambient + 0.25 + 0.35 * outward * scene.look.light_x, 0.3, 1)
        paint(tile, disc(tile, middle, 0.040, 0.072) * bare, skin_colour(scene, light))
        shade(tile, 0.35 * disc(tile, middle, 0.018, 0.042) * bare)
        close_tile(image, tile)


def _whiskers(scene: Scene, image: np.ndarray, x: np.ndarray, y: np.ndarray, rim: np.ndarray) -> None:
    """Beard (along the jaw) and its colour; pictures without one are left alone."""
    rows = np.flatnonzero(scene.look.beard > 0)
    if len(rows) == 0:
        return
    mouth = scene.shape.landmarks[rows, 48:60].mean(1)
    tile = open_tile(image, mouth, 1.0, 1.0, rows)
    jaw = _smooth(0.02, 0.22, y[rows] - 0.30 + 0.75 * np.abs(x[rows])) * rim[rows]
    free = 1 - glow(tile, mouth, 0.13, 0.055)
    paint(tile, jaw.transpose(1, 2, 0) * free * per_face(scene.look.beard[rows]), scene.look.hair[rows] * 0.9)
    close_tile(image, tile)


def paint_head(scene: Scene, size: int) -> Float32[np.ndarray, "n 3 size size"]:
    """Everything behind the features, as colours in about [0, 1]."""
    x, y = _upright_grid(scene, size)
    bins = 8 * size
    radius = np.sqrt(x * x + y * y)
    bin_of = np.minimum((_pseudo_angle(x, y) * np.float32(bins / 4)).astype(np.intp), bins - 1)
    bin_of += (np.arange(len(x)) * bins)[:, None, None]
    hair, face, line, strands = (table.ravel().take(bin_of) for table in _tables(scene, bins))
    soft = np.float32(1.2 / size)

    image = _wall(scene, size)
    nx, ny = x / face, y / face
    light = light_at(scene, nx, ny, np.sqrt(np.maximum(1 - nx * nx - ny * ny, 0)))
    alpha = np.clip((hair - radius) / soft + 0.5, 0, 1)[:, None]
    tone = 0.42 + 0.42 * np.minimum(light, 1.2) + 0.22 * (strands - 0.5)
    image += alpha * (scene.look.hair[..., None, None] * tone[:, None] - image)
    _body(scene, image)
    _ears(scene, image)
    alpha = np.clip((face - radius) / soft + 0.5, 0, 1) * np.clip((line - radius) / soft + 0.5, 0, 1)
    image += alpha[:, None] * (skin_colour(scene, light) - image)
    _whiskers(scene, image, x, y, alpha)
    return image
