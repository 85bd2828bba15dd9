"""Proxy A-distance, courses of training, schedules, regrets: numbers that only figures show."""

import math
from dataclasses import replace

import numpy as np
import pytest
from fakes import cell, record, toy, write

from bench.errors import BenchError
from bench.report.numbers.courses import find_schedule, follow_accuracy, follow_loss
from bench.report.numbers.distance import proxy_distance
from bench.report.numbers.profiles import find_regrets
from bench.runs import plan
from bench.runs.records import read_record
from bench.suite import catalog, suites
from methods._parts import ramp

TOY = toy()


def gaussian(n, dim, at=0.0, seed=0):
    return np.random.default_rng(seed).normal(at, 1.0, (n, dim)).astype(np.float32)


@pytest.mark.slow
def test_domains_that_lie_apart_are_two_apart():
    assert proxy_distance(gaussian(300, 5), gaussian(500, 5, at=6.0, seed=1)) == 2.0


def test_one_domain_split_at_random_is_not_told_apart():
    values = [proxy_distance(x[:800], x[800:]) for x in (gaussian(1600, 5, seed=s) for s in (2, 3))]
    assert max(map(abs, values)) < 0.2


def test_the_error_is_that_of_held_out_features():
    """In 200 dimensions 100 points can always be told apart, by those who have seen them."""
    assert abs(proxy_distance(gaussian(100, 200), gaussian(100, 200, seed=1))) < 0.5


def test_a_distance_does_not_depend_on_the_scale_of_a_feature():
    source, target = gaussian(300, 3), gaussian(300, 3, at=0.7, seed=1)
    scales = np.array([1.0, 1024.0, 2.0**-10], dtype=np.float32)
    assert proxy_distance(source, target) == pytest.approx(
        proxy_distance(source * scales, target * scales), abs=0.03
    )


def test_few_or_infinite_features_are_refused():
    with pytest.raises(BenchError, match="four images of each"):
        proxy_distance(gaussian(3, 2), gaussian(90, 2))
    with pytest.raises(BenchError, match="not finite"):
        proxy_distance(gaussian(9, 2), gaussian(9, 2) * np.float32(np.inf))


def test_a_course_is_mean_and_range_of_the_seeds_that_got_there():
    records = [record(cell(TOY, "dann", "A-B", s), t) for s, t in enumerate([(60, 70), (64,)])]
    course = follow_accuracy(TOY, records, "target")
    assert course.steps == (999, 1000)
    assert (course.mean, course.low, course.high) == ((60, 67), (60, 64), (60, 70))


def test_losses_come_from_the_file_and_a_lost_file_has_none(tmp_path):
    path = write(tmp_path, cell(TOY, "dann", "A-B", 0))
    kept = read_record(path)
    assert follow_loss([kept]).mean == (1.5,)
    path.unlink()
    assert follow_loss([kept]).steps == ()


@pytest.mark.parametrize(
    ("row", "gamma", "lam"), [("dann", 10.0, 1.0), ("dann-strong", math.inf, 10.0)]
)
def test_schedules_are_those_of_the_methods(row, gamma, lam):
    schedule = find_schedule(cell(TOY, row, "A-B", 0))
    T = cell(TOY, row, "A-B", 0).recipe.iterations
    assert schedule.symbol == "λ" and schedule.steps[-1] == T
    for step, value in zip(schedule.steps, schedule.values, strict=True):
        assert value == pytest.approx(lam * ramp(step / T, gamma))


def test_the_alpha_of_nogrl_begins_at_a_half_and_rows_without_a_schedule_have_none():
    schedule = find_schedule(cell(TOY, "nogrl", "A-B", 0))
    assert schedule.symbol == "α" and schedule.values[0] == 0.5
    assert schedule.values[100] == pytest.approx(1 / (1 + math.exp(-5)))
    assert find_schedule(cell(TOY, "plain", "A-B", 0)) is None


def test_only_the_programs_own_methods_have_a_schedule_that_is_known(tmp_path, monkeypatch):
    entry = catalog.find_method("dann")
    own = replace(entry, path=tmp_path / "dann.py")
    monkeypatch.setattr(catalog, "find_method", lambda name: own)
    assert find_schedule(cell(TOY, "dann", "A-B", 0)) is None


def test_a_method_that_needs_two_stages_weighs_nothing_in_the_first():
    (first, *_) = plan.cells(suites.find("office31"), methods=["adda"], seeds=[0])
    schedule = find_schedule(first)
    assert schedule.steps[0] == first.recipe.second_stage > 0 and schedule.values[0] == 0.0
    lam, gamma = (first.hyper_all[k] for k in ("lam", "gamma"))
    assert schedule.values[-1] == pytest.approx(lam * ramp(1.0, gamma))


def test_symnets_keeps_its_weight_for_each_epoch():
    (office, *_) = plan.cells(suites.find("officehome"), methods=["symnets"], seeds=[0])
    schedule = find_schedule(replace(office, hyper={"epochs": 4}))
    assert len({*schedule.values}) == 5 and schedule.values[0] == 0.0
    for i in range(4):
        assert schedule.values[50 * i] == schedule.values[50 * i + 49]
        assert schedule.values[50 * i] == pytest.approx(ramp(i / 4))


def test_a_second_stage_begins_anew():
    schedule = find_schedule(cell(TOY, "dann", "A-B", 0, first_stage=0.5))
    assert schedule.values[100] == 0.0 and schedule.values[99] == pytest.approx(ramp(0.99))


def test_regrets_are_sorted_and_of_the_best_row_at_each_place():
    values = {"a": [70.0, 80.0], "b": [75.0, 78.0]}
    assert find_regrets(values) == {"a": [0.0, 5.0], "b": [0.0, 2.0]}
    assert find_regrets(values, lower=True) == {"a": [0.0, 2.0], "b": [0.0, 5.0]}
