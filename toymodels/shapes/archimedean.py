"""The Archimedean solids: one vertex each, and the group of rotations (or of all symmetries) that makes the others."""

import functools

import numpy as np

from toymodels.arrays import Float

_GOLDEN, _ROOT = (1 + np.sqrt(5)) / 2, np.sqrt(2)
_TRIBONACCI = float(np.roots([1, -1, -1, -1])[0].real)  # t^3 = t^2 + t + 1
_SNUB = float(max(np.roots([1, 0, -2, -_GOLDEN]).real))  # x^3 = 2 x + golden

_CYCLE, _HALF_TURN = np.roll(np.eye(3), 1, axis=0), np.diag([-1.0, -1.0, 1.0])
_QUARTER_TURN = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
_FIFTH_TURN = np.array([[1, -_GOLDEN, 1 / _GOLDEN], [_GOLDEN, 1 / _GOLDEN, -1], [1 / _GOLDEN, 1, _GOLDEN]]) / 2
_INVERSION = -np.eye(3)

_TETRAHEDRAL = (_CYCLE, _HALF_TURN)
_OCTAHEDRAL = (_CYCLE, _QUARTER_TURN)
_ICOSAHEDRAL = (_CYCLE, _HALF_TURN, _FIFTH_TURN)

_SOLIDS = {
    "truncated tetrahedron": (12, _TETRAHEDRAL, (3, 1, 1)),
    "truncated cube": (24, _OCTAHEDRAL, (1, 1, _ROOT - 1)),
    "truncated octahedron": (24, _OCTAHEDRAL, (0, 1, 2)),
    "rhombicuboctahedron": (24, _OCTAHEDRAL, (1, 1, 1 + _ROOT)),
    "truncated cuboctahedron": (48, (*_OCTAHEDRAL, _INVERSION), (1, 1 + _ROOT, 1 + 2 * _ROOT)),
    "snub cube": (24, _OCTAHEDRAL, (1, 1 / _TRIBONACCI, _TRIBONACCI)),
    "icosidodecahedron": (30, _ICOSAHEDRAL, (0, 0, 1)),
    "truncated dodecahedron": (60, _ICOSAHEDRAL, (0, 1 / _GOLDEN, 2 + _GOLDEN)),
    "truncated icosahedron": (60, _ICOSAHEDRAL, (1, 0, 3 * _GOLDEN)),
    "rhombicosidodecahedron": (60, _ICOSAHEDRAL, (1, 1, _GOLDEN**3)),
    "truncated icosidodecahedron": (120, (*_ICOSAHEDRAL, _INVERSION), (1 / _GOLDEN, 1 / _GOLDEN, 3 + _GOLDEN)),
    "snub dodecahedron": (
        60,
        _ICOSAHEDRAL,
        (1 / _SNUB - _SNUB, -1, -(_SNUB * _GOLDEN + _GOLDEN**2 + _GOLDEN / _SNUB)),
    ),
}
ARCHIMEDEAN = {name: size for name, (size, _, _) in _SOLIDS.items()}
"""The number of vertices of each, but for the cuboctahedron, which is a root system too."""


@functools.cache
def archimedean(name: str) -> Float[np.ndarray, "vertices 3"]:
    """The vertices, as unit vectors: the orbit of one of them."""
    _, group, vertex = _SOLIDS[name]
    found = [np.asarray(vertex, float) / np.linalg.norm(vertex)]
    for v in found:  # grows as it is gone through
        for image in (turn @ v for turn in group):
            if np.min(np.abs(np.array(found) - image).max(axis=1)) > 1e-9:
                found.append(image)
    vertices = np.array(found)
    vertices.flags.writeable = False
    return vertices
