import numpy as np
import pytest

from toymodels.analysis.convergence import DIVERGENCES, at_bottom, converged, diverged, diverging_record, settled

LINEAR = np.arange(1000.0)
LOG = np.concatenate([[0.0], np.unique(np.round(np.geomspace(1, 1e5, 300)))])


@pytest.mark.parametrize("t", [LINEAR, LOG, LINEAR[::10]])
def test_converged_tells_flat_from_falling(t):
    rng = np.random.default_rng(5)
    noise = np.exp(0.05 * rng.standard_normal((20, len(t))))
    end = t[-1]
    assert converged(t, 0.3 + np.exp(-10 * t / end))
    assert converged(t, (0.3 + np.exp(-10 * t / end)) * noise).mean() > 0.8
    assert not converged(t, np.exp(-t / end))
    assert not converged(t, (1 + t) ** -0.5)
    assert not converged(t, 1 + t / end)
    assert converged(t, np.exp(-40 * t / end))  # still falling, but at zero
    assert converged(t, np.zeros(len(t)))
    assert converged(t, np.full(len(t), -3.0))


@pytest.mark.parametrize("rate", [0.3, 1, 2, 4, 8])
@pytest.mark.parametrize("amplitude", [0.02, 0.3, 10])
def test_what_a_slow_exponential_has_still_to_fall_is_seen(rate, amplitude):
    """By its drift it would pass: at rate .3, amplitude .02, the last tenths differ by .05 %, and 1.5 % is to come."""
    left = amplitude * np.exp(-rate)
    assert bool(converged(LINEAR, 1 + amplitude * np.exp(-rate * LINEAR / LINEAR[-1]))) == (left < 0.01)


def test_convergence_of_noisy_falls_and_of_what_is_not_finite():
    noise = np.exp(0.05 * np.random.default_rng(6).standard_normal((20, 1000)))
    # exp(-1/10 * 4) per tenth: a fall of 30 %, twenty standard errors of the means of 100 records.
    assert not converged(LINEAR, np.exp(-4 * LINEAR / 1000) * noise).any()
    bad = np.ones((3, 1000))
    bad[0, 5], bad[1, 999] = np.nan, np.inf
    np.testing.assert_array_equal(converged(LINEAR, bad), [False, False, True])
    assert not converged([0], [1.0])


def test_what_is_to_gain_decides_where_it_is_known():
    flat, falling = np.ones(1000), np.exp(-LINEAR / 1000)
    curves = np.array([flat, flat, falling, flat, flat, falling, flat, flat, falling, flat])
    low = np.array([0.0, 0.02, 0.0, -0.01, -0.01, -0.01, np.nan, -0.02, -0.02, 0.02])
    high = np.array([0.005, 0.3, 0.005, 0.02, 0.04, 0.02, np.nan, np.inf, np.inf, np.inf])
    # Near; far; near although it falls; open: by the curve; the middle is too high; falling; not measured; no upper
    # bound: by the curve, which falls in the next; far.
    found = settled(LINEAR, curves, low, high, np.ones(10))
    np.testing.assert_array_equal(found, [1, 0, 1, 1, 0, 0, 0, 1, 0, 0])


def test_a_loss_of_zero_needs_parameters_that_have_arrived():
    curves = np.geomspace(1, 1e-9, 1000)[None].repeat(2, axis=0)
    np.testing.assert_array_equal(settled(LINEAR, curves, [1, 1], [1, 1], [1e-4, 0.3]), [True, False])


def test_far_and_near_exclude_each_other():
    low, high = np.meshgrid(np.linspace(-0.1, 0.1, 41), np.linspace(-0.1, 0.1, 41))
    near, far = at_bottom(low[high >= low], high[high >= low])
    assert not (near & far).any()


def test_diverged():
    grown = np.exp(LINEAR / 50)
    spike = np.where(LINEAR == 500, 1e9, 1.0)
    np.testing.assert_array_equal(diverged([grown, spike, np.where(spike > 2, np.nan, 1), 0 * spike]), [1, 0, 1, 0])
    assert diverged([1.0, np.inf])
    assert not diverged([-1.0, -1e9])
    assert not diverged([2.0, 1.0])


def test_where_a_run_diverged_and_how():
    found = [diverging_record(curve) for curve in ([1, 2, np.nan, np.nan], [1, 500, 2, 50, 101, 1e6], [1, 0.5, 0.2])]
    assert [(record, DIVERGENCES[reason].split()[-1]) for record, reason in found] == [
        (2, "finite"),
        (4, "first"),
        (2, "finite"),
    ]


@pytest.mark.parametrize(
    "call",
    [
        lambda: converged(LINEAR, LINEAR, fraction=0.8),
        lambda: converged(LINEAR, LINEAR[:5]),
        lambda: converged([], []),
        lambda: diverged(np.float64(1.0)),
        lambda: diverged([1.0], factor=0),
    ],
)
def test_bad_input_is_one_sentence(call):
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        call()
