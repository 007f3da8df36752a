"""Tolerations, labels and accelerators, as the command line gives them."""

import pytest

from components.common.errors import ParameterError
from pipeline.kubeflow.definition.resources import (
    Cluster,
    Toleration,
    check_accelerator,
    check_deployment,
    parse_label,
    parse_toleration,
)


def test_a_toleration_is_parsed_as_kubectl_writes_a_taint():
    assert parse_toleration("nvidia.com/gpu") == Toleration("nvidia.com/gpu")
    assert parse_toleration("a=b:NoExecute") == Toleration("a", "b", "NoExecute")
    with pytest.raises(ParameterError):
        parse_toleration("a=b:Never")


def test_a_label_is_a_key_and_a_value():
    assert parse_label("example.org/pool=a") == ("example.org/pool", "a")
    assert parse_label("pool=") == ("pool", "")
    for text in ("pool", "=a", "a b=c", "/pool=a"):
        with pytest.raises(ParameterError):
            parse_label(text)


def test_an_accelerator_is_a_resource_of_a_domain():
    assert check_accelerator("amd.com/gpu") == "amd.com/gpu"
    with pytest.raises(ParameterError):
        check_accelerator("gpu")


def test_a_deployment_is_a_namespace_and_a_name():
    assert check_deployment("fashion/serving") == "fashion/serving"
    assert check_deployment("") == ""
    for text in ("serving", "Fashion/serving", "fashion/serving/x", "fashion/-x", "/"):
        with pytest.raises(ParameterError):
            check_deployment(text)


def test_nodes_with_gpus_are_selected_only_for_gpus():
    assert Cluster("x:1").selector == {"nvidia.com/gpu.present": "true"}
    assert Cluster("x:1", accelerator="amd.com/gpu").tolerated == (Toleration("amd.com/gpu"),)
    assert (Cluster("x:1", gpus=0).selector, Cluster("x:1", gpus=0).tolerated) == ({}, ())
    assert Cluster("x:1", node_selector={}, tolerations=()).selector == {}
