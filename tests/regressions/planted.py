"""The bugs of other libraries, planted here one at a time: `python -m tests.regressions.planted`.

For each, the test that guards against it must pass before and fail with the bug in place. Faults are planted in this
process and on the NumPy target; those that need a process of their own aren't among them.
"""

from __future__ import annotations

import argparse
import pickle
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optdsl.runtime import checkpoint, statedict, stepping, store
from optdsl.runtime import optimizer as optimizers

from . import test_clipping as clipping
from . import test_counters as counters
from . import test_environment as environment
from . import test_layout as layout
from . import test_semantics as semantics
from . import test_state_dicts as state_dicts
from .faults import (
    N,
    Plant,
    around_step,
    cast,
    compounding,
    counted,
    decayed_in_place,
    first_axis_alone,
    flushed,
    in_row,
    made,
    naive_factor,
    negated_in_place,
    nothing,
    plant_positions,
    replaced,
    stopped_by_an_empty_one,
    uncounted,
    written,
)  # fmt: skip

F64 = np.dtype(np.float64)

FAULTS: list[tuple[Plant, Callable[..., None], dict[str, Any]]] = [
    (counted(lambda _, n: min(n, 256)), counters.test_the_count_passes_what_16_bits_can_hold, {"count": 256}),
    (counted(lambda _, n: int(np.float32(n))), counters.test_a_loaded_count_is_no_float32, {"count": 2**24}),
    (
        counted(lambda _, n: int(np.int64(n).astype(np.int32))),
        counters.test_the_count_does_not_wrap,
        {"count": 2**31 - 1},
    ),
    (counted(lambda _, n: n + 1, before=True), counters.test_the_first_step_is_step_1, {}),
    (counted(lambda place, n: n + place, before=True), counters.test_all_parameters_of_a_step_see_the_same_count, {}),
    (counted(lambda place, n: n * (place == 0)), counters.test_a_parameter_without_elements_counts_its_steps, {}),
    (counted(lambda _, n: n, before=True), counters.test_a_parameter_without_gradient_keeps_its_own_count, {}),
    (replaced(statedict, "export", uncounted), counters.test_counts_are_part_of_a_checkpoint, {}),
    (
        replaced(stepping, "norm_factor", naive_factor),
        clipping.test_a_norm_of_zero_under_a_bound_of_zero_is_zero,
        {"dtype": F64},
    ),
    (
        replaced(stepping, "norm_factor", naive_factor),
        clipping.test_squares_past_the_range_do_not_zero_the_gradient,
        {"dtype": F64},
    ),
    (replaced(stepping, "norm_factor", lambda *_: 1.0), clipping.test_limits_are_applied, {}),
    (replaced(stepping, "norm_factor", lambda *_: 1.0), clipping.test_the_norm_is_over_all_parameters, {}),
    (replaced(stepping, "_left_out", lambda *_: False), clipping.test_a_gradient_that_is_not_finite_can_be_refused, {}),
    (
        replaced(statedict, "_read_array", cast),
        state_dicts.test_loading_never_changes_the_type_of_a_state,
        {"dtype": "float64"},
    ),
    (
        replaced(statedict, "_read_array", cast),
        state_dicts.test_a_state_of_another_shape_is_refused_when_it_is_loaded,
        {},
    ),
    (plant_positions, state_dicts.test_states_go_by_name_and_not_by_position, {}),
    (replaced(optimizers, "materialise", list), state_dicts.test_parameters_without_an_order_are_refused, {}),
    (replaced(statedict, "same_keys", nothing), state_dicts.test_states_that_are_missing_are_not_made_anew, {}),
    (replaced(statedict, "same_keys", nothing), state_dicts.test_options_that_are_missing_or_unknown_are_named, {}),
    (replaced(statedict, "_check_head", nothing), state_dicts.test_the_states_of_another_rule_are_refused, {}),
    (replaced(statedict, "_check_head", nothing), state_dicts.test_a_rule_of_the_same_name_is_told_by_its_text, {}),
    (
        replaced(checkpoint, "read", lambda path: pickle.loads(Path(path).read_bytes())),
        state_dicts.test_loading_a_checkpoint_runs_nothing,
        {},
    ),
    (
        replaced(store, "flat_of", in_row),
        layout.test_arrays_that_are_not_contiguous_are_stepped_right,
        {"layout": "transposed", "dtype": F64},
    ),
    (replaced(store, "flat_of", in_row), layout.test_the_maximum_of_adamax_takes_any_strides, {}),
    (replaced(store, "check_distinct", nothing), layout.test_one_array_given_twice_is_refused, {}),
    (around_step(stopped_by_an_empty_one), layout.test_an_empty_array_at_the_end_keeps_none_from_moving, {}),
    (around_step(stopped_by_an_empty_one), layout.test_an_empty_array_between_others_keeps_none_from_moving, {}),
    (around_step(first_axis_alone), layout.test_every_element_of_every_axis_is_stepped, {}),
    (
        written("adam", ("vmax' = max(vmax, v')", "vmax' = vmax"), ("then vmax' else", "then max(vmax, v') else")),
        semantics.test_the_maximum_of_amsgrad_is_kept,
        {},
    ),
    (around_step(negated_in_place), semantics.test_gradients_are_never_changed, {"options": {"maximize": True}}),
    (around_step(decayed_in_place), semantics.test_decay_does_not_go_into_the_callers_gradient, {}),
    (made(lambda options: options.pop("maximize", None)), semantics.test_maximize_negates_once, {"rule": "adam"}),
    (made(lambda options: options.pop("maximize", None)), semantics.test_maximize_is_not_ignored, {"rule": "lion"}),
    (
        written("sgd", ("if maximize then -g else g", "g"), ("x - lr*u", "if maximize then x + lr*u else x - lr*u")),
        semantics.test_climbing_is_no_negative_rate,
        {},
    ),
    (made(compounding), semantics.test_a_schedule_does_not_compound, {}),
    (
        written("adamw", ("base - lr*weight_decay*x", "base*(1 - lr*weight_decay)")),
        semantics.test_decoupled_decay_takes_the_old_parameter,
        {},
    ),
    (
        written("lion", ("sign(ema(m, g, beta1)) + weight_decay*x", "sign(ema(m, g + weight_decay*x, beta1))")),
        semantics.test_lions_sign_does_not_see_the_decay,
        {},
    ),
    (
        written("sgdw", ("base - lr*weight_decay*x", "base - (1 - (1 - lr*weight_decay)^2)*x")),
        semantics.test_element_types_side_by_side_are_each_stepped_once,
        {},
    ),
    (
        written("adam", ("beta2)) + eps", "beta2)) + eps/sqrt(1 - beta2^t)")),
        semantics.test_adams_eps_joins_the_corrected_root,
        {},
    ),
    (
        written("adam", ("ema(m, g, beta1)", "ema(m, g + 1e-8, beta1)")),
        environment.test_nothing_is_added_to_gradients_in_secret,
        {"dtype": F64},
    ),
    (around_step(flushed), environment.test_subnormal_states_keep_their_digits, {}),
]
"""What is planted, the test that has to notice it, and its arguments beside the target and a folder."""


def passes(test: Callable[..., None], arguments: dict[str, Any]) -> bool:
    """Return whether a test passes on the NumPy target."""
    with tempfile.TemporaryDirectory() as folder:
        given = {"target": N, "tmp_path": Path(folder), **arguments}
        wanted = test.__code__.co_varnames[: test.__code__.co_argcount]
        try:
            test(**{name: value for name, value in given.items() if name in wanted})
        except (Exception, pytest.fail.Exception):
            return False
        return True


def main() -> int:
    """Plant each fault in turn; return 1 where a test doesn't notice its own, or fails without it."""
    parser = argparse.ArgumentParser(prog="python -m tests.regressions.planted", description=__doc__)
    parser.add_argument("--module", help="tests of this module only, such as counters")
    module = parser.parse_args().module
    chosen = [fault for fault in FAULTS if module is None or fault[1].__module__.endswith(f"test_{module}")]
    noticed = 0
    for plant, test, arguments in chosen:
        sound = passes(test, arguments)
        with pytest.MonkeyPatch.context() as patch:
            plant(patch)
            caught = not passes(test, arguments)
        noticed += sound and caught
        if not (sound and caught):
            print(f"{test.__name__}: {'passes with the bug' if sound else 'fails without it'}", flush=True)
    print(f"{noticed} of {len(chosen)} planted bugs were noticed, by {len({test for _, test, _ in chosen})} tests")
    return int(noticed < len(chosen))


if __name__ == "__main__":
    sys.exit(main())
