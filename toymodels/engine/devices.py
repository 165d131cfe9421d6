"""Where cells are trained: on all local devices, and on a CPU each core can be one."""

import inspect
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
from jax._src import cache_key

MOST_DEVICES = 8
"""Devices to a core at the most: each has threads of its own, and thousands of them end the process."""


def use_cores(count: int | None = None) -> int:
    """Make each CPU core (or `count` of them) a device that trains cells of its own; returns how many there are.

    A core by itself does tiny models more good than two cores that share each operation: 1.3 to 2.5 times the speed on
    two cores, and the same bits. JAX fixes its devices when first used, so call this before any computation;
    RuntimeError afterwards. Without it, and in JAX by default, a CPU is one device. Accelerators are left as they are,
    and so is a number set by the environment variable JAX_NUM_CPU_DEVICES.
    """
    if count is not None and count < 1:
        raise ValueError("at least one core")
    if count is not None and count > MOST_DEVICES * (os.cpu_count() or 1):
        raise ValueError(f"this machine has {os.cpu_count()} cores, and each can be {MOST_DEVICES} devices")
    if count is not None or "JAX_NUM_CPU_DEVICES" not in os.environ:
        jax.config.update("jax_num_cpu_devices", count or available_cores())
    return len(jax.local_devices())


def keep_programs(folder: str | None) -> None:
    """Keep compiled programs in a folder, those that took a while, for the processes to come; None keeps none."""
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


@contextmanager
def programs_for_any_device() -> Iterator[None]:
    """What is compiled meanwhile and kept is found again for every CPU device, not only for that it was compiled for.

    So does JAX on GPUs, and CPU devices differ in their number alone. Where this version of JAX makes the keys of what
    it keeps in another way, each device compiles its own program.
    """
    name = "_hash_serialized_compile_options"
    own = getattr(cache_key, name, None)
    if own is None or "strip_device_assignment" not in inspect.signature(own).parameters:
        yield
        return
    setattr(cache_key, name, lambda key, options, **_: own(key, options, strip_device_assignment=True))
    try:
        yield
    finally:
        setattr(cache_key, name, own)


def on(tree: Any, device: jax.Device) -> Any:
    """What arrays on this device would look like to the compiler: for each leaf of a tree its shape and type."""
    place = jax.sharding.SingleDeviceSharding(device)

    def there(leaf: Any) -> jax.ShapeDtypeStruct:
        known = jax.typeof(leaf)
        return jax.ShapeDtypeStruct(known.shape, known.dtype, sharding=place, weak_type=known.weak_type)

    return jax.tree.map(there, tree)


def crowded() -> bool:
    """Whether this process holds half as many pieces of memory as Linux allows (vm.max_map_count, 65,530 by default).

    A compiled program has hundreds of them, and the first that there is no more room for ends the process.
    """
    try:
        most = int(Path("/proc/sys/vm/max_map_count").read_text())
        with open("/proc/self/maps", "rb") as pieces:
            return sum(1 for _ in pieces) > most / 2
    except (OSError, ValueError):
        return False


def available_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def peak_memory() -> int:
    """The most bytes of main memory that this process has held at once."""
    try:  # on Linux, `getrusage` starts from what the parent process held
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
