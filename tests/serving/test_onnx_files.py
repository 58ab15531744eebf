"""Every file that a graph reads is found, wherever in the graph it is named."""

import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from serving.bundle import shipped_model
from serving.errors import InputError
from serving.onnx_files import external_files


def external(name):
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[1])
    tensor.data_location = TensorProto.EXTERNAL
    # Protobuf keeps the order; the location need not come first.
    tensor.external_data.add(key="offset", value="0")
    tensor.external_data.add(key="location", value=name)
    return tensor


def graph(nodes=(), tensors=()):
    return helper.make_graph(list(nodes), "graph", [], [], list(tensors))


def saved(folder, model):
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_tensors_are_found_in_every_place_that_a_graph_has_for_them(tmp_path):
    branch = graph(tensors=[external("in_a_branch")])
    nodes = [
        helper.make_node("Constant", [], ["a"], value=external("in_an_attribute")),
        helper.make_node("If", ["a"], ["b"], then_branch=branch, else_branch=graph()),
    ]
    whole = graph(nodes, [external("weights.bin"), external("../outside")])
    whole.sparse_initializer.append(onnx.SparseTensorProto(values=external("sparse")))
    model = helper.make_model(whole)
    inner = [helper.make_node("Constant", [], ["c"], value=external("in_a_function"))]
    opset = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("ours", "f", [], ["c"], inner, opset))
    model.training_info.add().initialization.CopyFrom(graph(tensors=[external("in_training")]))
    assert external_files(saved(tmp_path, model)) == {
        "weights.bin",
        "../outside",
        "in_a_branch",
        "in_an_attribute",
        "sparse",
        "in_a_function",
        "in_training",
    }


@pytest.mark.parametrize("name", ["default", "fast"])
def test_the_graphs_that_ship_read_no_other_file(name):
    assert external_files(shipped_model(name) / "model.onnx") == set()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_spoilt_graph_is_read_or_refused_in_two_lines(tmp_path, data):
    whole = helper.make_model(graph(tensors=[external("weights.bin")])).SerializeToString()
    content = bytearray(data.draw(st.one_of(st.just(whole), st.binary(max_size=60))))
    for position in data.draw(st.lists(st.integers(0, max(0, len(content) - 1)), max_size=3)):
        content[position : position + 1] = data.draw(st.binary(min_size=1, max_size=1))
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    try:
        external_files(path)
    except InputError as error:
        assert str(error).count("\n") == 1
