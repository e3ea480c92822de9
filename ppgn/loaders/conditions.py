"""`my_module:function` -> a condition that fulfils its contract."""

from __future__ import annotations

from ppgn import checks
from ppgn.bundle import Bundle
from ppgn.errors import one_line
from ppgn.loaders.callables import import_callable
from ppgn.loaders.trial import two_images
from ppgn.types import Condition


def condition(spec: str, bundle: Bundle | None = None) -> Condition:
    """Loads `my_module:function`, image -> log-probability per chain. The working directory is searched first.

    bundle: the function is checked on two of its images (`ppgn.checks.check_condition`). Raises ValueError for a module or
    function that does not exist, and for a function that fails or breaks the contract.
    """
    function = import_callable(spec)
    if bundle is None:
        return function
    try:
        checks.check_condition(function, two_images(bundle))
    except ValueError as fault:
        raise ValueError(f"{spec} breaks the contract of conditions: {fault}") from fault
    except Exception as fault:  # a user's function can raise anything
        raise ValueError(f"{spec} failed on two images of {bundle.name} ({one_line(fault)}): correct this error") from fault
    return function
