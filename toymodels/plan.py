"""The name under which `toymodels.engine.plan` can also be imported."""

from toymodels.engine.plan import (  # noqa: F401
    Group,
    Kept,
    Plan,
    Shape,
    batch_shape,
    batch_width,
    batches,
    group_digest,
    group_key,
    plan,
    result_bytes,
)
