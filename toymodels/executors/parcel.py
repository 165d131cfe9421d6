"""A batch as it travels to a worker, where its code may be unknown."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from toymodels import config as configs
from toymodels import sources
from toymodels.executors.protocol import Runs
from toymodels.train import NUMERICS


def pack(runs: Runs) -> bytes:
    """Runs, their addresses, and the code of classes that neither the library nor an installed package brings."""
    import cloudpickle

    with _own_code_travels():
        return cloudpickle.dumps((runs, [[configs.digest(run, NUMERICS) for run in row] for row in runs]))


def unpack(data: bytes) -> Runs:
    """The runs, at the addresses that they had where they were packed."""
    import cloudpickle

    runs, digests = cloudpickle.loads(data)
    for row, addresses in zip(runs, digests, strict=True):
        for run, address in zip(row, addresses, strict=True):
            configs.adopt(run, NUMERICS, address)
    return runs


@contextmanager
def _own_code_travels() -> Iterator[None]:
    """Within this, cloudpickle takes the code of modules along that a worker cannot be expected to have."""
    import cloudpickle

    known = cloudpickle.list_registry_pickle_by_value()
    own = [
        module
        for name, module in list(sys.modules.items())
        if isinstance(module, ModuleType)
        and getattr(module, "__file__", None)
        and sources.is_own(name.partition(".")[0])
        and name == module.__name__
        and name not in known
    ]
    for module in own:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in own:
            cloudpickle.unregister_pickle_by_value(module)
