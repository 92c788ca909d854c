"""The command that kills saves, in small, and that it would notice what it looks for."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from optdsl.runtime import checkpoint

from . import saves


def test_killed_saves_lose_nothing(tmp_path: Path) -> None:
    params, opt = saves.made(20_000)
    opt.step({name: np.ones_like(value) for name, value in params.items()})
    ended, span = saves.undisturbed(opt, tmp_path / saves.FILE)
    assert ended == 0
    outcomes = [saves.trial(tmp_path, params, opt, moment * span / 6) for moment in range(6)]
    assert [outcome.problems for outcome in outcomes] == [[]] * 6
    assert outcomes[0].reached is not None, "one killed at once can't be done"


@pytest.mark.parametrize("fault", ["in place", "beside, never swept", "stuck"])
def test_what_goes_wrong_is_noticed(fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A save that writes in place, leaves something behind or never ends is told."""
    params, opt = saves.made(100)
    opt.step({name: np.ones_like(value) for name, value in params.items()})
    assert saves.undisturbed(opt, tmp_path / saves.FILE)[0] == 0
    honest = checkpoint.save

    def faulty(path: Path, *rest: object) -> None:
        if fault == "in place":
            path.write_bytes(b"half")
        elif fault == "stuck":
            os.kill(os.getpid(), signal.SIGALRM)
        else:
            honest(path, *rest)  # type: ignore[arg-type]
            path.with_name("debris").touch()

    monkeypatch.setattr(checkpoint, "save", faulty)
    told = " ".join(saves.trial(tmp_path, params, opt, 2.0).problems)
    assert {"in place": "lost: ", "beside, never swept": "left behind: debris", "stuck": "stuck"}[fault] in told
