"""Arrays of numbers as bytes of a page: 16 bits a number, with one step for all of an array."""

import base64
import gzip
import io
from typing import Any

import numpy as np

LOST = -32768
"""What stands for a number that is not finite."""
LARGEST = 32767


class Packed:
    """Arrays end to end; each is found by where it begins."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.size = 0

    def add(self, array: np.ndarray) -> dict[str, Any]:
        """Where the array begins, in numbers, its shape, and the size of a step."""
        array = np.asarray(array, np.float64)
        finite = np.isfinite(array)
        step = float(np.abs(array, where=finite, out=np.zeros_like(array)).max(initial=0.0)) / LARGEST or 1.0
        steps = np.where(finite, np.rint(np.where(finite, array, 0.0) / step), LOST).astype("<i2")
        place = {"at": self.size, "shape": list(array.shape), "step": step}
        self._parts.append(steps.tobytes())
        self.size += steps.size
        return place

    def text(self) -> str:
        """All of it, compressed, as text."""
        return compressed(b"".join(self._parts))


def lighter(png: bytes, scale: float, colours: int) -> bytes:
    """The picture at this part of its size, in at most so many colours: a figure hardly has more."""
    from PIL import Image  # slow to import, and only needed here

    into, drawn = io.BytesIO(), Image.open(io.BytesIO(png)).convert("RGB")
    if scale != 1:
        drawn = drawn.resize((round(drawn.width * scale), round(drawn.height * scale)), Image.Resampling.LANCZOS)
    drawn.quantize(colours, dither=Image.Dither.NONE).save(into, format="PNG", optimize=True)
    return into.getvalue()


def compressed(data: bytes) -> str:
    """Bytes as text that a browser unpacks: the same for the same bytes."""
    return base64.b64encode(gzip.compress(data, 9, mtime=0)).decode()
