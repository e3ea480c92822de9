"""A package that need not be installed: its module, or one sentence with the command that installs it."""

import json
import re
import sys

import pytest

from ppgn.errors import BundleError, required


def test_a_module_that_is_there_is_imported() -> None:
    assert required("json", "this needs json", "json") is json
    assert required("json.decoder", "this needs json", "json") is json.decoder


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("ppgn[x]",), 'squares need Absent, which is not installed: `pip install "ppgn[x]"`'),
        (("absent",), "squares need Absent, which is not installed: `pip install absent`"),
        (("absent", "draw circles"), "squares need Absent, which is not installed: `pip install absent`, or draw circles"),
    ],
)
def test_a_module_that_is_not_there_is_one_sentence_of_the_kind_asked_for(
    arguments: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "absent", None)
    for module in ("absent", "absent.part"):
        for kind in (ValueError, BundleError):
            with pytest.raises(ValueError, match=f"^{re.escape(said)}$") as caught:
                required(module, "squares need Absent", *arguments, kind=kind)
            assert type(caught.value) is kind and isinstance(caught.value.__cause__, ImportError)
