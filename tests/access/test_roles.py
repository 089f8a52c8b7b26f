"""The pure part of who may do what: patterns, the table, the access file."""

from __future__ import annotations

import pytest
from durable_saga_server.access.policy import Policy, read_policy
from durable_saga_server.access.roles import Grant, Identity, refusal
from hypothesis import given
from hypothesis import strategies as st

from durable_saga.pb import access_pb2, client_pb2, worker_pb2
from durable_saga.pb import access_pb2 as a
from durable_saga.pb import client_pb2 as c
from durable_saga.pb import history_pb2 as h
from durable_saga.pb.calls import STREAMED
from durable_saga.pb.roles import CALLS, ITEMS, KNOWN, Role, covers, includes

names = st.text("ab", min_size=1, max_size=4)
patterns = st.one_of(names, st.text("ab", max_size=3).map(lambda text: f"{text}*"))
grants = st.builds(
    Grant, st.frozensets(st.sampled_from(Role), min_size=1), st.lists(patterns, min_size=1, max_size=2), st.lists(patterns)
)
identities = st.builds(Identity, st.just("ann"), st.just("token"), st.lists(grants, max_size=3))


@given(st.lists(patterns, max_size=3), patterns, names)
def test_what_a_pattern_within_others_covers_they_cover(outer: list[str], inner: str, name: str) -> None:
    if includes(outer, inner) and covers([inner], name):
        assert covers(outer, name)


@given(st.lists(patterns, max_size=3), patterns)
def test_a_pattern_that_is_not_within_others_covers_a_name_that_they_do_not(outer: list[str], inner: str) -> None:
    if not includes(outer, inner):
        witness = inner[:-1] + "c" * 9 if inner.endswith("*") else inner  # longer than any name, with a letter of none
        assert covers([inner], witness)
        assert not covers(outer, witness)


@given(identities, grants, names, st.sampled_from(sorted(CALLS)))
def test_one_more_grant_takes_nothing_away(identity: Identity, more: Grant, name: str, call: str) -> None:
    request = _request(call, name)
    if not refusal(identity, call, request):
        assert not refusal(Identity("ann", "token", [*identity.grants, more]), call, request)


@given(identities, names, st.sampled_from(sorted(CALLS)))
def test_nobody_may_anything_in_a_namespace_that_no_grant_has(identity: Identity, name: str, call: str) -> None:
    if call not in ("Work", "Beat") and not any(covers(one.namespaces, name) for one in identity.grants):
        assert refusal(identity, call, _request(call, name))


@given(identities, st.lists(patterns, min_size=1, max_size=2))
def test_who_may_give_a_token_for_namespaces_administers_all_of_them(identity: Identity, wanted: list[str]) -> None:
    request = a.GrantRequest(rights=a.Rights(namespaces=wanted, roles=["reader"]))
    may = all(identity.administers(one) for one in wanted)
    assert may == (not refusal(identity, "Grant", request))


def _request(call: str, namespace: str) -> object:
    if call == "Grant":
        return a.GrantRequest(rights=a.Rights(namespaces=[namespace]))
    if call in ("Tokens", "Revoke", "Audit"):
        return getattr(a, f"{call}Request")(namespace=namespace)
    if call in ("Work", "Beat"):
        return worker_pb2.BeatRequest(worker="w")
    kind = getattr(c, f"{call}Request")
    return (
        kind(namespace=namespace) if "namespace" in kind.DESCRIPTOR.fields_by_name else kind(key=h.RunKey(namespace=namespace))
    )


def test_every_call_of_every_service_and_every_item_of_a_worker_is_in_the_table() -> None:
    files = (client_pb2, worker_pb2, access_pb2)
    methods = {one.name for file in files for service in file.DESCRIPTOR.services_by_name.values() for one in service.methods}
    assert methods == {*CALLS, *KNOWN}
    assert not set(CALLS) & KNOWN
    assert set(CALLS) >= STREAMED
    assert set(ITEMS) == {one.name for one in worker_pb2.WorkerItem.DESCRIPTOR.oneofs_by_name["kind"].fields}


def test_a_call_that_no_table_has_is_nobodys() -> None:
    everything = Identity("root", "token", [Grant(frozenset(Role), ["*"])])
    assert "no role that this version knows" in refusal(everything, "Erase", c.ListRequest(namespace="shop"))


FILE = """
[jwt]
issuer = "https://login.example"
audience = "durable-saga"
jwks = "https://login.example/keys"
name = "email"

[[grant]]
claim = "realm.roles"
value = "ops-*"
roles = ["operator"]
namespaces = ["shop", "bank*"]

[[grant]]
san = "spiffe://shop/worker/*"
roles = ["worker"]
namespaces = ["shop"]
saga_types = ["order"]
"""


def test_claims_and_names_of_certificates_give_the_grants_of_the_file() -> None:
    policy = read_policy(FILE)
    assert policy.jwt is not None
    assert (policy.jwt.audience, policy.jwt.algorithms, policy.jwt.name) == (("durable-saga",), ("RS256", "ES256"), "email")
    (operator,) = policy.of_claims({"realm": {"roles": ["x", "ops-shop"]}})
    assert operator == Grant(frozenset({Role.OPERATOR}), ("shop", "bank*"))
    assert policy.of_claims({"realm.roles": "ops-1"}) == [operator]
    for claims in ({}, {"realm": "ops-1"}, {"realm": {"roles": [1, None, "dev-ops-1"]}}, {"roles": ["ops-1"]}):
        assert policy.of_claims(claims) == []
    (worker,) = policy.of_names(["shop.example", "spiffe://shop/worker/7"])
    assert (worker.saga_types, policy.of_names(["spiffe://shop/workers"])) == (("order",), [])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("issuer", "isuer"), "'isuer', which isn't one of issuer"),
        (("[[grant]]", "[[grants]]"), "'grants', which isn't one of jwt, grant"),
        (('"operator"', '"operators"'), "'operators' isn't a role"),
        (('"ops-*"', '"ops-*-x"'), "a \\* may only stand at the end"),
        (('name = "email"', 'algorithms = ["HS256"]'), "'HS256' isn't one of"),
        (('name = "email"', 'algorithms = ["none"]'), "'none' isn't one of"),
        (("https://login.example/keys", "http://login.example/keys"), "must be https or loopback"),
        (('claim = "realm.roles"', ""), "must name either a san, or a claim"),
        (("[jwt]", "[jwt"), "this isn't TOML"),
        (('namespaces = ["shop"]', "namespaces = []"), "namespaces must be a text or a list of texts"),
        (('"bank*"', '"b*k"'), "'b\\*k' isn't a pattern"),
    ],
)
def test_what_is_misspelt_in_the_file_is_told(change: tuple[str, str], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        read_policy(FILE.replace(*change))


def test_a_file_of_nothing_lets_nobody_in() -> None:
    assert read_policy("") == Policy()
