"""What is amiss in a loss, a law, a model or a problem of one's own is one sentence, before anything is compiled."""

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from toymodels import Adam, Run, Sparse, Supervised, Tied, train
from toymodels.config import config, static
from toymodels.engine.loop import programs_compiled


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


LAW, MODEL = Sparse(5, 0.1), Tied(2)


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
