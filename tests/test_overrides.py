"""Overrides: what can be written, what it becomes, and one sentence for the rest."""

import ast
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import AUTOENCODER, autoencoders, packings
from toymodels import Axis, Choice, Record, Sweep
from toymodels import config as configs
from toymodels.config import config, get
from toymodels.data import Sparse, Uniform
from toymodels.laws import Geometric, PowerLaw
from toymodels.losses import PowerError, SquaredError
from toymodels.models import Relu, Tied
from toymodels.optimizers import Adam, Cosine, Sgd
from toymodels.overrides import apply, parse

finite = st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.one_of(
        finite, st.integers(), st.booleans(), st.none(), st.lists(finite, min_size=2), st.text("abcxyz", min_size=1)
    )
)
def test_what_python_prints_is_read_back(value: Any) -> None:
    """Numbers, words, truth values and lists, in Python's own spelling."""
    text = value if isinstance(value, str) else repr(value)
    assert parse(text) == (tuple(value) if isinstance(value, list) else value)


@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(1, 9))
def test_ranges(start: int, stop: int, step: int) -> None:
    """start:stop:step is Python's range; an empty one is refused."""
    for text, values in (
        (f"{start}:{stop}", range(start, stop)),
        (f"{start}:{stop}:{step}", range(start, stop, step)),
        (f"{start}:{stop}:-{step}", range(start, stop, -step)),
    ):
        if values:
            assert parse(text) == tuple(values)
        else:
            with pytest.raises(ValueError, match="a range has 1 to"):
                parse(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (" 0.1 ", 0.1),
        ("+1", 1),
        ("-1e-3", -1e-3),
        ("1,2,4", (1, 2, 4)),
        ("[1, 2]", (1, 2)),
        ("true", True),
        ("none", None),
        ("word", "word"),
        ("'l 4'", "l 4"),
        ("SquaredError", SquaredError()),
        ("Sgd(lr=0.01)", Sgd(0.01)),
        ("Adam(Cosine(0.1, warmup=0.2))", Adam(Cosine(0.1, 0.2))),
        ("PowerLaw(1.1, first=0.2)", PowerLaw(1.1, 0.2)),
        ("SquaredError,PowerError(4)", (SquaredError(), PowerError(4.0))),
        ("Sparse(3, [0.1, 0.2, 0.3], Uniform(-1, 1))", Sparse(3, (0.1, 0.2, 0.3), Uniform(-1, 1))),
        ("Tied(2, hidden=Relu)", Tied(2, hidden=Relu())),
        ("Record(50, linear=true)", Record(50, linear=True)),
    ],
)
def test_values(text: str, value: Any) -> None:
    assert parse(text) == value


def test_every_config_of_the_library_can_be_named() -> None:
    """Found by reading the files, so that a new class or module needs no list."""
    package = Path(configs.__file__).parent
    trees = [ast.parse(file.read_text()) for file in package.rglob("*.py")]
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    marked = {node.name for node in classes if any(ast.unparse(mark) == "config" for mark in node.decorator_list)}
    assert {"Sparse", "Population", "Quadratic", "Annealed", "Record"} <= marked <= set(configs.class_names())


def test_configs_of_ones_own_can_be_named() -> None:
    """Under their own name; where the library has a class of that name, it is the library's."""

    @config
    class MyOwnLoss:
        power: float = 1.0

    @config
    class Sgd:
        speed: float = 1.0

    assert parse("MyOwnLoss(power=3)") == MyOwnLoss(3.0)
    assert parse("MyOwnLoss") == MyOwnLoss()
    assert parse("Sgd(0.1)") == configs.from_dict({"type": "toymodels.optimizers:Sgd", "lr": 0.1}) != Sgd(0.1)


def test_names_that_two_files_share_are_refused() -> None:
    for module in ("one", "other"):
        exec("@config\nclass Shared:\n    x: float = 1.0", {"config": config, "__name__": module})
    with pytest.raises(ValueError, match="Shared: there are several, in one, other"):
        parse("Shared(2)")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "a value is missing"),
        ("0.1.2", "not a value that can be read"),
        ("[1", "not a value that can be read"),
        ("1/3", "write a number"),
        ("1j", "write a number"),
        ("b'x'", "write a number"),
        ("...", "write a number"),
        ("x.y", "write a number"),
        ("{1: 2}", "write a number"),
        ("__import__('os')", "no config is called __import__"),
        ("losses.SquaredError(2)", "write SquaredError(...), a class by its bare name"),
        ("Sgdd(0.1)", "no config is called Sgdd"),
        ("Sgd(0.1)(2)", "write a number"),
        ("Sgdd(0.1)", "did you mean Sgd"),
        ("range(4)", "start:stop"),
        ("Sgd(speed=1)", "unexpected keyword argument 'speed'; it takes lr"),
        ("Sgd(*[1])", "write a number"),
        ("Sgd(**{})", "write a number"),
        ("Sparse", "missing 1 required positional argument: 'n'"),
        ("Sgd(-1)", "a learning rate is above 0"),
        ("0:10:0", "a range has a step other than 0"),
        ("5:5", "a range has 1 to 1000000 values"),
        ("0:1000000000000", "a range has 1 to 1000000 values"),
        ("(" * 500 + ")" * 500, "not a value that can be read"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  (the sentence is compared below)
        parse(text)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def swept(*overrides: str) -> Sweep:
    return apply({"trained": autoencoders()}, overrides)["trained"]


def labels(sweep: Sweep, name: str) -> list[Any]:
    return next(axis.labels for axis in sweep.axes if axis.name == name)


def test_axes_take_values() -> None:
    """By name or by path; a choice keeps the options named, in the order asked for."""
    assert labels(swept("seed=0:5"), "seed") == [0, 1, 2, 3, 4]
    assert labels(swept("p=0.5"), "p") == [0.5]
    assert labels(swept("--problem.data.p=0.2, 0.4"), "p") == [0.2, 0.4]
    assert labels(swept("loss=l4,l2"), "loss") == ["l4", "l2"]
    assert labels(swept("loss=[l4]"), "loss") == ["l4"]
    assert labels(swept("loss='l4'"), "loss") == ["l4"]
    assert swept("loss=l4").runs()[0].problem.loss == PowerError(4.0)


def test_choices_may_be_called_anything() -> None:
    options = {name: {"optimizer": Sgd(0.1)} for name in ("Adam", "Sgd(0.1)", "l^4", "1")}
    sweep = {"s": Sweep(AUTOENCODER, [Choice("how", options)])}
    for name in options:
        assert labels(apply(sweep, [f"how={name}"])["s"], "how") == [name]
    assert labels(apply(sweep, ["how=l^4,Adam"])["s"], "how") == ["l^4", "Adam"]


@given(st.floats(1e-3, 1), st.integers(1, 10**6), st.integers(1, 64))
def test_fields_take_values(lr: float, steps: int, m: int) -> None:
    base = swept(f"optimizer.lr={lr!r}", f"steps={steps}", f"problem.model.m = {m}").base
    assert (get(base, "optimizer.lr"), base.steps, get(base, "problem.model.m")) == (lr, steps, m)


def test_fields_take_configs() -> None:
    base = swept("optimizer=Sgd(0.5)", "problem.model=Tied(3)", "record.losses=7", "optimizer.lr=Cosine(0.1)").base
    assert base.optimizer == Sgd(Cosine(0.1))
    assert base.problem.model == Tied(3)
    assert base.record == Record(7, 4, examples=128)
    named = {"t": Sweep(AUTOENCODER, [Axis("frequencies", "problem.data.p", [0.1])])}
    runs = apply(named, ["frequencies=Geometric(0.5),PowerLaw(1)"])["t"].runs()
    assert [run.problem.data.p for run in runs] == [Geometric(0.5), PowerLaw(1.0)]


def test_overrides_go_where_they_fit() -> None:
    """To every sweep with the field, or to the one named."""
    both = {"trained": autoencoders(), "packed": packings()}
    changed = apply(both, ["steps=7", "power=4", "packed.seed=0:9", "trained.batch=8"])
    assert [changed[name].base.steps for name in both] == [7, 7]
    assert labels(changed["packed"], "power") == [4]
    assert [len(labels(changed[name], "seed")) for name in both] == [2, 9]
    assert [changed[name].base.batch for name in both] == [8, both["packed"].base.batch]
    assert labels(both["packed"], "power") == [2.0, 3.0]  # what was given is left as it was


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("steps", "an override reads path=value"),
        ("=3", "an override reads path=value"),
        ("--", "an override reads path=value"),
        ("stepz=3", "did you mean steps"),
        ("problem.data.q=3", "Sparse has no such field"),
        ("n=7", "did you mean problem.data.n"),
        ("trained.nothing=3", "Run has no such field"),
        ("steps=many", "Run.steps='many': expected an integer"),
        ("steps=0", "steps=0: at least 1"),
        ("steps=1,2", "expected an integer"),
        ("steps=", "a value is missing"),
        ("problem.model=Sgd(0.1)", "Supervised.model=Sgd(lr=0.1): expected a"),
        ("optimizer.lr=-1", "a learning rate is above 0"),
        ("loss=l3", "loss=l3: not on the axis, which has l2, l4"),
        ("problem.loss=SquaredError()", "this field is swept; set its axis instead"),
        ("problem.loss.importance=2", "this field is swept; set its axis instead"),
        ("p=()", "p: an axis needs at least one value"),
        ("loss=", "loss: an axis needs at least one value"),
        ("seed=1,1", "seed: an axis names each value once"),
        ("p=2", "p=2: an activation probability lies in (0, 1]"),
        ("p=high", "Sparse.p='high': expected a finite number"),
    ],
)
def test_what_does_not_fit_is_one_sentence(override: str, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  (the sentence is compared below)
        swept(override).runs()
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
