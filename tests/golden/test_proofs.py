"""What a method says of its proof is what is tested here."""

import test_golden
import test_trajectories

from bench.suite import catalog, suites


def proven() -> dict[str, set[str]]:
    """By method, the kinds of proof that have a port and agree."""
    found: dict[str, set[str]] = {}
    for port in test_golden.PORTS.values():
        found.setdefault(port.method, set()).add("golden")
    for training in test_trajectories.PORTS.values():
        suite, _, row = training.row.partition(":")
        method = suites.find(suite).by_id[row].method if row else training.method
        if not training.differs:
            found.setdefault(method, set()).add("training")
    return found


def test_a_method_names_the_proofs_that_it_has() -> None:
    ours = {e.name: set(e.proof) - {"identity"} for e in catalog.methods().values()}
    assert {name: kinds for name, kinds in ours.items() if kinds} == proven()


def test_every_method_has_a_proof_and_every_method_of_a_paper_its_source() -> None:
    for entry in catalog.methods().values():
        assert entry.proof, entry.name
        assert entry.source or entry.name in ("source_only", "target_only"), entry.name
