"""What the store and the trainer survive: faults tried, survived and lost, and results under JAX's settings.

    python -m tests.trust [--flips N] [--kills N] [--out docs/trust.md]

Each fault is a function that yields, attempt by attempt, whether nothing was lost or silently changed. The default
tests run a handful of attempts of each, the slow ones more.
"""

from tests.trust.bytes import exchanges, flips, numbers, other_labels, regions, truncations  # noqa: F401
from tests.trust.disks import closed, full, full_page, in_the_way, read_only, renames, vanished  # noqa: F401
from tests.trust.processes import kills, programs, resumed, writers  # noqa: F401
from tests.trust.settings import SETTINGS, bits, clocks, neighbours  # noqa: F401
from tests.trust.sweeps import FACTORS, MANY, MORE, SMALL  # noqa: F401
