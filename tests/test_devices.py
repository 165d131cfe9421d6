"""More devices: the same bits, at any number of them."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from jax._src import cache_key

from tests.cases import autoencoders, packings
from toymodels import sweep, use_cores
from toymodels.engine import programs
from toymodels.engine.devices import available_cores, peak_memory, programs_for_any_device

SCRIPT = """
import contextlib
import sys
import jax
from tests.cases import autoencoders, packings
from toymodels import sweep, use_cores
from toymodels.engine import programs
from toymodels.engine.plan import plan
if sys.argv[3:] == ["compiled"]:
    programs.programs_for_any_device = contextlib.nullcontext
if len(sys.argv) > 2:
    print(use_cores(int(sys.argv[2])))
devices = [group.shape.devices for group in plan(packings(seeds=range(100)).runs()).groups]
print(len(jax.local_devices()), max(devices))
sweep(autoencoders(p=(0.1, 0.3, 0.7), seeds=range(5)), sys.argv[1] + "/autoencoders")
sweep(packings(seeds=range(100)), sys.argv[1] + "/packings")
"""


def trained_elsewhere(folder: Path, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder), *arguments],
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "PYTHONPATH": ".", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        pytest.param(["3"], {}, "3\n3 3\n", marks=pytest.mark.slow),
        pytest.param(["2", "compiled"], {}, "2\n2 2\n", marks=pytest.mark.slow),
        pytest.param([], {"JAX_NUM_CPU_DEVICES": "2"}, "2 2\n", marks=pytest.mark.slow),
    ],
)
def test_bits_do_not_depend_on_devices(tmp_path: Path, arguments: list, environment: dict, said: str) -> None:
    """Trained over forced host devices in a process of its own, and here on what there is: each device reads
    the program of the first, or one that was compiled for it."""
    assert trained_elsewhere(tmp_path, *arguments, **environment) == said
    for name, what in (
        ("autoencoders", autoencoders(p=(0.1, 0.3, 0.7), seeds=range(5))),
        ("packings", packings(seeds=range(100))),
    ):
        stored, here = sweep(what, tmp_path / name).load(), sweep(what)
        for variable in here.data_vars:
            np.testing.assert_array_equal(stored[variable], here[variable])


def test_cores_are_set_before_anything_runs() -> None:
    sweep(packings(seeds=[0]))
    with pytest.raises(RuntimeError):
        use_cores(available_cores() + 1)
    with pytest.raises(ValueError, match="at least one core"):
        use_cores(0)


@pytest.mark.slow
@pytest.mark.parametrize(("how", "programs"), [([], 3), (["compiled"], 6)])
def test_a_program_that_is_kept_is_compiled_once_for_all_devices(tmp_path: Path, how: list, programs: int) -> None:
    """Three programs, two devices."""
    kept = tmp_path / "programs"
    always = {"JAX_COMPILATION_CACHE_DIR": str(kept), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    trained_elsewhere(tmp_path, "2", *how, **always)
    assert len([path for path in kept.iterdir() if "advance" in path.name and path.name.endswith("-cache")]) == programs


def test_keys_of_kept_programs_are_restored_and_another_jax_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "_hash_serialized_compile_options"
    own = getattr(cache_key, name)
    with programs_for_any_device():
        assert getattr(cache_key, name) is not own
    assert getattr(cache_key, name) is own
    monkeypatch.setattr(cache_key, name, lambda key, options: None)  # one that cannot be told to leave devices out
    other = getattr(cache_key, name)
    with programs_for_any_device():
        assert getattr(cache_key, name) is other
    monkeypatch.delattr(cache_key, name)
    with programs_for_any_device():
        assert not hasattr(cache_key, name)


def test_peak_memory_sees_an_array() -> None:
    before = peak_memory()
    kept = np.ones(2**26, np.uint8) if before < 2**40 else None
    assert peak_memory() >= before > 2**20
    del kept


def test_programs_are_forgotten_where_a_process_is_crowded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts go on, and what is asked for again has the same bits."""
    what, other = packings(seeds=range(3)), packings(seeds=range(5))
    first, before = sweep(what), programs.programs_compiled()
    monkeypatch.setattr(programs, "crowded", lambda: True)
    monkeypatch.setattr(programs, "_programs", dict(programs._programs))
    monkeypatch.setattr(programs, "_forgotten", list(programs._forgotten))
    seconds = programs.compile_seconds()
    programs.make_room()
    assert not programs._programs
    assert programs.programs_compiled() == before
    assert programs.compile_seconds() == pytest.approx(seconds)
    sweep(other)
    assert sweep(what).identical(first)
    assert programs.programs_compiled() > before


@pytest.mark.skipif(not Path("/proc/sys/vm/max_map_count").exists(), reason="Linux counts pieces of memory")
def test_half_of_the_pieces_of_memory_are_a_crowd() -> None:
    code = """
import mmap
from pathlib import Path
from toymodels.engine.devices import crowded
print(crowded())
held = [mmap.mmap(-1, 4096) for _ in range(int(Path("/proc/sys/vm/max_map_count").read_text()) // 2)]
print(crowded())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\nTrue\n"
