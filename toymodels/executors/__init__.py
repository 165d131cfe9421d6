"""Where the batches of a plan are trained: in this process, or by the workers of a Dask cluster.

An executor decides where and in which order, never how: it is given the function that trains a batch, and a cell has
the same bits wherever it is trained. Processes that share a pool share its batches, whatever their executors (see
`turns`); a shard is a setting of the plan and goes with each of them. Importing this imports no Dask.
"""

from toymodels.executors.dask import Dask
from toymodels.executors.here import Here
from toymodels.executors.protocol import Events, Executor, ExecutorError, Measure

__all__ = ["Dask", "Events", "Executor", "ExecutorError", "Here", "Measure"]
