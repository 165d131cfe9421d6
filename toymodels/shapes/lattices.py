"""Binary codes and the shortest vectors of lattices, in coordinates: what the sharp spherical codes are cut from.

Conway & Sloane, Sphere Packings, Lattices and Groups, chapters 3, 4 and 5.
"""

import functools
import itertools

import numpy as np

from toymodels.arrays import Float, Int


@functools.cache
def golay_code() -> Int[np.ndarray, "4096 24"]:
    """The words of the extended binary Golay code: 759 of them, the octads, have weight 8."""
    generator = [1 if power in (0, 1, 5, 6, 7, 9, 11) else 0 for power in range(23)]
    rows = np.array([np.roll(generator, shift) for shift in range(12)])
    rows = np.column_stack([rows, rows.sum(axis=1) % 2])
    return np.array(list(itertools.product((0, 1), repeat=12))) @ rows % 2


def octads() -> Int[np.ndarray, "759 24"]:
    """The Steiner system S(5, 8, 24): two octads meet in 0, 2 or 4 points."""
    words = golay_code()
    return words[words.sum(axis=1) == 8]


def nordstrom_robinson_code() -> Int[np.ndarray, "256 16"]:
    """Words of length 16 at distances 6, 8, 10 and 16: those of the Golay code with at most one of seven points on."""
    words = golay_code()
    octad = np.flatnonzero(octads()[0])
    kept = words[words[:, octad[:7]].sum(axis=1) <= 1]
    return np.delete(kept, octad, axis=1)


def signed_words(words: Int[np.ndarray, "words length"]) -> Int[np.ndarray, "vectors length"]:
    """Each word of weight 8 with every even number of its ones turned to -1: 128 vectors a word."""
    even = np.array([signs for signs in itertools.product((1, -1), repeat=8) if np.prod(signs) == 1])
    vectors = np.zeros((len(words), len(even), words.shape[1]), int)
    for block, word in zip(vectors, words, strict=True):
        block[:, np.flatnonzero(word)] = even
    return vectors.reshape(-1, words.shape[1])


def d_roots(n: int) -> Int[np.ndarray, "roots n"]:
    """±e_i ± e_j, i < j: 2 n (n - 1)."""
    roots = np.zeros((n * (n - 1) // 2, 4, n), int)
    for block, (i, j) in zip(roots, itertools.combinations(range(n), 2), strict=True):
        block[:, [i, j]] = [(1, 1), (1, -1), (-1, 1), (-1, -1)]
    return roots.reshape(-1, n)


def e8_roots() -> Int[np.ndarray, "240 8"]:
    """2 (±e_i ± e_j) and (±1, .., ±1) with an even number of signs -."""
    return np.concatenate([2 * d_roots(8), signed_words(np.ones((1, 8), int))])


def barnes_wall_vectors() -> Int[np.ndarray, "4320 16"]:
    """2 (±e_i ± e_j), and ±1 on the 30 words of weight 8 of the Reed-Muller code RM(1, 4), evenly many -1."""
    points = np.array(list(itertools.product((0, 1), repeat=4)))
    linear = points @ points.T % 2
    words = np.concatenate([linear, 1 - linear])
    return np.concatenate([2 * d_roots(16), signed_words(words[words.sum(axis=1) == 8])])


def leech_vectors() -> Int[np.ndarray, "196560 24"]:
    """4 (±e_i ± e_j); ±2 on octads, an even number -2; (-3, 1, .., 1) with the signs of a word of the Golay code."""
    signs = 1 - 2 * golay_code()
    threes = np.ones((24, 24), int) - 4 * np.eye(24, dtype=int)
    return np.concatenate(
        [4 * d_roots(24), 2 * signed_words(octads()), (signs[:, None] * threes).reshape(-1, 24)], dtype=int
    )


def hexacosichoron() -> Float[np.ndarray, "120 4"]:
    """The 600-cell: ±e_i, (±1, ±1, ±1, ±1) / 2 and the even permutations of (±golden, ±1, ±1/golden, 0) / 2."""
    golden = (1 + np.sqrt(5)) / 2
    even = [p for p in itertools.permutations(range(4)) if np.linalg.det(np.eye(4)[list(p)]) > 0]
    signs = np.array(list(itertools.product((1, -1), repeat=3)))
    corners = np.column_stack([signs * (golden, 1, 1 / golden), np.zeros(8)])
    halves = np.array(list(itertools.product((1.0, -1.0), repeat=4)))
    permuted = np.concatenate([corners[:, list(order)] for order in even])
    return np.concatenate([2 * np.eye(4), -2 * np.eye(4), halves, permuted]) / 2
