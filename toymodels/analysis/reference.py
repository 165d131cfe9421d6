"""Methods to compare a dictionary with, by scikit-learn: observations -> unit directions, one a row.

`count` directions are asked for; SVD, PCA and ICA have at most as many as the rank. Only NMF gives rays: the
others leave signs open, and `oriented` fixes them by the skewness of the projections. Needs the extra `reference`.
"""

import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from hashlib import blake2b
from typing import Any, TypeVar

import numpy as np
from scipy.stats import skew

from toymodels.analysis.recovery import unit
from toymodels.arrays import Array, Float

Observed = Float[Array, "examples d"]
Directions = Float[np.ndarray, "count d"]
Asked, Fitted = TypeVar("Asked"), TypeVar("Fitted")


Method = Callable[..., Float[np.ndarray, "count d"]]
_fits: dict[tuple[Any, ...], Float[np.ndarray, "count d"]] = {}


def remembered(method: Method) -> Method:
    """The method, which gives what it gave in this process before where it is asked for the same again: other settings
    of an experiment often have the same observations."""

    @wraps(method)
    def fitted(h: Observed, *asked: Any, **options: Any) -> Float[np.ndarray, "count d"]:
        values = np.ascontiguousarray(h)
        about = method.__name__, values.shape, values.dtype.str, asked, tuple(sorted(options.items()))
        key = blake2b(values.tobytes()).digest(), *about
        if key not in _fits:
            _fits[key] = method(values, *asked, **options)
        return _fits[key].copy()

    return fitted


def svd(h: Observed, count: int, seed: int = 0) -> Directions:
    """Right singular vectors of the observations as they are, without their mean taken out."""
    vectors = np.linalg.svd(np.asarray(h, np.float64), full_matrices=False)[2]
    return vectors[:count]


def pca(h: Observed, count: int, seed: int = 0) -> Directions:
    """Principal components: right singular vectors of the centred observations."""
    h = np.asarray(h, np.float64)
    return np.linalg.svd(h - h.mean(axis=0), full_matrices=False)[2][:count]


@remembered
def ica(h: Observed, count: int, seed: int = 0) -> Directions:
    """FastICA (log cosh): columns of the mixing matrix. Hyvärinen & Oja 2000."""
    from sklearn.decomposition import FastICA  # an extra, and slow to import

    kept = min(count, np.asarray(h).shape[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not converged: what it gives is judged as it is
        found = FastICA(kept, whiten="unit-variance", max_iter=400, tol=1e-4, random_state=seed).fit(np.asarray(h))
    return unit(found.mixing_.T)


@remembered
def nmf(h: Observed, count: int, seed: int = 0) -> Directions:
    """Non-negative matrix factorisation of h less its minimum, coordinate by coordinate. Lee & Seung 1999.

    The shift makes any observations admissible; it changes nothing where the least of every coordinate is 0 already.
    """
    from sklearn.decomposition import NMF

    h = np.asarray(h, np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = NMF(count, init="random", max_iter=300, random_state=seed).fit(h - h.min(axis=0))
    return unit(found.components_)


@remembered
def dictionary_learning(h: Observed, count: int, seed: int = 0, penalty: float = 0.2, passes: int = 6) -> Directions:
    """Online dictionary learning, |h - c D|²/2 + penalty |c|_1, with codes by coordinate descent. Mairal et al. 2009.

    Codes may be negative, so directions are lines. (Orthogonal matching pursuit gives the codes of a dictionary that is
    learned, not those that it is learned with.)
    """
    from sklearn.decomposition import MiniBatchDictionaryLearning

    learner = MiniBatchDictionaryLearning(
        count,
        alpha=penalty,
        max_iter=passes,
        batch_size=128,
        tol=0,
        max_no_improvement=None,
        fit_algorithm="cd",  # the optimum of least angles, in a fifth of the time
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return unit(learner.fit(np.asarray(h, np.float64)).components_)


@remembered
def kmeans(h: Observed, count: int, seed: int = 0) -> Float[np.ndarray, "count d"]:
    """Centres of k-means, at their own lengths: a dictionary of which one latent is on. Mini-batches, Sculley 2010."""
    from sklearn.cluster import MiniBatchKMeans
    from threadpoolctl import threadpool_limits

    h = np.asarray(h, np.float64)
    with threadpool_limits(1):  # threads take longer to meet than to work, where others work as well
        found = MiniBatchKMeans(min(count, len(h)), n_init=1, random_state=seed).fit(h)
    return np.asarray(found.cluster_centers_)


def oriented(directions: Float[Array, "count d"], h: Observed) -> Directions:
    """Each direction or its opposite: the one along which the observations have positive skewness."""
    rows = unit(directions)
    signs = np.where(np.nan_to_num(skew(np.asarray(h, np.float64) @ rows.T, axis=0)) < 0, -1.0, 1.0)
    return rows * signs[:, None]


def side_by_side(fit: Callable[[Asked], Fitted], asked: Iterable[Asked]) -> list[Fitted]:
    """`fit` of each that is asked for, in their order, on as many threads as cores, each with one thread of its own.

    What a method sets for the whole process while it works - warnings, threads - is set once around all of them here.
    """
    from joblib import Parallel, delayed
    from threadpoolctl import threadpool_limits

    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")
        return list(Parallel(n_jobs=-1, prefer="threads")(delayed(fit)(each) for each in asked))


METHODS: Mapping[str, Method] = {
    "uncentred SVD": svd,
    "PCA": pca,
    "ICA": ica,
    "NMF": nmf,
    "dictionary learning": dictionary_learning,
}
