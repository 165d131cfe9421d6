"""Where results come from: versions, source state, devices, flags."""

import functools
import importlib.metadata
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jax

PACKAGES = ("toymodels", "jax", "jaxlib", "flax", "optax", "numpy", "xarray", "zarr")


@functools.cache
def _constant() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "git": _git(),
        "machine": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "backend": jax.default_backend(),
        "devices": [device.device_kind for device in jax.local_devices()],
        "flags": {name: os.environ[name] for name in ("XLA_FLAGS", "JAX_PLATFORMS") if name in os.environ},
    }


def provenance() -> dict[str, Any]:
    """Versions of Python and packages, git commit and whether the tree was clean, devices, flags, and the time now."""
    return {**_constant(), "time": datetime.now(UTC).isoformat(timespec="seconds")}


def _git() -> dict[str, Any] | None:
    """Commit of the source tree and whether it was changed since; None outside a checkout of this package."""
    here = Path(__file__).resolve().parent

    def ask(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, check=True, timeout=5).stdout

    try:
        if Path(ask("rev-parse", "--show-toplevel").strip()).resolve() != here.parent:
            return None  # installed inside of another project, whose commit says nothing of this code
        return {
            "commit": ask("rev-parse", "HEAD").strip(),
            "changed": bool(ask("status", "--porcelain", "-uno").strip()),
        }
    except (OSError, subprocess.SubprocessError):
        return None
