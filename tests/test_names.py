"""What is amiss in a loss, a law, a model or a problem of one's own is one sentence, before anything is compiled."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from toymodels import Adam, Axis, Run, Sparse, Supervised, Sweep, Tied, sweep, train
from toymodels.config import config, static
from toymodels.data import Constant, Exponential, Noisy, Uniform
from toymodels.engine.programs import programs_compiled
from toymodels.laws import per_feature
from toymodels.models import Held
from toymodels.problems.protocol import check_numbers

LAW, MODEL = Sparse(5, 0.1), Tied(2)


@config
class One:
    def __call__(self, prediction):
        return jnp.sum(prediction)


@config
class Choosing:
    def __call__(self, prediction, target):
        return jnp.sum(prediction) if prediction[0] > 0 else jnp.sum(target)


@config
class Turned:
    """Features before examples."""

    n: int = static(default=5)

    def sample(self, key, batch):
        return jax.random.uniform(key, (self.n, batch))

    def marginals(self):
        return jnp.ones(self.n)

    def mean(self):
        return jnp.ones(self.n) / 2

    def second_moment(self):
        return jnp.eye(self.n)


@config
class Loose:
    """Its size is a leaf."""

    m: int = 2

    def init(self, key, n):
        return nnx.Linear(n, self.m, rngs=nnx.Rngs(key))


@config
class Short:
    """Its second moment is that of three features."""

    n: int = static(default=5)

    def sample(self, key, batch):
        return jax.random.uniform(key, (batch, self.n))

    def marginals(self):
        return jnp.ones(self.n)

    def mean(self):
        return jnp.ones(self.n) / 2

    def second_moment(self):
        return jnp.eye(3)


@config
class Unlikely(Sparse):
    """States twice what it draws, which may be above 1."""

    def marginals(self):
        return 2 * per_feature(self.p, self.n)


@config
class Rising:
    """Density 2x on (0, 1): mean 2/3, second moment 1/2."""

    second: float = 0.5
    mean: float = 2 / 3

    def quantile(self, q):
        return jnp.sqrt(q)

    def moments(self):
        return self.mean, self.second


@config
class HeavyTailed:
    """x > 1 / s with probability s^(1 / .45): a second moment of ten, most of it where quantiles are few."""

    def quantile(self, q):
        return (1 - q) ** -0.45

    def moments(self):
        return 1 / 0.55, 10.0


@pytest.mark.parametrize("value", [Rising(), Rising(0.505), HeavyTailed(), Uniform(-2, 1), Exponential(3), Constant(0)])
def test_moments_of_a_law_are_those_of_its_quantiles(value) -> None:
    check_numbers(Supervised(Noisy(Sparse(5, 0.1, value), 0.1), MODEL))


class Scaled(nnx.Module):
    def __init__(self, n, config, rngs):
        self.layer = nnx.Linear(n, n, rngs=rngs)
        self.scale = {"attribute": config.scale, "variable": nnx.Variable(config.scale)}.get(
            config.kept, nnx.static(Held(config))
        )
        self.kept = config.kept

    def __call__(self, x):
        return self.layer(x) * (self.scale.config.scale if self.kept == "held" else self.scale)


@config
class Scaling:
    """A model that needs a number of its config when it is called."""

    kept: str = static(default="held")
    scale: float = 1.0

    def init(self, key, n):
        return Scaled(n, self, nnx.Rngs(key))


def test_a_number_that_is_held_sweeps_and_is_not_learned() -> None:
    run = Run(Supervised(Sparse(5, 0.1), Scaling()), Adam(0.1), steps=5, batch=5)
    data = sweep(Sweep(run, [Axis("scale", "problem.model.scale", [0.5, 2.0])]))
    first = data.objective.isel(step=0)
    assert first[0] != first[1]
    assert {"layer.kernel", "layer.bias"} < set(data.data_vars)
    assert "scale" not in data.data_vars


@config
class Plain:
    """A model that is started by its key alone, of a problem that knows how."""

    def init(self, key):
        return {"V": jax.random.normal(key, (5, 2))}


@config
class Own:
    data: Sparse = Sparse(5, 0.1)
    model: Plain = Plain()
    dims: ClassVar = {}

    def init(self, key):
        return self.model.init(key)

    def sample(self, key, batch):
        return self.data.sample(key, batch)

    def objective(self, params, example):
        return jnp.sum((example @ params["V"]) ** 2)


def test_a_model_of_another_kind_is_left_alone() -> None:
    assert train(Run(Own(), Adam(0.1), steps=5, batch=5)).objective.notnull().all()


@config
class Named:
    """A problem with dims or an objective of a wrong kind."""

    kind: str = static(default="few")

    @property
    def dims(self):
        return {"V": {"few": ("a",), "word": "ab"}.get(self.kind, ("a", "b"))}

    def init(self, key):
        return {"V": jax.random.normal(key, (3, 2))}

    def objective(self, params, example):
        return {"vector": params["V"][0], "nothing": None}.get(self.kind, jnp.sum(params["V"] ** 2))


@pytest.mark.parametrize(
    ("problem", "sentence"),
    [
        (lambda: Named("vector"), r"gives numbers of shape \(2,\), and has to be one number"),
        (lambda: Named("nothing"), "gives nothing, and has to be one number"),
        (lambda: Supervised(LAW, MODEL, One()), "takes 2 positional arguments but 3 were given"),
        (lambda: Supervised(LAW, MODEL, Choosing()), r"test_names.py:\d+: a number is needed that is not known"),
        (
            lambda: Supervised(Turned(5), MODEL),
            r"Turned: sample.* gives shape \(5, 2\), and the batch has to come first",
        ),
        (
            lambda: Supervised(Sparse(5, 0.1, Rising(1 / 3)), MODEL),
            "Rising: moments.* states mean 0.6667 and second moment 0.3333, .* have mean 0.6667 and second moment 0.5",
        ),
        (lambda: Supervised(Unlikely(5, 0.7), MODEL), r"Unlikely: marginals\(\) states 1.4, which is no probability"),
        (lambda: Supervised(Noisy(Sparse(5, 0.1, Rising(mean=0.5)), 0.1), MODEL), "Rising: .* states mean 0.5 and"),
        (lambda: Supervised(Short(), MODEL), r"Short: second_moment.* gives shape \(3, 3\), and for n=5 "),
        (
            lambda: Supervised(LAW, Scaling("attribute")),
            r"Scaled: scale is a number, .*Held",
        ),
        (lambda: Supervised(LAW, Scaling("variable")), r"scale is a Variable, and only an nnx.Param is learned"),
        (lambda: Supervised(LAW, Loose()), r"test_names.py:\d+: a number is needed .* declare `static`"),
        (lambda: Named(), r"dims names 1 axes of V, whose shape is \(3, 2\)"),
        (lambda: Named("word"), "dims of V is a word, 'ab'"),
    ],
)
def test_what_is_amiss_is_one_sentence(problem, sentence: str) -> None:
    compiled = programs_compiled()
    with pytest.raises(ValueError, match=sentence) as error:
        train(Run(problem(), Adam(0.1), steps=5, batch=5))
    assert "\n" not in str(error.value)
    assert programs_compiled() == compiled
