from __future__ import annotations

import json
import textwrap

import pytest

from xds.discovery.manifests import read_manifest
from xds.model.events import ObjectKey
from xds.problems import CODES, Severity


def read(text: str, *, path: str = "east/a.yaml", cluster: str = "east"):
    return read_manifest(path, cluster, textwrap.dedent(text).encode())


def only_problem(text: str, **options):
    (problem,) = read(text, **options).problems
    return problem


SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\n"


def test_every_code_used_here_exists():
    assert {"XDS0101", "XDS0102", "XDS0103", "XDS0104", "XDS0105", "XDS0106", "XDS0107", "XDS0108", "XDS0109"} <= CODES.keys()


def test_documents_and_lists_are_unrolled():
    manifest = read(
        """
        apiVersion: v1
        kind: List
        items:
        - {apiVersion: v1, kind: Service, metadata: {name: a}}
        - apiVersion: v1
          kind: List
          items: [{apiVersion: v1, kind: Namespace, metadata: {name: b}}]
        ---
        # nothing
        ---
        {apiVersion: v1, kind: Node, metadata: {name: c, namespace: ignored}}
        """
    )
    assert manifest.problems == ()
    assert manifest.complete
    assert list(manifest.items) == [
        ObjectKey("Service", "default", "a"),
        ObjectKey("Namespace", "", "b"),
        ObjectKey("Node", "", "c"),
    ]


def test_json_and_yaml_give_the_same_objects():
    value = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "creationTimestamp": None},
        "spec": {"ports": None},
    }
    from_json = read(json.dumps(value), path="a.json").items
    from_yaml = read(json.dumps(value)).items
    assert [item.object for item in from_json.values()] == [item.object for item in from_yaml.values()]
    assert len(from_json) == 1


def test_timestamps_stay_strings():
    text = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  creationTimestamp: 2026-01-02T03:04:05Z\n"
    (item,) = read(text).items.values()
    assert item.object.metadata.creation_timestamp == "2026-01-02T03:04:05Z"


@pytest.mark.parametrize(
    ("spec", "line", "field", "message"),
    [
        ("spec:\n  ports:\n  - name: http\n    port: eighty", 7, "spec.ports[0].port", "is 'eighty'; expected an integer"),
        ("spec:\n  ports:\n  - port: 99999", 6, "spec.ports[0].port", "is 99999; expected an integer <= 65535"),
        ("spec:\n  ports:\n  - port: 123456789012345678901234", 6, "spec.ports[0].port", "expected an integer <= 65535"),
        ("spec:\n  ports:\n  - port: 80.5", 6, "spec.ports[0].port", "is 80.5; expected an integer"),
        ("spec:\n  ports:\n  - {}", 6, "spec.ports[0].port", "is missing"),
        ("spec:\n  ports: {port: 80}", 5, "spec.ports", "is a mapping; expected a list"),
        ("spec:\n  ports: [null]", 5, "spec.ports[0]", "is null; expected a mapping"),
        ("spec: [1]", 4, "spec", "is a list; expected a mapping"),
        ("spec:\n  type: Magic", 5, "spec.type", "is 'Magic'; expected one of ClusterIP, NodePort, LoadBalancer, ExternalName"),
        ("spec:\n  sessionAffinity: yes", 5, "spec.sessionAffinity", "is true; expected a string"),
    ],
)
def test_a_wrong_field_is_named_with_its_line(spec, line, field, message):
    problem = only_problem(SERVICE + spec)
    assert (problem.code, problem.source, problem.field) == ("XDS0102", f"east/a.yaml:{line}", field)
    assert message in problem.message
    assert str(problem.ref) == "Service shop/web in east"


@pytest.mark.parametrize(
    ("metadata", "field", "message", "hint"),
    [
        ("{name: a, labels: {x: '1', country: no}}", "metadata.labels.country", "is false; expected a string", "quotes"),
        ("{name: a, labels: {a.b/c: 1}}", 'metadata.labels["a.b/c"]', "is 1; expected a string", "quotes"),
        ("{name: 7}", "metadata.name", "is 7; expected a string", "quotes"),
        ("{name: Web}", "metadata.name", "is 'Web'; expected lower-case letters", ""),
        ("{name: ''}", "metadata.name", "is empty", ""),
        ("{generateName: a-}", "metadata.name", "is missing", ""),
        ("[]", "metadata", "is a list; expected a mapping", ""),
        ("{name: " + "a" * 300 + "}", "metadata.name", "(300 characters)", ""),
        ('{name: "web\\n"}', "metadata.name", "is 'web\\n'; expected lower-case letters", ""),
        ("{name: a, namespace: [x]}", "metadata.namespace", "is a list; expected a string", ""),
        ("{name: a, namespace: Shop}", "metadata.namespace", "is 'Shop'; expected lower-case letters, digits and '-'", ""),
        ('{name: a, namespace: "shop\\n"}', "metadata.namespace", "is 'shop\\n'; expected lower-case letters", ""),
        ("{name: a, namespace: a.b}", "metadata.namespace", "is 'a.b'", ""),
        ("{name: a, namespace: " + "a" * 64 + "}", "metadata.namespace", "(64 characters)", ""),
    ],
)
def test_wrong_metadata(metadata, field, message, hint):
    problem = only_problem(f"apiVersion: v1\nkind: Service\nmetadata: {metadata}\n")
    assert (problem.code, problem.field) == ("XDS0102", field)
    assert message in problem.message
    assert hint in problem.hint


def test_quotes_around_a_number_are_named():
    assert only_problem(SERVICE + "spec: {ports: [{port: '80'}]}").hint == "leave out the quotes"


@pytest.mark.parametrize(
    ("text", "field", "message"),
    [
        ("kind: Service\nmetadata: {name: a}", "apiVersion", "is missing"),
        ("apiVersion: v1\nmetadata: {name: a}", "kind", "is missing"),
        ("apiVersion: v1\nkind: [Service]", "kind", "is a list; expected a string"),
        ("apiVersion: v1\nkind: ''", "kind", "is missing"),
        ("apiVersion: v1\nkind: Service", "metadata", "is missing"),
        ("apiVersion: v2\nkind: Service", "apiVersion", "is 'v2'; expected v1"),
        (
            "apiVersion: multicluster.x-k8s.io/v1\nkind: ServiceExport",
            "apiVersion",
            "is 'multicluster.x-k8s.io/v1'; expected multicluster.x-k8s.io/v1alpha1 or multicluster.x-k8s.io/v1beta1",
        ),
        ("- a\n- b", "", "found a list; expected a mapping with apiVersion and kind"),
        ("hello world", "", "found 'hello world'; expected a mapping with apiVersion and kind"),
        ("apiVersion: v1\nkind: List\nitems: {}", "items", "is a mapping; expected a list"),
    ],
)
def test_what_is_no_object(text, field, message):
    manifest = read(text)
    (problem,) = manifest.problems
    assert (problem.code, problem.field, problem.message) == ("XDS0102", field, message)
    assert not manifest.complete


def test_kinds_that_we_do_not_read_are_counted_per_kind():
    problems = read(
        """
        {apiVersion: apps/v1, kind: Deployment, metadata: {name: a}}
        ---
        {apiVersion: apps/v1, kind: Deployment, metadata: {name: b}}
        ---
        {apiVersion: serving.knative.dev/v1, kind: Service, metadata: {name: c}}
        """
    )
    assert [(problem.code, problem.severity, problem.message) for problem in problems.problems] == [
        ("XDS0106", Severity.INFO, "2 of kind Deployment (apps/v1) left out: we do not read this kind"),
        ("XDS0106", Severity.INFO, "1 of kind Service (serving.knative.dev/v1) left out: we do not read this kind"),
    ]
    assert problems.complete


@pytest.mark.parametrize(
    ("version", "kind", "meant"),
    [
        ("discovery.k8s.io/v1", "Endpointslice", "kind EndpointSlice, apiVersion discovery.k8s.io/v1"),
        ("discovry.k8s.io/v1", "EndpointSlice", "kind EndpointSlice, apiVersion discovery.k8s.io/v1"),
        ("v1", "EndpointSlice", "kind EndpointSlice, apiVersion discovery.k8s.io/v1"),
        ("v1", "Servcie", "kind Service, apiVersion v1"),
        ("multicluster.k8s.io/v1alpha1", "ServiceExports", "kind ServiceExport, apiVersion multicluster.x-k8s.io/v1alpha1 or "),
        ("multicluster.flomesh.io/v1alpha1", "ServiceExports", "kind ServiceExport, apiVersion multicluster.flomesh.io/v1alpha1"),
        ("flomesh.io/v1alpha1", "GlobalTrafficPolicies", "kind GlobalTrafficPolicy, apiVersion flomesh.io/v1alpha1"),
        ("admiral.io/v1alpha1", "GlobalTrafficPolicy", ""),
        ("gateway.networking.k8s.io/v1", "TCPRoute", ""),
        ("gateway.networking.k8s.io/v1", "GatewayClass", ""),
        ("networking.istio.io/v1", "Gateway", ""),
        ("net.gke.io/v1", "ServiceExport", ""),
        ("serving.knative.dev/v1", "Service", ""),
        ("v1", "Endpoints", ""),
        ("v1", "ServiceAccount", ""),
    ],
)
def test_a_kind_that_is_nearly_one_that_we_read_is_a_warning(version, kind, meant):
    (problem,) = read(f"{{apiVersion: {version}, kind: {kind}, metadata: {{name: a}}}}").problems
    assert (problem.code, problem.hint.startswith(f"did you mean {meant}")) == (
        ("XDS0110", True) if meant else ("XDS0106", False)
    )


MEMBER = "apiVersion: traffic.isthmus.dev/v1alpha1\nkind: MemberCluster\nmetadata: {name: east}\n"


def test_an_object_at_the_wrong_level_is_left_out():
    for text, cluster, words in ((MEMBER, "east", "is fleet-wide"), (SERVICE, "", "belongs to a cluster")):
        manifest = read(text, cluster=cluster)
        (problem,) = manifest.problems
        assert (problem.code, manifest.items, manifest.complete) == ("XDS0107", {}, True)
        assert words in problem.message
    assert len(read(MEMBER, cluster="").items) == 1


def test_the_second_of_two_in_one_file_is_left_out():
    text = SERVICE + "spec: {ports: [{port: 80}]}\n---\n" + SERVICE
    manifest = read(text)
    (problem,) = manifest.problems
    assert problem.code == "XDS0105"
    assert problem.message == "already defined in east/a.yaml:1; this one is ignored"
    assert problem.source == "east/a.yaml:6"
    (item,) = manifest.items.values()
    assert item.object.spec.ports[0].port == 80


def test_two_copies_of_one_text_are_told_at_every_reading():
    content = f"---\n{SERVICE}---\n{SERVICE}".encode()
    first = read_manifest("a.yaml", "east", content)
    again = read_manifest("a.yaml", "east", content, first)
    assert [problem.code for problem in first.problems] == ["XDS0105"]
    assert again.problems == first.problems


@pytest.mark.parametrize(("text", "complete"), [("", False), (" \n\n", False), ("# later\n", True), ("---\nnull\n---\n", True)])
def test_a_file_without_objects_says_so(text, complete):
    manifest = read(text)
    (problem,) = manifest.problems
    assert (problem.code, manifest.complete) == ("XDS0108", complete)


def test_an_error_in_one_document_names_its_own_line_and_spares_the_others():
    manifest = read(SERVICE + "---\na: [\n---\n" + SERVICE.replace("web", "api") + "spec: {ports: [{port: no}]}\n")
    assert [(problem.code, problem.source) for problem in manifest.problems] == [
        ("XDS0101", "east/a.yaml:6"),
        ("XDS0102", "east/a.yaml:10"),
    ]
    assert [key.name for key in manifest.items] == ["web"]
    assert not manifest.complete


def test_a_directive_keeps_the_file_in_one_piece():
    assert len(read("%YAML 1.1\n---\n" + SERVICE + "---\n" + SERVICE.replace("web", "api")).items) == 2


def test_only_documents_that_changed_are_decoded_again():
    others = "".join(f"---\n{SERVICE.replace('web', f'other-{n}')}" for n in range(5))
    first = read_manifest("a.yaml", "east", (SERVICE + others).encode())
    second = read_manifest("a.yaml", "east", (SERVICE + "spec: {ports: [{port: 80}]}\n" + others).encode(), first)
    for key, item in first.items.items():
        assert (second.items[key].object is item.object) == (key.name != "web")
        assert second.items[key].line == item.line + (key.name != "web")


def test_aliases_of_all_documents_together_are_bounded():
    row = "a: &a [" + ", ".join(["x"] * 1000) + "]\nb: [" + ", ".join(["*a"] * 300) + "]\n"
    manifest = read("---\n" + f"{row}---\n# 2\n{row}---\n# 3\n{row}---\n# 4\n{row}")
    (problem,) = manifest.problems
    assert (problem.code, manifest.complete) == ("XDS0104", False)


def test_bytes_that_are_no_text():
    for content in (b"\x80\x00garbage", "a: 1".encode("utf-16"), bytes(range(256))):
        (problem,) = read_manifest("east/x.yaml", "east", content).problems
        assert (problem.code, problem.hint) == ("XDS0101", "save the file as UTF-8")


def test_json_problems_have_lines():
    text = '{"apiVersion": "v1", "kind": "Service",\n "metadata": {"name": "a"},\n "spec": {"ports": [\n  {"port": "x"}]}}'
    assert only_problem(text, path="east/a.json").source == "east/a.json:4"


GATEWAY = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: edge, namespace: shop}\n"
ROUTE = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r, namespace: shop}\n"


def unsupported(text: str) -> tuple[str, ...]:
    manifest = read(text)
    (item,) = manifest.items.values()
    assert manifest.complete
    assert [problem.field for problem in manifest.problems] == list(item.object.unsupported)
    assert {problem.code for problem in manifest.problems} <= {"XDS0402"}
    return item.object.unsupported


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        (GATEWAY + "spec: {listeners: [{name: a, port: 80, tls: {}}]}", ("spec.listeners[0].tls",)),
        (
            GATEWAY + "spec: {infrastructure: {labels: {a: b}}, addresses: [{value: x}]}",
            ("spec.addresses", "spec.infrastructure"),
        ),
        (GATEWAY + "spec: {addresses: []}", ()),
        (GATEWAY + "status: {conditions: [1]}\nspec: {}", ()),
        (GATEWAY + "unsupported: [x]", ("unsupported",)),
        (
            GATEWAY + "spec: {listeners: [{name: a, port: 80, allowedRoutes: {namespaces: {from: Same}}}]}",
            (),
        ),
        (
            GATEWAY + "spec: {listeners: [{name: a, port: 80, allowedRoutes: {namespaces: {from: All}}}]}",
            ("spec.listeners[0].allowedRoutes.namespaces.from",),
        ),
        (
            GATEWAY + "spec: {listeners: [{name: a, port: 80, allowedRoutes: {kinds: [{kind: HTTPRoute}, {kind: TCPRoute}]}}]}",
            ("spec.listeners[0].allowedRoutes.kinds[1].kind",),
        ),
        (
            GATEWAY + "spec: {listeners: [{name: a, port: 80, allowedRoutes: {namespaces: {selector: {}, from: Selector}}}]}",
            ("spec.listeners[0].allowedRoutes.namespaces.from", "spec.listeners[0].allowedRoutes.namespaces.selector"),
        ),
        (
            ROUTE + "spec: {rules: [{matches: [{path: {type: RegularExpression, value: /a.*}}]}]}",
            ("spec.rules[0].matches[0].path.type",),
        ),
        (
            ROUTE + "spec: {rules: [{matches: [{headers: [{name: a, value: b}]}], filters: [{}]}, {filters: [], timeouts: {}}]}",
            ("spec.rules[0].filters[0]", "spec.rules[0].matches[0].headers", "spec.rules[1].timeouts"),
        ),
        (
            ROUTE
            + "spec: {parentRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: g}], rules: [{name: first, "
            + "matches: [{path: {type: PathPrefix, value: /}}], "
            + "backendRefs: [{group: '', kind: Service, name: a, port: 80, weight: 1}]}]}",
            (),
        ),
        (ROUTE + "spec: {rules: [" + "{}, " * 10 + "{a: 1}, {b: 1}]}", ("spec.rules[10].a", "spec.rules[11].b")),
    ],
)
def test_what_a_gateway_or_route_asks_beyond_our_subset_is_named(text, paths):
    assert unsupported(text) == paths


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            ROUTE + "spec: {rules: [{filters: [{type: URLRewrite}]}]}",
            "filter 'URLRewrite' …; the rule answers 500 to what it matches",
        ),
        (
            ROUTE + "spec: {rules: [{backendRefs: [{name: a, filters: [{type: X}]}]}]}",
            "filter 'X' …; the rule answers 500 to what it matches",
        ),
        (ROUTE + "spec: {rules: [{filters: {}}]}", "…; the rule answers 500 to what it matches"),
        (
            ROUTE + "spec: {rules: [{matches: [{path: {type: RegularExpression}}]}]}",
            "'RegularExpression' …; the rule is left out",
        ),
        (ROUTE + "spec: {parentRefs: [{name: a, weird: true}]}", "…; the parentRef is left out"),
        (ROUTE + "spec: {weird: true}", "…; the HTTPRoute is left out"),
        (GATEWAY + "spec: {listeners: [{name: a, port: 80, tls: {}}]}", "…; the listener is left out"),
        (GATEWAY + "weird: {type: X}", "…; the Gateway is left out"),
        (GATEWAY + "spec: {weird: true}", "…; the Gateway is left out"),
    ],
)
def test_what_becomes_of_it_is_told(text, message):
    assert only_problem(text).message == message.replace("…", "is outside the part of the Gateway API that is served")


def test_a_dropped_value_leaves_the_rest_of_the_route():
    manifest = read(ROUTE + "spec:\n  rules:\n  - matches:\n    - path:\n        type: RegularExpression\n        value: /a\n")
    (item,) = manifest.items.values()
    assert item.object.spec.rules[0].matches[0].path.value == "/a"
    (problem,) = manifest.problems
    assert problem.source == "east/a.yaml:8"


def test_a_wrong_type_in_a_route_is_still_an_error():
    for spec in ("{rules: {}}", "[]", "{rules: [3]}", "{rules: [{backendRefs: [{name: a, weight: -1}]}]}", "{hostnames: [1]}"):
        manifest = read(ROUTE + f"spec: {spec}")
        assert [problem.code for problem in manifest.problems] == ["XDS0102"], spec
        assert not manifest.complete


def test_unknown_fields_elsewhere_are_ignored_as_kubernetes_does():
    manifest = read(SERVICE + "spec: {externalName: x, ports: [{port: 80, nodePort: 30000}]}\nmore: {}\n")
    assert (len(manifest.items), manifest.problems) == (1, ())


def test_a_misspelt_list_of_clusters_is_told():
    head = "apiVersion: networking.karmada.io/v1alpha1\nkind: MultiClusterService\nmetadata: {name: pay, namespace: shop}\n"
    text = f"{head}spec: {{types: [CrossCluster], providerCluster: [{{name: east}}]}}\nstatus: {{loadBalancer: {{}}}}\n"
    (problem,) = read(text, cluster="", path="fleet.yaml").problems
    assert (problem.code, problem.field, problem.hint) == ("XDS0112", "spec.providerCluster", "did you mean 'providerClusters'?")


def test_a_misspelt_list_of_services_does_not_silently_drain_them_all():
    head = "apiVersion: traffic.isthmus.dev/v1alpha1\nkind: TrafficOverride\nmetadata: {name: update}\n"
    (problem,) = read(f"{head}spec: {{drain: {{cluster: east, service: [shop/web]}}}}\n", cluster="", path="fleet.yaml").problems
    assert (problem.code, problem.field, problem.hint) == ("XDS0102", "spec.drain.service", "did you mean 'services'?")


def test_a_field_that_is_not_indented_far_enough_is_told_where_it_belongs():
    head = "apiVersion: traffic.isthmus.dev/v1alpha1\nkind: TrafficPolicy\nmetadata: {name: web, namespace: shop}\n"
    tiers = "  tiers:\n  - {name: own, places: [{clusters: ['@own']}]}\n  - name: remote\n    places: [{regions: [us]}]\n"
    text = f"{head}spec:\n  defaultFor: Namespace\n{tiers}  gate: Manual\n"
    (problem,) = read(text, cluster="", path="fleet.yaml").problems
    told = "it is a field of strategy and of tiers; is it indented far enough?"
    assert (problem.code, problem.field, problem.hint) == ("XDS0102", "spec.gate", told)


@pytest.mark.parametrize(
    ("spec", "field", "hint"),
    [
        ("spec: {scope: {exportsOnly: true}}", "spec.scope.exportsOnly", "did you mean 'exportedOnly'?"),
        ("more: {exportedOnly: true}", "more", "known are spec, status"),
        ("spec:\n  stale: {after: 3}", "spec.stale.after", "known are demoteAfterSeconds, removeAfterSeconds"),
    ],
)
def test_unknown_fields_of_our_own_kind_are_named_and_ignored(spec, field, hint):
    head = "apiVersion: traffic.isthmus.dev/v1alpha1\nkind: MemberCluster\nmetadata: {name: east, uid: x}\nstatus: {a: b}\n"
    manifest = read(f"{head}{spec}\n", cluster="", path="fleet.yaml")
    (problem,) = manifest.problems
    assert (len(manifest.items), problem.code, problem.field, problem.hint) == (1, "XDS0112", field, hint)
    assert problem.source in {"fleet.yaml:5", "fleet.yaml:6"}


def test_a_rule_has_at_most_16_backends_so_that_their_weights_fit_into_32_bits():
    backends = ", ".join("{name: web, port: 80, weight: 1000000}" for _ in range(17))
    route = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: web}\n"
    problem = only_problem(f"{route}spec: {{rules: [{{backendRefs: [{backends}]}}]}}\n")
    assert (problem.code, problem.field) == ("XDS0102", "spec.rules[0].backendRefs")
    assert problem.message == "has 17 entries; expected at most 16"


def test_kinds_of_one_name_are_told_apart_by_their_group():
    text = "{{apiVersion: {}, kind: ServiceExport, metadata: {{name: pay}}}}\n"
    groups = ("multicluster.x-k8s.io/v1beta1", "multicluster.flomesh.io/v1alpha1", "flomesh.io/v1alpha1")
    manifest = read("---\n".join(map(text.format, groups)))
    assert manifest.problems == ()
    kinds = ["ServiceExport", "ServiceExport.multicluster.flomesh.io", "ServiceExport.flomesh.io"]
    assert [(key, item.object.kind) for key, item in manifest.items.items()] == [
        (ObjectKey(kind, "default", "pay"), kind) for kind in kinds
    ]


def test_a_kind_is_written_as_its_api_calls_it():
    problem = only_problem("{apiVersion: flomesh.io/v1alpha1, kind: ServiceExport.flomesh.io, metadata: {name: pay}}")
    assert problem.code == "XDS0106"


def test_an_object_of_another_group_that_does_not_validate_is_named_in_full():
    text = "apiVersion: flomesh.io/v1alpha1\nkind: GlobalTrafficPolicy\nmetadata: {name: pay}\nspec: {lbType: Failover}\n"
    problem = only_problem(text)
    assert (problem.code, str(problem.ref).split()[0]) == ("XDS0102", "GlobalTrafficPolicy.flomesh.io")
    assert (problem.field, problem.message) == (
        "spec.lbType",
        "is 'Failover'; expected one of Locality, FailOver, ActiveActive",
    )
    problem = only_problem(text.replace("v1alpha1", "v1beta1"))
    assert (problem.field, problem.message) == ("apiVersion", "is 'flomesh.io/v1beta1'; expected flomesh.io/v1alpha1")
    assert str(problem.ref).startswith("GlobalTrafficPolicy.flomesh.io ")


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ("{rules: [{portNumber: 80, path: /}]}", "spec.rules[0].pathType"),
        ("{rules: [{portNumber: -1, path: /, pathType: Exact}]}", "spec.rules[0].portNumber"),
        ("{pathRewrite: {from: 1}}", "spec.pathRewrite.from"),
    ],
)
def test_where_an_export_of_another_group_does_not_validate(spec, field):
    text = f"{{apiVersion: flomesh.io/v1alpha1, kind: ServiceExport, metadata: {{name: pay}}, spec: {spec}}}"
    assert only_problem(text).field == field
