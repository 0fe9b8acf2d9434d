"""Our .proto files against the descriptors that an installed client carries: every message, field,
enum, service and method of theirs must be in ours, with the same number, type and label."""
import pathlib
import subprocess

import pytest
from google.protobuf import descriptor_pb2
from tritonclient.grpc import model_config_pb2, service_pb2

PROTO = pathlib.Path(__file__).parent.parent / "proto"

# What ours have and theirs have not: of the Open Inference Protocol.
EXTRA = {
    ".inference.ModelMetadataResponse.PropertiesEntry",
    ".inference.ModelMetadataResponse.PropertiesEntry.key",
    ".inference.ModelMetadataResponse.PropertiesEntry.value",
    ".inference.ModelMetadataResponse.properties",
}


def field_facts(message, field):
    oneof = message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else None
    return (field.number, field.type, field.label, field.type_name, oneof, field.proto3_optional)


def facts_of(scope, node):
    """{full name: what must agree} of all that a file or message declares."""
    facts = {}
    for enum in node.enum_type:
        facts[f"{scope}.{enum.name}"] = {value.name: value.number for value in enum.value}
    messages = node.message_type if hasattr(node, "message_type") else node.nested_type
    for message in messages:
        full = f"{scope}.{message.name}"
        facts[full] = message.options.map_entry
        facts |= {f"{full}.{field.name}": field_facts(message, field) for field in message.field}
        facts |= facts_of(full, message)
    return facts


def file_facts(file):
    facts = facts_of("." + file.package, file)
    for service in file.service:
        for method in service.method:
            facts[f".{file.package}.{service.name}/{method.name}"] = (
                method.input_type, method.output_type, method.client_streaming, method.server_streaming)
    return facts


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    out = tmp_path_factory.mktemp("protos") / "set"
    names = [str(path.relative_to(PROTO)) for path in PROTO.rglob("*.proto")]
    subprocess.run(["protoc", f"--proto_path={PROTO}", f"--descriptor_set_out={out}", *names], check=True)
    return {file.name: file for file in descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file}


@pytest.mark.parametrize("name, module", [("inference.proto", service_pb2), ("model_config.proto", model_config_pb2)])
def test_ours_agree_with_the_client(ours, name, module):
    theirs = file_facts(descriptor_pb2.FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb))
    mine = {key: value for key, value in file_facts(ours[name]).items() if key not in EXTRA}
    assert len(theirs) > 100
    assert mine == theirs


def test_both_reflection_versions_are_the_same_but_for_the_package(ours):
    old = ours["grpc/reflection/v1alpha/reflection.proto"].SerializeToString()
    new = ours["grpc/reflection/v1/reflection.proto"].SerializeToString()
    assert file_facts(descriptor_pb2.FileDescriptorProto.FromString(new)).keys() == {
        key.replace("v1alpha", "v1")
        for key in file_facts(descriptor_pb2.FileDescriptorProto.FromString(old))}
