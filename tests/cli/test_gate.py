"""`xdsctl gate` on a directory."""

import pytest
from drained_fleet import kept


def test_a_gate_is_opened_and_closed(run, directory, with_policy):
    for _ in range(2):
        said = run("gate close shop/web remote").stdout
        assert said == "tier remote of shop/web is closed already: nothing has opened it\n"
    said = run("gate open shop/web remote --reason drill").stdout
    assert said.startswith("tier remote of shop/web is open (TrafficOverride gate-shop-web-remote-")
    assert said.endswith(f"undo: xdsctl gate close shop/web remote --clusters {directory}\n")
    ((name, spec),) = kept(directory).items()
    assert spec == {"open": {"namespace": "shop", "policy": "web", "tier": "remote"}, "reason": "drill"}
    assert (
        run("gate open shop/web remote").stdout
        == f"tier remote of shop/web is open already (TrafficOverride {name} in {directory}/.overrides.yaml)\n"
    )
    assert "tier remote of shop/web is closed" in run("gate close shop/web remote").stdout
    assert kept(directory) == {}


def test_a_gate_of_a_tier_is_opened_whatever_it_is_called(run, directory, with_policy):
    policy = directory / "policy.yaml"
    policy.write_text(policy.read_text().replace("name: remote", 'name: "step 2: US / remote"'))
    run("gate open shop/web", "step 2: US / remote")
    ((_, spec),) = kept(directory).items()
    assert spec["open"]["tier"] == "step 2: US / remote"


def test_others_are_told_if_the_gate_that_is_closed_is_not_open(run, directory, with_policy):
    policy = directory / "policy.yaml"
    last = "  - {name: last, gate: Closed, places: [{clusters: [west]}]}\n"
    policy.write_text(policy.read_text().replace("  - {name: remote", f"{last}  - {{name: remote"))
    run("gate open shop/web remote")
    said = run("gate close shop/web last").stdout
    assert said == "tier last of shop/web is closed already: nothing has opened it; open are: tier remote of shop/web\n"
    assert "the gate of tier 'last' is Closed, which no override changes" in run("gate open shop/web last", exits=65).stderr
    assert [spec["open"]["tier"] for spec in kept(directory).values()] == ["remote"]


@pytest.mark.parametrize("word", ["open", "close"])
@pytest.mark.parametrize(
    ("gate", "said"),
    [
        ("shop/web remoet", "TrafficPolicy shop/web has no tier 'remoet'; did you mean 'remote'?"),
        ("shop/wbe remote", "there is no TrafficPolicy shop/wbe in the fleet; did you mean 'web'?"),
        ("east:shop/web remote", "there is no TrafficPolicy shop/web in east; namespace shop has none there"),
    ],
)
def test_a_gate_that_does_not_exist(run, directory, with_policy, word, gate, said):
    assert run(f"gate {word} {gate}", exits=65).stderr == f"Error: {said}\n"
    assert kept(directory) == {}


def test_a_gate_that_the_policy_has_open(run, directory, with_policy):
    assert run("gate open shop/web own").stdout == "tier own of shop/web is open already, as the policy says\n"
    assert (
        "tier own of shop/web is open as the policy says, which no override changes"
        in run("gate close shop/web own", exits=65).stderr
    )
    assert kept(directory) == {}
