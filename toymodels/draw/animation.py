"""Models in training as a moving picture: feature vectors, W Wᵀ, and a curve with a mark that runs along it."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.animation import FFMpegWriter, FuncAnimation, PillowWriter
from matplotlib.axes import Axes

from toymodels.arrays import Float
from toymodels.draw.axes import log_axis, panels
from toymodels.draw.geometry import arrows, polytope
from toymodels.draw.matrices import matrix
from toymodels.draw.style import BLACK, PALETTE

KINDS = (".gif", ".mp4")
TURN = 1.5
"""Degrees that a model in space turns by from frame to frame."""
DOTS = 110


class Clip(NamedTuple):
    """A model at each frame, and its curve."""

    name: str
    W: Float[np.ndarray, "frames features dimensions"]
    """In at most three dimensions."""
    x: Float[np.ndarray, " frames"]
    """Where each frame is along the curve."""
    curve: tuple[Float[np.ndarray, " points"], Float[np.ndarray, " points"]]
    captions: Sequence[str]
    """What stands above each frame."""


def training(
    clips: Sequence[Clip], xlabel: str, ylabel: str = "loss", log: tuple[bool, bool] = (True, True)
) -> FuncAnimation:
    """A row a clip: rows of W in the plane or in space (which slowly turns), W Wᵀ in one scale of colours, and the
    curves of all clips with a mark where each is. Clips have as many frames; the last one is held for a while."""
    frames = len(clips[0].W)
    if any(len(clip.W) != frames for clip in clips):
        raise ValueError("clips of unequal numbers of frames")
    figure, axes = panels(len(clips), 3, height=2.5 * len(clips), width=7.2, letters=False, squeeze=False)
    reach = 1.1 * max(float(np.nanmax(np.linalg.norm(clip.W, axis=-1), initial=0.1)) for clip in clips)
    marks = []
    for row, (clip, own) in enumerate(zip(clips, axes, strict=True)):
        for place, other in enumerate(clips):
            look = {"color": PALETTE[place], "lw": 1.4} if other is clip else {"color": "0.8", "lw": 0.8}
            own[2].plot(*other.curve, **look)
        marks.append(own[2].plot([], [], "o", color=BLACK, ms=6, zorder=5)[0])
        log_axis(own[2], "".join(name for name, wanted in zip("xy", log, strict=True) if wanted))
        own[2].set(xlabel=xlabel if row == len(clips) - 1 else "", ylabel=ylabel)

    def frame(k: int) -> None:
        k = min(k, frames - 1)
        for clip, (vectors, products, _), mark in zip(clips, axes, marks, strict=True):
            vectors.clear()
            products.clear()
            _vectors(vectors, clip.W[k], reach, k)
            vectors.set_title(f"{clip.name}\n{clip.captions[k]}" if clip.name else clip.captions[k])
            matrix(products, clip.W[k] @ clip.W[k].T, largest=reach**2)
            products.set(title="$W W^\\mathsf{T}$", xticks=[], yticks=[])
            mark.set_data([clip.x[k]], [_height(clip, k)])

    frame(0)
    figure.canvas.draw()  # places the axes, which stay there from now on: quicker, and nothing jumps
    figure.set_layout_engine("none")
    return FuncAnimation(figure, frame, frames=frames + HELD, interval=100, cache_frame_data=False)


HELD = 12
"""Frames for which the end is held."""


def _vectors(ax: Axes, W: np.ndarray, reach: float, k: int) -> None:
    if W.shape[1] == 3:
        polytope(ax, W, view=(20.0, 25.0 + TURN * k))
        ax.set(xlim=(-reach, reach), ylim=(-reach, reach))
    else:
        arrows(ax, np.pad(W, ((0, 0), (0, 2 - W.shape[1]))), reach=reach)
        ax.axis("off")


def _height(clip: Clip, k: int) -> float:
    """The curve where the frame is."""
    x, y = clip.curve
    return float(y[int(np.abs(x - clip.x[k]).argmin())])


def check_kind(path: Path) -> None:
    """ValueError unless the name says GIF or MP4, and there is what writes it."""
    if path.suffix not in KINDS:
        raise ValueError(f"{path}: the file's name ends in {' or '.join(KINDS)}")
    if path.suffix == ".mp4" and not FFMpegWriter.isAvailable():
        raise ValueError(f"{path}: MP4 is written by ffmpeg, which is not installed; a GIF needs nothing")


def save_animation(animation: FuncAnimation, path: Path, rate: int) -> None:
    """Write the moving picture, `rate` frames a second."""
    check_kind(path)
    writer = PillowWriter(rate) if path.suffix == ".gif" else FFMpegWriter(rate)
    animation.save(str(path), writer=writer, dpi=DOTS)
