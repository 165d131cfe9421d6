"""A config is a value and a pytree: what is equal hashes, travels and compiles alike; what is wrong is one sentence."""

import copy
import dataclasses
import json
import pickle
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toymodels.config import as_leaf, config, digest, from_dict, get, paths, replace, stack, static, substitute, to_dict
from toymodels.data import Anticorrelated, Constant, Correlated, Exponential, Noisy, OneSparse, Sparse, Uniform
from toymodels.laws import Geometric, PowerLaw
from toymodels.losses import PowerError, SoftmaxCrossEntropy, SquaredError
from toymodels.models import Relu, Tied, Untied
from toymodels.optimizers import AdamW, Cosine, Momentum, Sgd
from toymodels.problems.factorize import Components, Factorize, Gaussian, Given
from toymodels.problems.packing import Packing
from toymodels.problems.supervised import Supervised
from toymodels.train import Record, Run


class Recipe(NamedTuple):
    """A config yet to be built: strategies must not build them, as the checks of signatures draw random numbers."""

    cls: Any
    args: tuple[Any, ...]
    named: dict[str, Any]

    def build(self) -> Any:
        def built(value: Any) -> Any:
            return value.build() if isinstance(value, Recipe) else value

        return self.cls(*map(built, self.args), **{name: built(value) for name, value in self.named.items()})


def later(cls: Any, *args: Any, **named: Any) -> Any:
    return st.builds(Recipe, st.just(cls), st.tuples(*args), st.fixed_dictionaries(named))


probabilities = st.floats(1e-6, 1)
laws = st.one_of(
    probabilities,
    later(Geometric, st.floats(0.1, 1), probabilities),
    later(PowerLaw, st.floats(0, 3), probabilities),
    st.tuples(probabilities, probabilities, probabilities, probabilities),
)
values = st.one_of(
    later(Uniform, st.floats(-3, 0), st.floats(0.5, 3)),
    later(Constant, st.floats(-3, 3)),
    later(Exponential, st.floats(0.1, 3)),
)
clean = st.one_of(
    later(Sparse, st.just(4), laws, values),
    later(OneSparse, st.just(4), values),
    later(Correlated, st.just(2), st.just(2), probabilities, values),
    later(Anticorrelated, st.just(2), st.just(2), st.floats(1e-6, 0.5), values),
)
data = st.one_of(clean, later(Noisy, clean, st.floats(0, 1)))
losses = st.one_of(later(SquaredError, laws), later(PowerError, st.floats(1, 6)))
models = st.one_of(later(Tied, st.integers(1, 5), scale=st.floats(0, 2)), later(Untied, st.just(2), st.just(Relu())))
matrices = st.lists(st.lists(st.floats(-5, 5, width=32), min_size=4, max_size=4), min_size=3, max_size=3)
targets = st.one_of(
    later(Given, matrices),
    later(Components, st.just(3), st.just(4), st.integers(1, 3), st.floats(0, 9), st.integers(0, 99)),
    later(Gaussian, st.just(3), st.just(4), st.integers(1, 3), st.integers(0, 99)),
)
problems = st.one_of(
    later(Supervised, data, models, losses),
    later(Factorize, targets, st.just(3), st.sampled_from([None, 1, 3]), data=st.one_of(st.none(), data)),
    later(Packing, st.integers(2, 9), st.integers(1, 9), st.floats(1, 9), st.booleans()),
)
rates = st.one_of(st.floats(1e-6, 1), later(Cosine, st.floats(1e-6, 1), st.floats(0, 0.5)))
optimizers = st.one_of(later(Sgd, rates), later(Momentum, rates), later(AdamW, rates, st.floats(0, 1)))
runs = later(Run, problems, optimizers, st.integers(1, 10**6), st.integers(1, 4096), st.integers(0, 2**31 - 1))


@given(runs)
def test_a_config_survives_json_pickle_copies_and_the_tree(recipe: Recipe) -> None:
    """Equal to itself after each, with an equal hash and the same address."""
    run = recipe.build()
    leaves, treedef = jax.tree.flatten(run)
    for other in (
        from_dict(json.loads(json.dumps(to_dict(run)))),
        pickle.loads(pickle.dumps(run)),
        copy.deepcopy(run),
        jax.tree.unflatten(treedef, leaves),
        replace(run, {}),
    ):
        assert other == run
        assert hash(other) == hash(run)
        assert digest(other, 1) == digest(run, 1)
        assert jax.tree.structure(other) == treedef


@given(runs)
def test_every_path_can_be_read_and_set(recipe: Recipe) -> None:
    """Setting each path to what is there changes nothing, one at a time or all at once."""
    run = recipe.build()
    everything = dict(paths(run))
    assert all(get(run, path) is value for path, value in everything.items())
    assert all(replace(run, {path: value}) == run for path, value in everything.items())
    assert replace(run, everything) == run


@given(runs, st.data())
def test_cells_of_different_leaves_have_different_addresses(recipe: Recipe, draw: Any) -> None:
    """A leaf moved by one float32 step, or an integer by one, is another cell; by less than half a step, the same."""
    run = recipe.build()
    leaves, treedef = jax.tree.flatten(run)
    place = draw.draw(st.integers(0, len(leaves) - 1))
    leaf = leaves[place]
    if isinstance(leaf, np.ndarray):
        return
    other = leaf + 1 if isinstance(leaf, int) else float(np.nextafter(np.float32(leaf), np.float32(np.inf)))
    changed = jax.tree.unflatten(treedef, [*leaves[:place], other, *leaves[place + 1 :]])
    assert digest(changed, 1) != digest(run, 1)
    if isinstance(leaf, float):
        rounded = jax.tree.unflatten(treedef, [*leaves[:place], float(np.float32(leaf)), *leaves[place + 1 :]])
        assert digest(rounded, 1) == digest(run, 1)
    assert digest(run, 2) != digest(run, 1)


@given(st.floats(-1e6, 1e6, width=32), st.integers(-(2**31), 2**31 - 1))
def test_the_type_of_a_number_does_not_matter(value: float, whole: int) -> None:
    """Python, numpy, JAX and 0-d arrays of a number make one config, with one address."""
    kinds = [float, np.float32, np.float64, np.array, jnp.float32]
    made = [Constant(kind(value)) for kind in kinds]  # type: ignore[operator]
    assert len(set(made)) == len({digest(each, 1) for each in made}) == 1
    ints = [int, np.int64, np.int32, np.array, jnp.int32, float]
    seeds = [PositiveOrNot(kind(whole)) for kind in ints]  # type: ignore[operator]
    assert len(set(seeds)) == len({digest(each, 1) for each in seeds}) == 1
    assert all(type(each.seed) is int for each in seeds)


@config
class PositiveOrNot:
    """A config of one integer, whatever its sign."""

    seed: int


def test_lists_arrays_and_tuples_are_one_law() -> None:
    ps = [0.5, 0.25, 1.0]
    made = [Sparse(3, kind(ps)) for kind in (list, tuple, np.array, jnp.array)]  # type: ignore[operator]
    assert len(set(made)) == len({digest(each, 1) for each in made}) == 1


def test_zero_has_no_sign() -> None:
    assert digest(Constant(0.0), 1) == digest(Constant(-0.0), 1)
    assert Constant(0.0) == Constant(-0.0)


@given(matrices)
def test_a_matrix_of_any_kind_is_one_target(rows: list[list[float]]) -> None:
    made = [Given(kind(rows)) for kind in (list, tuple, np.float32, np.float64, jnp.asarray)]  # type: ignore[operator]
    assert len(set(made)) == len({digest(each, 1) for each in made}) == 1
    assert made[0].values.dtype == np.float32


def test_a_given_matrix_cannot_be_changed_from_outside() -> None:
    matrix = np.eye(3, dtype=np.float32)
    given_matrix = Given(matrix)
    before = digest(given_matrix, 1)
    matrix[0, 0] = 7
    assert digest(given_matrix, 1) == before
    with pytest.raises(ValueError, match="read-only"):
        given_matrix.values[0, 0] = 7


def test_configs_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Sparse(3).n = 4  # type: ignore[misc]


def test_leaves_sweep_and_statics_compile() -> None:
    """Cells that differ in leaves share a treedef; n, m, steps, classes do not."""
    run = Run(Supervised(Sparse(5, 0.1), Tied(2), PowerError(2.0)), Sgd(0.1))
    same = replace(
        run,
        {"problem.data.p": 0.9, "problem.loss.power": 4, "optimizer.lr": 1, "seed": 3, "problem.model.bias": -1},
    )
    assert jax.tree.structure(run) == jax.tree.structure(same)
    others: list[dict[str, Any]] = [
        {"problem.model.m": 3},
        {"problem.data.n": 6},
        {"steps": 5},
        {"problem.loss": SquaredError()},
        {"optimizer": Momentum(0.1)},
        {"problem.data.p": (0.1,) * 5},
        {"record": Record(7)},
    ]
    assert len({jax.tree.structure(replace(run, other)) for other in others} | {jax.tree.structure(run)}) == 8


def test_one_trace_for_a_stack() -> None:
    """Numbers of any kind give one trace, and `stack` puts cells on a leading axis."""
    traces = []

    @jax.jit
    def mean(data: Sparse) -> jax.Array:
        traces.append(data)
        return data.mean()

    cells = [Sparse(3, p) for p in (1, 0.5, np.float32(0.25))]
    for cell in cells:
        mean(jax.tree.map(as_leaf, cell))
    assert len(traces) == 1
    np.testing.assert_allclose(jax.vmap(mean)(stack(cells))[:, 0], [0.5, 0.25, 0.125])


def test_several_changes_meet_one_check() -> None:
    """Fields that are only valid together can be set together."""
    packed = Factorize(Components(4, 4, 4), 2)
    assert replace(packed, {"components": 6, "rank": 5}).rank == 5
    assert replace(packed, {"rank": 5, "components": 6}).rank == 5
    with pytest.raises(ValueError, match="learned rank"):
        replace(packed, {"rank": 5})
    smaller = replace(packed, {"target": Components(3, 3, 1), "target.rank": 3, "target.n": 5})
    assert smaller.target == Components(5, 3, 3)


def test_substitute_checks_nothing() -> None:
    assert substitute(Sparse(3, 0.5), p=7.0).p == 7.0


WRONG: list[tuple[Any, str]] = [
    (lambda: Sparse(3, 1.3), "p=1.3: an activation probability lies in (0, 1]"),
    (lambda: Sparse(3, 0), "p=0: an activation probability lies in (0, 1]"),
    (lambda: Sparse(3, -1), "p=-1: an activation probability lies in (0, 1]"),
    (lambda: Sparse(3, float("nan")), "Sparse.p=nan: expected a finite number"),
    (lambda: Sparse(3, 1e39), "Sparse.p=1e+39: expected a finite number"),
    (lambda: Sparse(3, 10**400), "expected a finite number"),
    (lambda: Sparse(3, True), "Sparse.p=True: expected a finite number"),
    (lambda: Sparse(3, np.bool_(True)), "expected a finite number"),
    (lambda: Sparse(3, "0.1"), "Sparse.p='0.1': expected a finite number"),
    (lambda: Sparse(3, 1j), "expected a finite number"),
    (lambda: Sparse(3, None), "expected a finite number"),
    (lambda: Sparse(3, (0.1, 0.2)), "p has 2 values for 3 features"),
    (lambda: Sparse(3, ()), "p has 0 values for 3 features"),
    (lambda: Sparse(3, [[0.1, 0.2, 0.3]]), "expected a finite number"),
    (lambda: Sparse(3, (0.1, 0.2, 1.2)), "p=1.2: an activation probability"),
    (lambda: Sparse(3, PowerLaw(1, 1.5)), "p=1.5: an activation probability"),
    (lambda: Sparse(0), "n=0: at least 1"),
    (lambda: Sparse(-2), "n=-2: at least 1"),
    (lambda: Sparse(2.5), "Sparse.n=2.5: expected an integer"),
    (lambda: Sparse(float("nan")), "Sparse.n=nan: expected an integer"),
    (lambda: Sparse(float("inf")), "Sparse.n=inf: expected an integer"),
    (lambda: Sparse(2**40), "expected an integer"),
    (lambda: Sparse(True), "expected an integer"),
    (lambda: Sparse(3, 0.1, "uniform"), "Sparse.value='uniform': expected a"),
    (lambda: OneSparse(0), "n=0: at least 1"),
    (lambda: Correlated(0, 2, 0.1), "sets=0: at least 1"),
    (lambda: Anticorrelated(2, 4, 0.3), "each has p <= 0.25"),
    (lambda: Anticorrelated(2, 2), "p=0: an activation probability"),
    (lambda: Anticorrelated.of_set(2, 2, 1.5), "p=1.5: an activation probability"),
    (lambda: Noisy(Sparse(2), -1), "scale=-1: a noise scale is not negative"),
    (lambda: Noisy(Noisy(Sparse(2), 1), 1), "clean"),
    (lambda: Uniform(1, 1), "low < high"),
    (lambda: Exponential(0), "mean=0: an exponential law has a mean above 0"),
    (lambda: Geometric(0), "a geometric law decays with a ratio in (0, 1]"),
    (lambda: Geometric(1.1), "a geometric law decays with a ratio in (0, 1]"),
    (lambda: Geometric(0.5, 0), "a law starts above 0"),
    (lambda: PowerLaw(-1), "exponent >= 0"),
    (lambda: SquaredError(-1), "importance=-1: an importance is not negative"),
    (lambda: SquaredError((1, -1)), "importance=-1: an importance is not negative"),
    (lambda: SquaredError(()), "importance has 0 values for 1 features"),
    (lambda: PowerError(0.5), "power=0.5: a loss |error|^power needs power >= 1"),
    (lambda: Tied(0), "m=0: a hidden layer has at least one unit"),
    (lambda: Untied(2, scale=-1), "scale=-1: an initial scale is not negative"),
    (lambda: Tied(2, output="relu"), "Tied.output='relu': expected a"),
    (lambda: Sgd(0), "lr=0: a learning rate is above 0"),
    (lambda: Sgd(1e-50), "lr=1e-50: a learning rate is above 0"),
    (lambda: Momentum(0.1, 1), "decay=1.0: a decay rate lies in [0, 1)"),
    (lambda: AdamW(0.1, b2=1 - 1e-9), "b2=0.999999999: a decay rate lies in [0, 1)"),
    (lambda: AdamW(0.1, eps=0), "eps=0: Adam divides by it"),
    (lambda: AdamW(0.1, weight_decay=-1), "weight_decay=-1: a weight decay is not negative"),
    (lambda: Cosine(0.1, warmup=1), "warmup=1: a fraction, in [0, 1)"),
    (lambda: Cosine(-1), "lr=-1: a learning rate is above 0"),
    (lambda: Components(0, 3), "a matrix has at least one row and one column"),
    (lambda: Components(3, 3, 4), "rank=4: a 3 x 3 matrix has a rank in 1..3"),
    (lambda: Components(3, 3, 3, (1, 2)), "spectrum has 2 values: a target of rank 3 takes 3..3"),
    (lambda: Components(3, 3, 1, -1), "spectrum=-1: a singular value is not negative"),
    (lambda: Components(3, 3, seed=-1), "seed=-1: an integer in 0..2^31 - 1"),
    (lambda: Gaussian(3, 3, 0), "rank=0"),
    (lambda: Given([1, 2]), "values of shape (2,): a target matrix has rows and columns"),
    (lambda: Given([[]]), "values of shape (1, 0): a target matrix has rows and columns"),
    (lambda: Given([[1, 2], [3]]), "expected an array of numbers"),
    (lambda: Given([["a"]]), "expected an array of numbers"),
    (lambda: Given([[float("nan")]]), "the entries of a target matrix are finite numbers"),
    (lambda: Given([[1e300]]), "the entries of a target matrix are finite numbers"),
    (lambda: Factorize(Components(3, 3), 0), "rank=0: the learned rank lies in 1..components=0"),
    (lambda: Factorize(Components(3, 3), 2, 3), "rank=3: the learned rank lies in 1..components=2"),
    (lambda: Factorize(Components(3, 3), scale=-1), "scale=-1: an initial scale is not negative"),
    (lambda: Factorize(Components(3, 4), data=Sparse(3)), "data has 3 features for a target with 4 columns"),
    (lambda: Factorize(Components(3, 4), loss=SquaredError((1, 1, 1))), "importance has 3 values for 4 outputs"),
    (lambda: Packing(1, 3), "a packing needs two vectors"),
    (lambda: Packing(3, 3, 0.5), "needs power >= 1"),
    (lambda: Supervised(Sparse(3), Tied(2), SquaredError((1, 1))), "importance has 2 values for 3 features"),
    (lambda: Run(Packing(3, 3), seed=-1), "seed=-1: an integer in 0..2^31 - 1"),
    (lambda: Run(Packing(3, 3), seed=2**31), "expected an integer"),
    (lambda: Run(Packing(3, 3), optimizer="adam"), "Run.optimizer='adam': expected a"),
    (lambda: Run(Sparse(3)), "expected a Problem, but Sparse has no dims and no init and no objective"),
    (lambda: Run(Packing), "expected a Problem, and this is the class: Packing(...) makes one"),
    (lambda: Run(None), "Run.problem=None: expected a Problem"),
    (lambda: Supervised(Relu(), Tied(2)), "expected a Distribution, but Relu has no n and no sample and no marginals"),
    (lambda: Supervised(Sparse(3), Tied(2), abs), "expected a Loss, but builtin_function_or_method is not a config"),
    (lambda: replace(Run(Packing(3, 3)), {"problem.pwer": 1}), "did you mean power"),
    (lambda: replace(Run(Packing(3, 3)), {"": 1}), "Run has no such field"),
    (lambda: replace(Run(Packing(3, 3)), {"seed.x": 1}), "seed.x: seed is 0, which has no fields"),
    (lambda: replace(Run(Packing(3, 3)), {"problem..x": 1}), "Packing has no such field"),
    (lambda: get(Run(Packing(3, 3)), "problem.n.x"), "int has no such field"),
    (lambda: from_dict({"type": "toymodels.gone:Gone"}), "this config class cannot be imported"),
    (lambda: from_dict({"type": "json:loads"}), "not a config class"),
    (lambda: from_dict({"n": 3}), "this config class cannot be imported"),
    (lambda: from_dict({**to_dict(Packing(3, 3)), "more": 1}), "these are not its fields"),
]


@pytest.mark.parametrize(("build", "sentence"), WRONG, ids=[sentence for _, sentence in WRONG])
def test_wrong_values_are_one_sentence(build: Any, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  (the sentence is compared below)
        build()
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


def test_digests_are_kept_and_not_taken_along() -> None:
    """Worked out once for each object and version; a copy that is pickled works out its own."""
    run = Run(Packing(3, 3))
    assert digest(run, 1) is digest(run, 1) != digest(run, 2)
    for twin in (pickle.loads(pickle.dumps(run)), copy.copy(run), copy.deepcopy(run), replace(run, {})):
        assert twin == run
        assert vars(twin).keys() == {field.name for field in dataclasses.fields(run)}
        assert digest(twin, 1) == digest(run, 1)


def test_a_config_may_extend_another() -> None:
    @config
    class Rare(Sparse):
        factor: float = 0.1

    assert Rare(5, 0.1, factor=1).factor == 1.0
    assert isinstance(Rare(np.int64(5), 0.1).n, int)
    with pytest.raises(ValueError, match=r"Rare.factor='a': expected a finite number"):
        Rare(5, 0.1, factor="a")


def test_nothing_is_checked_inside_a_trace() -> None:
    """JAX rebuilds configs around tracers, placeholders and cotangents."""
    gradient = jax.grad(lambda data: data.mean().sum())(Sparse(3, 0.5))
    assert isinstance(gradient, Sparse)
    assert float(gradient.p) == pytest.approx(1.5)
    assert jax.tree.map(lambda leaf: None, Sparse(3, 0.5)).p is None


def test_static_configs_are_part_of_the_treedef() -> None:
    @config
    class Holder:
        inner: SoftmaxCrossEntropy = static(default=SoftmaxCrossEntropy())
        number: float = 0.0

    assert jax.tree.leaves(Holder()) == [0.0]
    assert jax.tree.structure(Holder()) == jax.tree.structure(Holder(number=3.0))


def test_a_library_class_counts_the_changes_of_its_own_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    before = [digest(Run(problem), 1) for problem in (Packing(4, 2), Supervised(Sparse(4), Tied(2)))]
    monkeypatch.setattr(Packing, "numerics", Packing.numerics + 1)
    after = [digest(Run(problem), 1) for problem in (Packing(4, 2), Supervised(Sparse(4), Tied(2)))]
    assert before[0] != after[0]
    assert before[1] == after[1]
