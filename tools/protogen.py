#!/usr/bin/env python3
"""Writes C tables and structs for .proto files: protogen.py PROTOC PROTO_DIR OUT_DIR FILE...

For each a/b.proto it writes a_b.pb.h and a_b.pb.c: a struct and a field table per message, a table per
enum and service, and the serialized descriptor. protobuf_index.c lists all files, methods and symbols.
What the tables mean stands in src/codec/protobuf.h. The output depends on the input alone.

Names: message a.b.FooBar.Baz is `struct a_b_foo_bar_baz` with table `a_b_foo_bar_baz_pb`; enum values
stand in the scope of their enum, as protobuf has it: A_B_FOO_BAR_VALUE. A map is a repeated entry
{key, value}; all maps of one file with the same key and value types share one entry struct.

A field with the option [lazy = true] is the bytes of its message, which whoever wants it decodes.

Only proto3 is read, and of it what our files use: no groups, extensions or recursive messages by value.
"""
import os
import re
import subprocess
import sys
import tempfile

# ---- reading descriptors: the little of descriptor.proto that is needed ----


def wire_fields(data):
    """Yields (field number, value) of a serialized message; value is an int or bytes."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        tag = varint()
        if tag & 7 == 0:
            yield tag >> 3, varint()
        elif tag & 7 == 2:
            size = varint()
            yield tag >> 3, data[at:at + size]
            at += size
        else:
            raise SystemExit(f"protogen: wire type {tag & 7} in a descriptor")


# Message of descriptor.proto → {field number: (name, kind)}; a kind in brackets is repeated.
SHAPES = {
    "File": {1: ("name", str), 2: ("package", str), 3: ("dependency", [str]), 4: ("message", ["Message"]),
             5: ("enum", ["Enum"]), 6: ("service", ["Service"]), 12: ("syntax", str)},
    "Message": {1: ("name", str), 2: ("field", ["Field"]), 3: ("message", ["Message"]), 4: ("enum", ["Enum"]),
                7: ("options", "MessageOptions"), 8: ("oneof", ["Oneof"])},
    "MessageOptions": {7: ("map_entry", int)},
    "Field": {1: ("name", str), 3: ("number", int), 4: ("label", int), 5: ("type", int), 6: ("type_name", str),
              8: ("options", "FieldOptions"), 9: ("oneof_index", int), 10: ("json_name", str), 17: ("proto3_optional", int)},
    "FieldOptions": {5: ("lazy", int)},
    "Oneof": {1: ("name", str)},
    "Enum": {1: ("name", str), 2: ("value", ["Value"])},
    "Value": {1: ("name", str), 2: ("number", int)},
    "Service": {1: ("name", str), 2: ("method", ["Method"])},
    "Method": {1: ("name", str), 2: ("input", str), 3: ("output", str), 5: ("client_streaming", int),
               6: ("server_streaming", int)},
}


class Node:
    """A descriptor: its fields are attributes, None or an empty list when absent."""

    def __init__(self, shape, data):
        self.data = data
        for name, kind in SHAPES[shape].values():
            setattr(self, name, [] if isinstance(kind, list) else None)
        for number, value in wire_fields(data):
            if number in SHAPES[shape]:
                self.take(*SHAPES[shape][number], value)

    def take(self, name, kind, value):
        repeated = isinstance(kind, list)
        kind = kind[0] if repeated else kind
        if kind is str:
            value = value.decode()
        elif kind is not int:
            value = Node(kind, value)
        if repeated:
            getattr(self, name).append(value)
        else:
            setattr(self, name, value)


def read_files(protoc, proto_dir, names):
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "set")
        subprocess.run([protoc, f"--proto_path={proto_dir}", f"--descriptor_set_out={out}", *names], check=True)
        with open(out, "rb") as file:
            data = file.read()
    return [Node("File", value) for number, value in wire_fields(data) if number == 1]


# ---- names and types in C ----

TYPES = {1: ("DOUBLE", "double"), 2: ("FLOAT", "float"), 3: ("INT64", "int64_t"), 4: ("UINT64", "uint64_t"),
         5: ("INT32", "int32_t"), 6: ("FIXED64", "uint64_t"), 7: ("FIXED32", "uint32_t"), 8: ("BOOL", "bool"),
         9: ("STRING", "struct span"), 11: ("MESSAGE", None), 12: ("BYTES", "struct span"),
         13: ("UINT32", "uint32_t"), 14: ("ENUM", "int32_t"), 15: ("SFIXED32", "int32_t"),
         16: ("SFIXED64", "int64_t"), 17: ("SINT32", "int32_t"), 18: ("SINT64", "int64_t")}
MESSAGE, BYTES, ENUM, REPEATED = 11, 12, 14, 3

# Field names that C takes for itself.
KEYWORDS = set("auto bool break case char const continue default do double else enum extern float for goto if "
               "inline int long register restrict return short signed sizeof static struct switch typedef "
               "union unsigned void volatile while".split())


def snake(name):
    """foo.BarBaz → foo_bar_baz; GRPCInferenceService → grpc_inference_service"""
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).replace(".", "_").lower()


def member(field):
    return field.name + "_" if field.name in KEYWORDS else field.name


def stem(file_name):
    return file_name.removesuffix(".proto").replace("/", "_")


def span(text):
    return f'{{"{text}", {len(text.encode())}}}'


class Model:
    """All files, with every message and enum by its full name, ".package.Name"."""

    def __init__(self, files):
        self.files, self.tables, self.entries = files, {}, {}
        for file in files:
            if file.syntax != "proto3":
                raise SystemExit(f"protogen: {file.name}: only proto3 is supported")
            file.messages, file.enums = [], []
            self.add_scope(file, "." + file.package, file)
        for file in files:
            self.share_entries(file)

    def add_scope(self, file, scope, node):
        for enum in node.enum:
            enum.full = f"{scope}.{enum.name}"
            enum.c_name, enum.scope = snake(enum.full[1:]), snake(scope[1:]).upper()
            file.enums.append(enum)
            self.tables[enum.full] = enum
        for message in node.message:
            message.full = f"{scope}.{message.name}"
            message.c_name = snake(message.full[1:])
            message.title = message.full[1:]
            message.is_entry = bool(message.options and message.options.map_entry)
            for field in message.field:
                if field.options and field.options.lazy:
                    field.type = BYTES
            file.messages.append(message)
            self.tables[message.full] = message
            self.add_scope(file, message.full, message)

    def share_entries(self, file):
        """One C struct per kind of map in a file: the others take its name and are dropped."""
        kept = {}
        for entry in [m for m in file.messages if m.is_entry]:
            words = [self.word(file, f) for f in entry.field]
            entry.c_name = "_".join([stem(file.name), *map(snake, words), "entry"])
            entry.title = f"map<{words[0]}, {words[1]}>"
            kept.setdefault(entry.c_name, entry)
        file.messages = [m for m in file.messages if not m.is_entry or kept[m.c_name] is m]

    def word(self, file, field):
        if field.type_name:
            return field.type_name.removeprefix(f".{file.package}.").removeprefix(".")
        return TYPES[field.type][0].lower()

    def c_type(self, field):
        if field.type == MESSAGE:
            return f"struct {self.tables[field.type_name].c_name}"
        return TYPES[field.type][1]


# ---- the header ----


def declare(model, field):
    c_type = model.c_type(field)
    if field.label == REPEATED:
        return ["struct {", "    uint32_t count, capacity;", f"    {c_type} *items;", f"}} {member(field)};"]
    star = "*" if field.type == MESSAGE else ""
    lines = [f"{c_type} {star}{member(field)};"]
    if field.proto3_optional:
        lines.insert(0, f"bool has_{field.name};")
    return lines


def struct_lines(model, message):
    lines, oneofs = [], set()
    for field in message.field:
        if field.oneof_index is None or field.proto3_optional:
            lines += declare(model, field)
        elif field.oneof_index not in oneofs:
            oneofs.add(field.oneof_index)
            choices = [f for f in message.field if f.oneof_index == field.oneof_index]
            name = message.oneof[field.oneof_index].name
            lines.append(f"uint32_t which_{name}; /* the number of the field that is set, or 0 */")
            lines += ["union {", *("    " + line for f in choices for line in declare(model, f)), "};"]
    if not message.field:
        lines.append("char unused; /* C has no empty structs */")
    return [f"struct {message.c_name} {{", *("    " + line for line in lines), "};",
            f"extern const struct pb_message {message.c_name}_pb;", ""]


def header(model, file):
    guard = "TENSORD_CODEC_" + stem(file.name).upper() + "_PB_H"
    out = [f"/* Generated from {file.name} by tools/protogen.py; see codec/protobuf.h. */",
           f"#ifndef {guard}", f"#define {guard}", "", '#include "codec/protobuf.h"']
    out += [f'#include "codec/{stem(name)}.pb.h"' for name in file.dependency]
    out.append("")
    for enum in file.enums:
        out.append(f"enum {enum.c_name} {{")
        out += [f"    {enum.scope}_{value.name} = {value.number or 0}," for value in enum.value]
        out += ["};", f"extern const struct pb_enum {enum.c_name}_pb;", ""]
    for message in file.messages:
        out += [f"struct {message.c_name};"]
    out.append("")
    for message in file.messages:
        out += struct_lines(model, message)
    out += [f"extern const struct pb_service {snake(f'{file.package}.{s.name}')}_pb;" for s in file.service]
    out += [f"extern const struct pb_file {stem(file.name)}_proto;", "", "#endif"]
    return "\n".join(out) + "\n"


# ---- the tables ----


def presence(message, field):
    """The C initialiser of how a field says that it is set, and where."""
    struct = f"struct {message.c_name}"
    if field.proto3_optional:
        return f".presence = PB_OPTIONAL, .presence_offset = offsetof({struct}, has_{field.name})"
    if field.oneof_index is not None:
        name = message.oneof[field.oneof_index].name
        return f".presence = PB_ONEOF, .presence_offset = offsetof({struct}, which_{name})"
    return ".presence = PB_ALWAYS" if message.is_entry else ".presence = PB_IMPLICIT"


def field_row(model, message, field):
    parts = [f".number = {field.number}", f".type = PB_{TYPES[field.type][0]}",
             f".offset = offsetof(struct {message.c_name}, {member(field)})", presence(message, field)]
    if field.label == REPEATED:
        parts.append(".repeated = true")
    parts += [f".name = {span(field.name)}", f".json_name = {span(field.json_name)}"]
    if field.type == MESSAGE:
        parts.append(f".message = &{model.tables[field.type_name].c_name}_pb")
    if field.type == ENUM:
        parts.append(f".enumeration = &{model.tables[field.type_name].c_name}_pb")
    return "    {" + ", ".join(parts) + "},"


def message_table(model, message):
    fields = sorted(message.field, key=lambda field: field.number)
    dense = 0
    while dense < len(fields) and fields[dense].number == dense + 1:
        dense += 1
    out, rows = [], "NULL"
    if fields:
        rows = f"{message.c_name}_fields"
        out = [f"static const struct pb_field {rows}[] = {{",
               *(field_row(model, message, field) for field in fields), "};"]
    out += [f"const struct pb_message {message.c_name}_pb = {{",
            f"    .name = {span(message.title)}, .fields = {rows}, .field_count = {len(fields)}, .dense = {dense},",
            f"    .size_bytes = sizeof(struct {message.c_name}), .map_entry = {'true' if message.is_entry else 'false'},",
            "};", ""]
    return out


def enum_table(enum):
    return [f"static const struct pb_enum_value {enum.c_name}_values[] = {{",
            *(f"    {{{span(value.name)}, {value.number or 0}}}," for value in enum.value), "};",
            f"const struct pb_enum {enum.c_name}_pb = "
            f"{{{span(enum.full[1:])}, {enum.c_name}_values, {len(enum.value)}}};", ""]


def service_table(model, file, service):
    full = f"{file.package}.{service.name}"
    name = snake(full)
    out = [f"static const struct pb_method {name}_methods[] = {{"]
    for method in service.method:
        streams = [f".{side}_streaming = true" for side in ("client", "server") if getattr(method, f"{side}_streaming")]
        out.append("    {" + ", ".join([f".name = {span(method.name)}", f".path = {span(f'/{full}/{method.name}')}",
                                        f".input = &{model.tables[method.input].c_name}_pb",
                                        f".output = &{model.tables[method.output].c_name}_pb",
                                        *streams]) + "},")
    return out + ["};", f"const struct pb_service {name}_pb = "
                  f"{{{span(full)}, {name}_methods, {len(service.method)}}};", ""]


def file_table(file):
    name = stem(file.name)
    out = [f"static const unsigned char {name}_descriptor[] = {{"]
    out += ["    " + ", ".join(str(byte) for byte in file.data[at:at + 24]) + ","
            for at in range(0, len(file.data), 24)]
    out.append("};")
    dependencies = services = "NULL"
    if file.dependency:
        dependencies = f"{name}_dependencies"
        out += [f"static const struct pb_file *const {dependencies}[] = {{",
                *(f"    &{stem(other)}_proto," for other in file.dependency), "};"]
    if file.service:
        services = f"{name}_services"
        out += [f"static const struct pb_service *const {services}[] = {{",
                *(f"    &{snake(f'{file.package}.{s.name}')}_pb," for s in file.service), "};"]
    return out + [f"const struct pb_file {name}_proto = {{",
                  f"    .name = {span(file.name)},",
                  f"    .descriptor = {{(const char *){name}_descriptor, sizeof {name}_descriptor}},",
                  f"    .dependencies = {dependencies}, .dependency_count = {len(file.dependency)},",
                  f"    .services = {services}, .service_count = {len(file.service)},", "};"]


def source(model, file):
    out = [f"/* Generated from {file.name} by tools/protogen.py; see codec/protobuf.h. */",
           f'#include "codec/{stem(file.name)}.pb.h"', ""]
    for enum in file.enums:
        out += enum_table(enum)
    for message in file.messages:
        out += message_table(model, message)
    for service in file.service:
        out += service_table(model, file, service)
    return "\n".join(out + file_table(file)) + "\n"


# ---- the index over all files ----


def symbols_of(scope, node):
    """Every full name that a descriptor declares, without the leading dot."""
    for enum in node.enum:
        yield f"{scope}.{enum.name}"
        yield from (f"{scope}.{value.name}" for value in enum.value)
    for message in node.message:
        full = f"{scope}.{message.name}"
        yield full
        yield from (f"{full}.{item.name}" for item in message.field + message.oneof)
        yield from symbols_of(full, message)


def file_symbols(file):
    yield from symbols_of(file.package, file)
    for service in file.service:
        yield f"{file.package}.{service.name}"
        yield from (f"{file.package}.{service.name}.{method.name}" for method in service.method)


def index(files):
    symbols = sorted((symbol, stem(file.name)) for file in files for symbol in file_symbols(file))
    methods = sorted((f"/{file.package}.{s.name}/{m.name}", f"{snake(f'{file.package}.{s.name}')}_pb", at)
                     for file in files for s in file.service for at, m in enumerate(s.method))
    out = ["/* Generated by tools/protogen.py; see codec/protobuf_files.h. */", '#include "codec/protobuf_files.h"']
    out += [f'#include "codec/{stem(file.name)}.pb.h"' for file in files]
    out += ["", "const struct pb_file *const pb_files[] = {",
            *(f"    &{stem(file.name)}_proto," for file in files), "};",
            f"const size_t pb_file_count = {len(files)};", "",
            "const struct pb_route pb_routes[] = {",
            *(f"    {{{span(path)}, &{service}, {at}}}," for path, service, at in methods), "};",
            f"const size_t pb_route_count = {len(methods)};", "",
            "const struct pb_symbol pb_symbols[] = {",
            *(f"    {{{span(symbol)}, &{file}_proto}}," for symbol, file in symbols), "};",
            f"const size_t pb_symbol_count = {len(symbols)};"]
    return "\n".join(out) + "\n"


def main(protoc, proto_dir, out_dir, *names):
    files = read_files(protoc, proto_dir, names)
    model = Model(files)
    texts = {"protobuf_index.c": index(files)}
    for file in files:
        texts[stem(file.name) + ".pb.h"] = header(model, file)
        texts[stem(file.name) + ".pb.c"] = source(model, file)
    for name, text in texts.items():
        with open(os.path.join(out_dir, name), "w", encoding="utf-8") as out:
            out.write(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
