"""infra/kubernetes/serving: in keeping with the server, the step `deploy` and the overlays."""

import shutil

import pytest
from click.testing import CliRunner

from components.deploy.step import PREVIOUS, SERVED
from pipeline.cli.options import cluster_of, cluster_options
from pipeline.cli.serve import serve
from pipeline.serving import DRAINING, MODEL, VERSION
from tests.infra.test_network_policies import API, DISGUISED, INTERNET, MLFLOW, NEIGHBOUR, S3, Place, reaches
from tests.support.manifests import FOLDER, OVERLAYS, Object, built, faults, one, pods, variables

SERVING = "serving"
POLICY = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
NAME_LABEL = "kubernetes.io/metadata.name"
POD = Place("fashion", {"app.kubernetes.io/name": "serving"})


def test_the_step_deploy_finds_the_deployment_and_may_change_no_other():
    import click

    @click.command()
    @cluster_options
    def named(**options):
        click.echo(cluster_of(options).deployment)

    result = CliRunner().invoke(named, ["--image", "x:1", "--deploy"])
    namespace, name = result.output.strip().split("/")
    role = one(SERVING, "Role", "fashion-deployer", namespace)
    assert one(SERVING, "Deployment", name, namespace)
    assert role["rules"] == [
        {
            "apiGroups": ["apps"],
            "resources": ["deployments"],
            "resourceNames": [name],
            "verbs": ["get", "patch"],
        },
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
    ]
    binding = one(SERVING, "RoleBinding", "fashion-deployer", namespace)
    assert binding["roleRef"]["name"] == "fashion-deployer"
    runner = one("base", "ServiceAccount", "fashion-runner")["metadata"]
    assert binding["subjects"] == [{"kind": "ServiceAccount"} | {k: runner[k] for k in ("name", "namespace")}]


def test_of_the_deployment_the_steps_may_change_the_version_alone():
    """What the policy lets through, a cluster says: tests/e2e/test_deploy.py."""
    policy, bound = (one(SERVING, kind, "fashion-deployer.fashion") for kind in POLICY)
    (account,) = policy["spec"]["matchConditions"]
    runner = one("base", "ServiceAccount", "fashion-runner")["metadata"]
    user = f"system:serviceaccount:{runner['namespace']}:{runner['name']}"
    assert account["expression"] == f'request.userInfo.username == "{user}"'
    assert (policy["spec"]["failurePolicy"], bound["spec"]["validationActions"]) == ("Fail", ["Deny"])
    assert bound["spec"]["policyName"] == policy["metadata"]["name"]
    assert bound["spec"]["matchResources"]["namespaceSelector"]["matchLabels"] == {NAME_LABEL: "fashion"}
    of_deployment, of_pods, _ = (each["expression"] for each in policy["spec"]["validations"])
    assert (PREVIOUS in of_deployment, SERVED in of_pods) == (True, True)


def test_a_pod_serves_the_version_of_its_annotation_and_is_left_in_peace():
    spec = one(SERVING, "Deployment", "serving")["spec"]
    assert "replicas" not in spec  # or each `kubectl apply` would undo what the autoscaler did
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    pod = spec["template"]
    (container,) = pod["spec"]["containers"]
    environment = variables(container)
    assert environment[VERSION] == {"fieldRef": {"fieldPath": f"metadata.annotations['{SERVED}']"}}
    assert environment[MODEL] == "fashion-mnist"
    command = serve.make_context("serve", container["command"][2:])
    assert (command.params["port"], container["command"][:2]) == (8080, ["fashion", "serve"])
    (service,) = one(SERVING, "Service", "serving")["spec"]["ports"]
    assert service["targetPort"] == container["ports"][0]["name"]
    assert f"touch ${DRAINING} " in container["lifecycle"]["preStop"]["exec"]["command"][-1]
    assert environment[DRAINING].startswith(container["volumeMounts"][0]["mountPath"] + "/")
    for kind in ("PodDisruptionBudget", "Service"):
        selector = one(SERVING, kind, "serving")["spec"]["selector"]
        assert pod["metadata"]["labels"].items() >= selector.get("matchLabels", selector).items()
    scaled = one(SERVING, "HorizontalPodAutoscaler", "serving")["spec"]
    assert (scaled["scaleTargetRef"]["name"], scaled["minReplicas"] > 1) == ("serving", True)


def test_without_the_annotation_it_is_the_champion(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(VERSION, "")
    assert serve.make_context("serve", []).params["number"] is None
    monkeypatch.setenv(VERSION, "7")
    assert serve.make_context("serve", []).params["number"] == 7


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize(
    ("source", "target", "port", "reached"),
    [
        (POD, MLFLOW, 5000, True),
        (POD, S3, 9000, False),
        (POD, INTERNET, 443, False),
        (POD, API, 6443, False),
        (NEIGHBOUR, POD, 8080, False),
        (MLFLOW, POD, 8080, False),
        (DISGUISED, POD, 8080, False),
        (INTERNET, POD, 8080, False),
    ],
)
def test_who_reaches_whom(overlay, source, target, port, reached):
    policies = [each for each in (*built(overlay), *built(SERVING)) if each["kind"] == "NetworkPolicy"]
    assert reaches(policies, source, target, port) == reached
    (rule,) = one(SERVING, "NetworkPolicy", "serving-from-clients")["spec"]["ingress"]
    (clients,) = rule["from"]
    assert clients == {"namespaceSelector": {"matchLabels": {"fashion-pipeline/serving-client": "true"}}}


def test_names_are_changed_in_one_place(tmp_path):
    copied = shutil.copytree(FOLDER, tmp_path / "kubernetes") / SERVING
    (copied / "shared/settings.env").write_text("namespace=vision\nkfp_namespace=team-a\nmodel=garments\n")
    namespaced = [each for each in built(copied) if each["kind"] not in POLICY]
    assert {each["metadata"]["namespace"] for each in namespaced} == {"vision"}
    policy, bound = (one(copied, kind, "fashion-deployer.vision") for kind in POLICY)
    assert (
        '"system:serviceaccount:team-a:fashion-runner"' in policy["spec"]["matchConditions"][0]["expression"]
    )
    assert bound["spec"]["policyName"] == "fashion-deployer.vision"
    assert bound["spec"]["matchResources"]["namespaceSelector"]["matchLabels"] == {NAME_LABEL: "vision"}
    (subject,) = one(copied, "RoleBinding", "fashion-deployer")["subjects"]
    assert subject["namespace"] == "team-a"
    assert variables(pods(copied)["serving"]["spec"]["containers"][0])[MODEL] == "garments"
    kserve = built(copied / "kserve")
    assert {each["metadata"]["namespace"] for each in kserve} == {"vision"}
    predictor = one(copied / "kserve", "InferenceService", "fashion-mnist")["spec"]["predictor"]
    assert variables(predictor["containers"][0])[MODEL] == "garments"
    assert not [each for each in (*built(copied), *kserve) if each["kind"] == "ConfigMap"]


def millicores(container: Object) -> int:
    return int(container["resources"]["requests"]["cpu"].removesuffix("m"))


def test_kserve_runs_the_same_pod():
    predictor = one(f"{SERVING}/kserve", "InferenceService", "fashion-mnist")["spec"]["predictor"]
    (ours,) = pods(SERVING)["serving"]["spec"]["containers"]
    (theirs,) = predictor["containers"]
    assert not faults({"spec": predictor})
    for key in ("image", "command", "securityContext", "lifecycle", "volumeMounts"):
        assert theirs[key] == ours[key], key
    assert theirs["resources"]["limits"] == ours["resources"]["limits"]
    without_version = {name: value for name, value in variables(ours).items() if name != VERSION}
    assert variables(theirs) == without_version
    labels = one(SERVING, "Deployment", "serving")["spec"]["selector"]["matchLabels"]
    assert predictor["labels"].items() >= labels.items()
    assert predictor["scaleTarget"] <= 100  # KServe's webhook refuses more
    (metric,) = one(SERVING, "HorizontalPodAutoscaler", "serving")["spec"]["metrics"]
    ours_at = metric["resource"]["target"]["averageUtilization"] * millicores(ours)
    assert predictor["scaleTarget"] * millicores(theirs) == ours_at


@pytest.mark.parametrize(
    ("folder", "kind"), [(SERVING, "Deployment"), (f"{SERVING}/kserve", "InferenceService")]
)
def test_either_way_a_pod_reaches_mlflow_in_the_closed_namespace(folder: str, kind: str):
    assert [each for each in built(folder) if each["kind"] == kind]
    policies = [each for each in (*built("base"), *built(folder)) if each["kind"] == "NetworkPolicy"]
    assert reaches(policies, POD, MLFLOW, 5000)
    assert not reaches(policies, NEIGHBOUR, POD, 8080)
