#!/usr/bin/env python3
"""Translates PTX into C that runs on the fibers of tests/simt (runtime.h), so that the tests run what nvcc made of a
kernel and not only its source.

    ptx2c.py FILE.ptx -o FILE.c
    ptx2c.py --table NAME... -o FILE.c     the list of the modules of FILE.ptx, by name

Registers become integers, labels gotos, and each access to memory goes through a check (ptx.h): a range that the
runtime knows, and its alignment. Statements carry the line of the .cu (-lineinfo), so reports and debuggers name it.
A statement that is not known here stops the translation.
"""
import argparse
import os
import re
import sys

import ptxops
from ptxparse import BITS, PtxError, Statement, read

C_TYPES = {1: "uint32_t", 8: "uint8_t", 16: "uint16_t", 32: "uint32_t", 64: "uint64_t"}


def word(name):
    return re.sub(r"\W", "_", name)


class Names:
    """What a function's names are in C: registers by scope, labels, and the addresses of symbols."""

    def __init__(self, module, function, module_id):
        self.is_entry = function.is_entry
        self.scopes = [{}]
        self.symbols = {}
        self.shared = []
        self.used_dynamic = False
        text = " ".join(i.text for i in function.items if isinstance(i, Statement))
        words = set(re.findall(r"[$\w]+", text))
        for v in [v for v in module.variables if v.space == "shared" and v.name in words] + function.shared:
            if v.size == 0:
                self.symbols[v.name] = "t->dynamic"
                self.used_dynamic = True
            else:
                self.symbols[v.name] = f"t->shared[{len(self.shared)}].at"
                self.shared.append(v)
        for v in module.variables:
            if v.space in ("global", "const"):
                self.symbols[v.name] = f"(uint64_t)(uintptr_t)g_{module_id}_{word(v.name)}"
        offset = 0
        for v in function.params:
            if function.is_entry:
                offset = (offset + v.align - 1) // v.align * v.align
                self.symbols[v.name] = f"((uint64_t)(uintptr_t)t->args + {offset}u)"
                offset += v.size
            else:
                self.symbols[v.name] = f"(uint64_t)(uintptr_t)p_{word(v.name)}"
        self.args_bytes = offset
        if function.result:
            self.symbols[function.result.name] = f"(uint64_t)(uintptr_t)p_{word(function.result.name)}"

    def declare(self, text, statement):
        match = re.match(r"\.reg\s+\.(\w+)\s+(.*)$", text)
        if not match or match.group(1) not in BITS:
            raise statement.error("registers that cannot be read")
        bits, found = BITS[match.group(1)], []
        for name in match.group(2).split(","):
            many = re.fullmatch(r"\s*(%?[$\w]+)<(\d+)>\s*", name)
            for one in [f"{many.group(1)}{k}" for k in range(int(many.group(2)))] if many else [name.strip()]:
                self.scopes[-1][one] = bits
                found.append(one)
        return f"{C_TYPES[bits]} " + ", ".join(map(self.register, found)) + ";"

    def width(self, name):
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        raise PtxError(f"the register {name} is not declared")

    def is_register(self, name):
        return any(name in scope for scope in self.scopes)

    def register(self, name):
        self.width(name)
        return "r_" + word(name.lstrip("%")) + ("_p" if name.startswith("%") else "")

    def label(self, name):
        return "L" + word(name)

    def address(self, text):
        match = re.fullmatch(r"([$\w]+)(?:\+(\d+))?", text)
        if not match or match.group(1) not in self.symbols:
            return None
        return f"({self.symbols[match.group(1)]} + {match.group(2) or 0}u)"


class Emitter:
    """One function's C."""

    def __init__(self, module, function, module_id, sites):
        self.function, self.id, self.sites = function, module_id, sites
        self.names = Names(module, function, module_id)
        self.functions = {f.name: f for f in module.functions}
        self.blocks, self.out = [], []
        self.tables = {}
        self.fresh = True
        self.call_params = []

    def site(self, statement):
        file, line = statement.source or ("?", 0)
        self.sites.append((file, line, statement.line, statement.text[:96]))
        return len(self.sites) - 1

    def block(self):
        if self.fresh:
            self.out.append(f"    PTX_BLOCK(counts_{self.id}_{self.index}, {len(self.blocks)});")
            self.blocks.append([0, 0, 0, 0])
            self.fresh = False

    def emit(self, index):
        self.index = index
        items = self.function.items
        skip = set()
        for n, item in enumerate(items):  # tables of brx.idx stand behind a label of their own
            if isinstance(item, tuple) and n + 1 < len(items) and isinstance(items[n + 1], Statement) \
                    and items[n + 1].text.startswith(".branchtargets"):
                self.tables[item[1]] = [x.strip() for x in items[n + 1].text.split(None, 1)[1].split(",")]
                skip |= {n, n + 1}
        for n, item in enumerate(items):
            if n in skip:
                continue
            if item == "{":
                self.names.scopes.append({})
                self.call_params.append([])
                self.out.append("    {")
            elif item == "}":
                self.names.scopes.pop()
                for name in self.call_params.pop():
                    del self.names.symbols[name]
                self.out.append("    }")
            elif isinstance(item, tuple):
                self.out.append(f"{self.names.label(item[1])}:;")
                self.fresh = True
            else:
                self.statement(item)

    def statement(self, statement):
        text = statement.text
        if text.startswith(".reg"):
            self.out.append("    " + self.names.declare(text, statement))
            return
        if text.startswith((".local", ".param")):
            self.array(statement)
            return
        if text.startswith("."):
            raise statement.error("a directive that is not known here")
        if statement.source:
            self.out.append(f'#line {statement.source[1]} "{statement.source[0]}"')
        self.block()
        special = re.match(r"(?:@!?\S+\s+)?(call|brx)\b", text)
        if special:
            code = self.call(statement) if special.group(1) == "call" else self.switch(statement)
            self.blocks[-1][0] += 1
        else:
            i = ptxops.Instruction(statement, self.names, len(self.sites))
            code = ptxops.translate(i)
            if "t, " in code or "ptx_site" in code:
                self.site(statement)
            for k, amount in enumerate(ptxops.cost(i)):
                self.blocks[-1][k] += amount
            self.fresh = i.base == "bra"
        self.out.append("    " + code)

    def array(self, statement):
        match = re.match(r"\.(local|param)\s+(?:\.align\s+(\d+)\s+)?\.(\w+)\s+([$\w]+)(?:\[(\d+)\])?$", statement.text)
        if not match:
            raise statement.error("a variable that cannot be read")
        space, align, kind, name, count = match.groups()
        size = BITS[kind] // 8 * int(count or 1)
        c_name = f"a_{word(name)}"
        self.out.append(f"    _Alignas({max(int(align or 1), 8)}) unsigned char {c_name}[{max(size, 8)}];")
        self.names.symbols[name] = f"(uint64_t)(uintptr_t){c_name}"
        if space == "local":
            self.out.append(f"    ptx_local_add(t, {c_name}, {size}u);")
        elif self.call_params:
            self.call_params[-1].append(name)

    def call(self, statement):
        match = re.match(r"(?:@(!?)(%\w+)\s+)?call(?:\.uni)?\s+(?:\(([^()]*)\)\s*,\s*)?([$\w]+)\s*(?:,\s*\(([^()]*)\))?", statement.text)
        if not match or match.group(4) not in self.functions:
            raise statement.error("a call of a function that is not here")
        bang, guard, result, name, params = match.groups()
        values = [x.strip() for x in (result or "").split(",") + (params or "").split(",") if x.strip()]
        code = f"f_{self.id}_{word(name)}(" + ", ".join(["t"] + [f"a_{word(v)}" for v in values]) + ");"
        return f"if ({bang}{self.names.register(guard)}) {{ {code} }}" if guard else code

    def switch(self, statement):
        match = re.match(r"(?:@(!?)(%\w+)\s+)?brx\.idx(?:\.uni)?\s+(%\w+)\s*,\s*([$\w]+)$", statement.text)
        if not match or match.group(4) not in self.tables:
            raise statement.error("a branch by table that cannot be read")
        bang, guard, index, table = match.groups()
        code = f"switch ({self.names.register(index)}) {{ "
        code += " ".join(f"case {k}: goto {self.names.label(x)};" for k, x in enumerate(self.tables[table]))
        code += f" default: ptx_fail(t, {self.site(statement)}, \"a branch beyond its table\"); }}"
        self.fresh = True
        return f"if ({bang}{self.names.register(guard)}) {code}" if guard else code


def signature(function, module_id):
    params = ([function.result] if function.result else []) + function.params if not function.is_entry else []
    text = "".join(f", unsigned char *p_{word(v.name)}" for v in params)
    return f"static void f_{module_id}_{word(function.name)}(struct ptx_thread *t{text})"


def c_string(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def normal(symbol):
    """The mangled name without what two compilers write differently: internal linkage and the anonymous namespace."""
    symbol = re.sub(r"^_ZL(?=\d)", "_Z", symbol)
    out, at = "", 0
    for match in re.finditer(r"(\d+)(?=_GLOBAL__N_)", symbol):
        if match.start() >= at:
            out += symbol[at:match.start()] + "12_GLOBAL__N_1"
            at = match.end() + int(match.group(1))
    return out + symbol[at:]


def generate(module, module_id, name):
    out = [f"/* From {name} by ptx2c.py. */", '#include "simt/ptx/ptx.h"', ""]
    for v in module.variables:
        if v.space in ("global", "const"):
            values = ", ".join(str(b) for b in v.init or b"") or "0"
            out.append(f"static unsigned char g_{module_id}_{word(v.name)}[{max(v.size, 1)}] "
                       f"__attribute__((aligned({v.align}))) = {{ {values} }};")
    held = [v for v in module.variables if v.space in ("global", "const")]
    out.append(f"static const struct ptx_range globals_{module_id}[] = {{")
    out += [f"    {{ (uintptr_t)g_{module_id}_{word(v.name)}, {v.size} }}," for v in held] + ["    { 0, 0 }", "};"]
    out += [signature(f, module_id) + ";" for f in module.functions]
    entries, sites = [], []
    for index, function in enumerate(module.functions):
        e = Emitter(module, function, module_id, sites)
        e.emit(index)
        tag = f"{module_id}_{index}"
        out.append(f"static uint64_t counts_{tag}[{len(e.blocks) or 1}];")
        out.append(signature(function, module_id) + " {")
        out.append("    int n_local = t->n_local;\n    void *at;")
        out += e.out
        out += ["    t->n_local = n_local;", "}", f'#line 1 "{name}"']
        out.append(f"static const struct ptx_work work_{tag}[] = {{")
        out += ["    { " + ", ".join(map(str, b)) + " }," for b in e.blocks or [[0] * 4]] + ["};"]
        out.append(f"static const struct ptx_variable shared_{tag}[] = {{")
        out += [f"    {{ {v.size}, {v.align} }}," for v in e.names.shared] + ["    { 0, 0 }", "};"]
        out.append(f"static simt_slot slots_{tag}[{len(e.names.shared) or 1}];")
        if not function.is_entry and e.names.shared:
            raise PtxError(f"shared memory of {function.name}, which is called, is not known here")
        if function.is_entry:
            entries.append((function, e, tag))
    out.append(f"static const struct ptx_site sites_{module_id}[] = {{")
    out += [f"    {{ {c_string(f)}, {line}, {ptx_line}, {c_string(text)} }}," for f, line, ptx_line, text in sites]
    out += ["    { 0, 0, 0, 0 }", "};"]
    for function, e, tag in entries:
        out.append(f"static void thunk_{tag}(const void *function, const unsigned char *args);")
        out.append(f"static const struct ptx_kernel kernel_{tag} = {{ {c_string(normal(function.name))}, thunk_{tag}, "
                   f"shared_{tag}, slots_{tag}, {len(e.names.shared)}, {int(e.names.used_dynamic)}, {e.names.args_bytes}, "
                   f"{function.max_threads}, sites_{module_id}, {len(sites)}, work_{tag}, counts_{tag}, {len(e.blocks)}, "
                   f"globals_{module_id} }};")
        out.append(f"static void thunk_{tag}(const void *function, const unsigned char *args) {{")
        out.append(f"    struct ptx_thread t;\n    ptx_begin(&t, &kernel_{tag}, args);")
        out.append(f"    f_{module_id}_{word(function.name)}(&t);\n    ptx_end(&t);\n}}")
    out.append(f"const struct ptx_kernel *const ptx_module_{module_id}[] = {{")
    out += [f"    &kernel_{tag}," for _, _, tag in entries] + ["    0", "};", ""]
    return "\n".join(out)


def table(ids):
    out = ['#include "simt/ptx/ptx.h"']
    out += [f"extern const struct ptx_kernel *const ptx_module_{name}[];" for name in ids]
    out.append("extern const struct ptx_kernel *const *const ptx_modules[];")
    out.append("const struct ptx_kernel *const *const ptx_modules[] = { "
               + " ".join(f"ptx_module_{name}," for name in ids) + " 0 };")
    return "\n".join(out) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("ptx", nargs="?")
    parser.add_argument("-o", "--output", required=True)
    parser.add_argument("--table", nargs="+", metavar="NAME")
    options = parser.parse_args()
    if bool(options.ptx) == bool(options.table):
        parser.error("one PTX file, or --table")
    try:
        if options.table:
            text = table([word(name) for name in options.table])
        else:
            name = os.path.basename(options.ptx)
            with open(options.ptx, encoding="utf-8") as f:
                text = generate(read(f.read()), word(name.rsplit(".", 1)[0]), name)
    except PtxError as error:
        sys.exit(f"ptx2c: {options.ptx}: {error}")
    with open(options.output, "w", encoding="utf-8") as f:
        f.write(text)


if __name__ == "__main__":
    main()
