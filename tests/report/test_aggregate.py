"""What counts in a table, how it is averaged, and what may not change it."""

from dataclasses import replace

import pytest
from fakes import CPU, GPU, cell, everything, record, toy
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import UsageError
from bench.report.numbers.aggregate import build_table
from bench.report.numbers.costs import summarize_costs
from bench.runs import plan
from bench.runs.plan import settle_suite

TOY = toy()


def runs(row, task, *values, **details):
    """One record for each seed."""
    return [record(cell(TOY, row, task, seed), (v,), **details) for seed, v in enumerate(values)]


def group(table, row):
    return next(g for g in table.groups if g.row and g.row.id == row)


def last(table, row, column):
    return group(table, row).ours["last"][column]


def test_accuracy_is_of_all_images_and_averages_are_taken_within_a_seed_first():
    t = build_table(TOY, [*runs("plain", "A-B", 70, 80), *runs("plain", "B-A", 40, 60, 90)])
    assert last(t, "plain", "A-B").by_seed == {0: 70, 1: 80}
    average = last(t, "plain", "average")
    assert average.by_seed == {0: 55, 1: 70}  # seed 2 lacks a task
    assert (average.summary.mean, average.summary.sd) == (62.5, pytest.approx(15 / 2**0.5))


def test_an_incomplete_row_has_no_average():
    t = build_table(TOY, runs("plain", "A-B", 70, 80))
    assert last(t, "plain", "average").by_seed == {}


def test_selections():
    r = record(cell(TOY, "dann", "A-B", 0), target=(60, 75, 70), source=(99, 90, 98))
    for select, value in (("last", 70), ("best-on-target", 75), ("best-on-source", 60)):
        assert group(build_table(TOY, [r], select=select), "dann").ours[select]["A-B"].by_seed == {
            0: value
        }


def test_a_claim_of_an_oracle_is_compared_with_our_oracle():
    t = build_table(
        TOY,
        [
            record(cell(TOY, "dann", "A-B", seed), target=(85.5 + noise, 70.0 + noise))
            for seed, noise in enumerate((-0.1, 0.0, 0.1))
        ],
        select="last",
    )
    plain, oracle = group(t, "dann").claims
    assert (plain.select, oracle.select) == ("last", "best-on-target")
    assert plain.verdicts["A-B"].gap == pytest.approx(70 - 82)
    assert (oracle.verdicts["A-B"].gap, oracle.verdicts["A-B"].word) == (pytest.approx(0), "match")


def test_what_an_oracle_adds_is_known_only_where_there_was_a_choice():
    both = [
        record(cell(TOY, "plain", task, 0), target=t)
        for task, t in (("A-B", (70, 68)), ("B-A", (50, 46)))
    ]
    assert group(build_table(TOY, both), "plain").oracle == pytest.approx(3)
    assert (
        group(build_table(TOY, runs("plain", "A-B", 68) + runs("plain", "B-A", 46)), "plain").oracle
        is None
    )


def test_accuracy_on_the_source_meets_claims_on_the_source_only():
    t = build_table(TOY, runs("plain", "A-B", 70, source=(98.4,)), on="source")
    assert last(t, "plain", "A-B").by_seed == {0: 98.4}
    assert [c.claim.on for g in t.groups for c in g.claims] == ["source"]


def test_a_seed_that_diverged_or_failed_has_no_number_but_is_there():
    ended = [
        record(cell(TOY, "dann", "A-B", 2), status="diverged", reason="nan"),
        record(cell(TOY, "dann", "A-B", 3), status="failed"),
    ]
    score = last(build_table(TOY, runs("dann", "A-B", 80, 82) + ended), "dann", "A-B")
    assert (score.by_seed, score.lost) == ({0: 80, 1: 82}, {2: "diverged", 3: "failed"})


def test_the_last_attempt_that_did_not_fail_counts():
    place = cell(TOY, "plain", "A-B", 0)
    tried = [
        record(place, (10,), attempt=1),
        record(place, (70,), attempt=2),
        record(place, status="failed", attempt=3),
        record(place, status=None, attempt=4),
    ]
    t = build_table(TOY, tried)
    assert last(t, "plain", "A-B").by_seed == {0: 70}
    assert sorted(a.why for a in t.ledger.aside) == ["replaced", "replaced", "unfinished"]


def test_a_run_that_calls_everything_one_class_is_marked():
    t = build_table(
        TOY, [*runs("dann", "A-B", 80), record(cell(TOY, "dann", "A-B", 1), constant=4)]
    )
    score = last(t, "dann", "A-B")
    assert (score.by_seed, score.collapsed) == ({0: 80, 1: 10}, (1,))


def test_gains_are_paired_with_the_baseline_row():
    base, ours = runs("plain", "A-B", 60, 70, 80), runs("dann", "A-B", 64, 76, 85)
    t = build_table(TOY, base + ours)
    gain = group(t, "dann").gains["A-B"]
    assert (gain.n, gain.gap, gain.word) == (3, 5, "gain")
    assert group(t, "plain").gains == {}


def test_the_ledger_says_why_a_record_does_not_count():
    other = record(cell(TOY, "dann-strong", "A-B", 0, precision="bf16", lr=0.5))
    (aside,) = settle_suite(TOY, [other], "full").aside
    why, detail = aside.why, aside.detail
    assert (why, detail) == (
        "other recipe",
        "lr 0.5 instead of 0.01; precision bf16 instead of fp32",
    )
    gone = replace(other, run=other.run.model_copy(update={"row": "gone"}))
    assert (
        settle_suite(TOY, [gone], "full").aside[0].detail
        == "the suite no longer has this row or task"
    )
    assert (
        settle_suite(
            TOY, [replace(other, run=other.run.model_copy(update={"suite": "elsewhere"}))], "full"
        ).aside
        == ()
    )


def test_a_method_whose_defaults_have_changed_is_another_experiment():
    """No key holds what the suite leaves to the method, so the record itself is asked."""
    made = record(cell(TOY, "dann-strong", "A-B", 0))
    old = replace(
        made, run=made.run.model_copy(update={"hyper_all": made.run.hyper_all | {"eps": 0.5}})
    )
    (aside,) = settle_suite(TOY, [old], "full").aside
    why, detail = aside.why, aside.detail
    assert (why, detail) == ("other recipe", "hyper.eps 0.5 instead of 0.0")
    (state,) = plan.states([cell(TOY, "dann-strong", "A-B", 0)], [old])
    assert not state.done and state.stale == 1
    younger = replace(made, run=made.run.model_copy(update={"hyper_all": {}}))
    assert settle_suite(TOY, [younger], "full").counted, (
        "a knob that did not exist then has its default"
    )


def test_made_up_images_show_that_it_runs_and_what_it_costs_but_never_how_well():
    fake = record(cell(TOY, "plain", "A-B", 0), (88.0,), generated=True)
    assert fake.generated and not record(cell(TOY, "plain", "A-B", 0)).generated
    table = build_table(TOY, [fake])
    assert last(table, "plain", "A-B").by_seed == {}
    assert [a.why for a in table.ledger.aside] == ["generated"]
    timed = record(cell(TOY, "plain", "A-B", 0, "timing"), (88.0,), generated=True)
    assert summarize_costs(TOY, [timed], "timing")


def test_a_record_that_says_ok_without_an_evaluation_does_not_count():
    empty = replace(*runs("plain", "A-B", 70), evals=())
    t = build_table(TOY, [empty])
    assert last(t, "plain", "A-B").by_seed == {} and len(t.ledger.aside) == 1


def test_an_unknown_budget_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'short'"):
        build_table(TOY, [], budget="shrt")


ALL = everything(TOY)
NOISE = [
    record(cell(TOY, "plain", "A-B", 0, "smoke"), (1,)),
    record(cell(TOY, "plain", "A-B", 0, "short"), (1,)),
    record(cell(TOY, "plain", "A-B", 0, size=32), (1,)),
    record(cell(TOY, "dann", "B-A", 1, iterations=7), (1,)),
    record(cell(TOY, "plain", "A-B", 1), status=None, attempt=9),
    record(cell(TOY, "dann", "A-B", 2), status="failed", attempt=9),
]


def figures(table):
    return table.columns, table.groups


@settings(max_examples=15, deadline=None)
@given(st.permutations(ALL))
def test_the_order_of_the_records_changes_nothing(shuffled):
    assert build_table(TOY, shuffled) == build_table(TOY, ALL)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from(NOISE), unique_by=id))
def test_smoke_stale_and_torn_records_change_no_figure(noise):
    assert figures(build_table(TOY, noise + ALL)) == figures(build_table(TOY, ALL))


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(0, 99), min_size=3, max_size=3, unique=True))
def test_the_names_of_the_seeds_change_no_figure(names):
    def table(seeds):
        values = {"plain": (60, 71, 80), "dann": (64, 76, 85)}
        made = [
            record(cell(TOY, row, "A-B", s), (v,))
            for row, vs in values.items()
            for s, v in zip(seeds, vs, strict=True)
        ]
        return build_table(TOY, made)

    a, b = table((0, 1, 2)), table(names)
    for x, y in zip(a.groups, b.groups, strict=True):
        assert (x.claims, x.gains) == (y.claims, y.gains)
        assert [s.summary for s in x.ours.get("last", {}).values()] == [
            s.summary for s in y.ours.get("last", {}).values()
        ]


def test_costs_are_medians_apart_for_each_machine():
    slow, fast = runs("plain", "A-B", 70, 70, 70, ms=20.0), runs("plain", "B-A", 70, ms=30.0)
    dann = runs("dann", "A-B", 70, 70, ms=22.0) + runs(
        "dann-strong", "A-B", 70, machine=GPU, ms=2.0
    )
    found = summarize_costs(TOY, slow + fast + dann)
    assert list(found) == ["Abacus 9, 1 thread, torch 2.11.0", "Toy GPU, torch 2.11.0"]
    plain, dann = found["Abacus 9, 1 thread, torch 2.11.0"]
    assert (plain.n, plain.ms, plain.ratio) == (4, 20.0, 1.0)
    assert dann.ratio == pytest.approx(1.1)  # at the task that both have
    (strong,) = found["Toy GPU, torch 2.11.0"]
    assert strong.ratio is None and set(strong.memory) == {"allocated_mib", "reserved_mib"}


def machine(load, threads=1):
    """One that says how busy it was."""
    return CPU._replace(env=CPU.env.model_copy(update={"load": load, "threads": threads}))


def test_times_of_a_busy_machine_are_left_out_or_enter_no_ratio():
    def of(row, load, ms, seed=0):
        return record(cell(TOY, row, "A-B", seed), (70,), machine=machine(load), ms=ms)

    busy, quiet = of("dann", 2.2, 90.0), of("dann", 1.3, 30.0, seed=1)
    records = [of("plain", 1.0, 10.0), busy, quiet, of("dann-strong", 3.0, 80.0)]
    ((plain, dann, strong),) = summarize_costs(TOY, records).values()
    assert (plain.busy, plain.left_out, plain.unknown, plain.ratio) == (0, 0, 0, 1.0)
    assert (dann.n, dann.ms, dann.busy, dann.left_out) == (1, 30.0, 0, 1)
    assert dann.ratio == pytest.approx(3.0)
    assert (strong.n, strong.ms, strong.busy, strong.ratio) == (1, 80.0, 1, None)
    assert strong.memory_ratio == 1.0, "memory is the run's own"
    ((_, dann, strong),) = summarize_costs(TOY, records, busy_too=True).values()
    assert (dann.n, dann.ms, dann.busy, dann.left_out) == (2, 60.0, 1, 0)
    assert (dann.ratio, strong.ratio) == (pytest.approx(6.0), pytest.approx(8.0))


def test_the_run_before_in_the_same_process_makes_no_machine_busy():
    (two,) = summarize_costs(
        TOY, runs("plain", "A-B", 70, machine=machine(2.1, threads=2))
    ).values()
    assert two[0].busy == 0
    (unknown,) = summarize_costs(TOY, runs("plain", "A-B", 70, 70)).values()
    assert (unknown[0].busy, unknown[0].unknown) == (0, 2)


def test_machines_that_differ_in_threads_are_told_apart():
    mixed = [
        *runs("plain", "A-B", 70),
        record(
            cell(TOY, "plain", "A-B", 1),
            machine=CPU._replace(env=CPU.env.model_copy(update={"threads": 4})),
        ),
    ]
    assert len(summarize_costs(TOY, mixed)) == 2


def test_runs_that_kept_freed_memory_are_no_peers_of_those_that_did_not():
    kept = CPU._replace(env=CPU.env.model_copy(update={"keeps_freed": True}))
    mixed = [*runs("plain", "A-B", 70), record(cell(TOY, "plain", "A-B", 1), machine=kept)]
    machine = "Abacus 9, 1 thread, torch 2.11.0"
    assert list(summarize_costs(TOY, mixed)) == [machine, f"{machine}, freed memory kept"]


def test_cells_that_shared_a_device_enter_no_ratio():
    """Not even among themselves: each was slowed down by whatever ran beside it."""
    shared = CPU._replace(env=CPU.env.model_copy(update={"shared": 2}))
    together = [
        record(cell(TOY, row, "A-B", 0), (70,), machine=shared, ms=ms)
        for row, ms in (("plain", 50.0), ("dann", 100.0))
    ]
    alone = runs("plain", "A-B", 70, ms=20.0) + runs("dann", "A-B", 70, ms=60.0)
    found = summarize_costs(TOY, alone)
    machine = "Abacus 9, 1 thread"
    assert [c.ratio for c in found[f"{machine}, torch 2.11.0"]] == [1.0, pytest.approx(3.0)]
    found = summarize_costs(TOY, together)
    (costs,) = found.values()
    assert list(found) == [f"{machine}, 2 cells at once, torch 2.11.0"]
    assert [(c.ms, c.ratio, c.memory_ratio) for c in costs] == [
        (50.0, None, None),
        (100.0, None, None),
    ]


def test_ratios_are_over_the_row_that_the_suite_names_for_costs():
    dear = TOY.model_copy(update={"cost_baseline": "dann"})
    records = runs("plain", "A-B", 70, ms=20.0) + runs("dann", "A-B", 70, ms=40.0)
    ((plain, dann),) = summarize_costs(dear, records).values()
    assert (plain.row, plain.ratio, dann.ratio) == ("plain", 0.5, 1.0)
    assert plain.memory_ratio == dann.memory_ratio == 1.0


def test_a_gpus_memory_is_the_models_without_the_data_and_a_cpus_the_whole_process():
    (fast,) = summarize_costs(TOY, runs("plain", "A-B", 70, machine=GPU))["Toy GPU, torch 2.11.0"]
    assert (
        fast.memory == pytest.approx({"allocated_mib": 700 - 86.4, "reserved_mib": 1024 - 86.4})
        and fast.data_mib == 86.4
    )
    (slow,) = summarize_costs(TOY, runs("plain", "A-B", 70))["Abacus 9, 1 thread, torch 2.11.0"]
    assert slow.memory == {"rss_mib": 900.0}


def test_versions_of_torch_are_machines_of_their_own_in_a_fixed_order():
    newer = CPU._replace(env=CPU.env.model_copy(update={"torch": "2.12.0"}))
    made = [
        record(cell(TOY, "plain", "A-B", 0), machine=GPU),
        record(cell(TOY, "plain", "A-B", 1), machine=newer),
        *runs("plain", "B-A", 70),
    ]
    names = [
        "Abacus 9, 1 thread, torch 2.11.0",
        "Abacus 9, 1 thread, torch 2.12.0",
        "Toy GPU, torch 2.11.0",
    ]
    assert list(summarize_costs(TOY, made)) == list(summarize_costs(TOY, made[::-1])) == names


def test_ratios_leave_out_the_tasks_that_the_baseline_was_not_measured_at():
    plain, dann = runs("plain", "A-B", 70, ms=20.0), runs("dann", "A-B", 70, ms=22.0)
    ((_, found),) = summarize_costs(TOY, plain + dann + runs("dann", "B-A", 70, ms=99.0)).values()
    assert found.ratio == pytest.approx(1.1) and found.ms == pytest.approx((22 + 99) / 2)


def test_the_ratio_of_memory_is_that_of_its_first_column():
    def with_memory(r, **memory):
        return replace(r, end=r.end.model_copy(update={"memory": memory}))

    (plain,), (dann,) = (runs(row, "A-B", 70, machine=GPU) for row in ("plain", "dann"))
    made = [
        with_memory(plain, allocated_mib=586.4, reserved_mib=1086.4),
        with_memory(dann, allocated_mib=836.4, reserved_mib=3086.4),
    ]
    ((_, found),) = summarize_costs(TOY, made).values()
    assert found.memory_ratio == pytest.approx(1.5)
