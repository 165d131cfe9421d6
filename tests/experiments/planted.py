"""Planted results: findings must hold on some, and each must fail on others."""

from collections.abc import Callable, Iterable

import numpy as np
import xarray as xr

from toymodels.findings import FAILS, HOLDS, REPORTED, UNDECIDED, Finding, check_unique


def outcomes(findings: Iterable[Finding]) -> dict[str, str]:
    """Key -> outcome of every judged finding."""
    found = list(findings)
    check_unique(found)
    for each in found:
        each.to_dict()  # everything can be written
    return {each.key: each.outcome for each in found if each.outcome != REPORTED}


def holds(findings: Iterable[Finding]) -> None:
    """Every judged finding holds."""
    found = outcomes(findings)
    assert set(found.values()) <= {HOLDS}, {key: outcome for key, outcome in found.items() if outcome != HOLDS}


def fails(findings: Iterable[Finding], *keys: str) -> None:
    """These findings fail, and no other judged one."""
    found = outcomes(findings)
    assert set(keys) <= set(found), f"no such findings: {set(keys) - set(found)}; there are {sorted(found)}"
    assert {key for key, outcome in found.items() if outcome == FAILS} == set(keys), found


def undecided(findings: Iterable[Finding], *keys: str) -> None:
    """These findings are undecided."""
    found = outcomes(findings)
    assert {found[key] for key in keys} == {UNDECIDED}, found


def changed(
    data: xr.Dataset, name: str, change: Callable[[xr.DataArray], xr.DataArray], **labels: object
) -> xr.Dataset:
    """A Dataset with one variable changed at these labels."""
    values = data[name].copy(deep=True)
    values.loc[labels] = change(values.loc[labels])
    return data.assign({name: values})


def spread(*shape: int, size: float = 0.01, seeds: int = 32) -> np.ndarray:
    """Noise of mean 0 over seeds, the last axis."""
    noise = size * np.random.default_rng(sum(shape) + seeds).normal(size=(*shape, seeds))
    return noise - noise.mean(-1, keepdims=True)
