"""What each PTX instruction means, in C (over ptx.h). An opcode, modifier or operand that is not here stops the
translation by name: nothing is guessed."""
import re

from ptxparse import BITS, PtxError

FLOATS = {"f32", "f64"}
ROUND = {"rn": "PTX_RN", "rz": "PTX_RZ", "rm": "PTX_RM", "rp": "PTX_RP"}
# Modifiers of loads, stores and copies that say how caches behave, or how far an ordering reaches: they change no value.
CACHE = re.compile(r"volatile|relaxed|weak|acquire|release|acq_rel|cta|gpu|sys|nc|ca|cg|cs|lu|cv|wb|wt|"
                   r"L1::\w+|L2::(\d+B|evict_\w+)")
SPACES = ("global", "shared", "local", "param", "const")
SPECIAL = {"%laneid": "ptx_lane(t)", "%warpid": "(ptx_thread_index(t) / 32u)", "%lanemask_eq": "(1u << ptx_lane(t))",
           "%lanemask_lt": "((1u << ptx_lane(t)) - 1u)", "%lanemask_le": "((2u << ptx_lane(t)) - 1u)",
           "%lanemask_gt": "~((2u << ptx_lane(t)) - 1u)", "%lanemask_ge": "~((1u << ptx_lane(t)) - 1u)"}
for place, source in (("tid", "threadIdx"), ("ctaid", "blockIdx"), ("ntid", "blockDim"), ("nctaid", "gridDim")):
    for axis in "xyz":
        SPECIAL[f"%{place}.{axis}"] = f"ptx_host->{source}->{axis}"
COMPARE = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=",
           "lo": "<", "ls": "<=", "hi": ">", "hs": ">="}


def u(bits, expression):
    return f"(uint{bits}_t)({expression})"


def raw(kind, expression):
    """The register's bits of a value of this type."""
    if kind == "f32":
        return f"ptx_bits({expression})"
    if kind == "f64":
        return f"ptx_bits64({expression})"
    return f"({expression})" if kind == "pred" else u(BITS[kind], expression)


def operands(text):
    """Splits at commas outside of brackets and braces."""
    found, depth, pending = [], 0, ""
    for char in text:
        depth += (char in "[{(") - (char in "]})")
        if char == "," and not depth:
            found.append(pending.strip())
            pending = ""
        else:
            pending += char
    if pending.strip():
        found.append(pending.strip())
    return found


class Instruction:
    def __init__(self, statement, names, site):
        self.statement, self.names, self.site = statement, names, site
        match = re.match(r"(?:@(!?)(%?[$\w]+)\s+)?([a-z][\w.:]*)\s*(.*)$", statement.text, re.S)
        if not match:
            raise statement.error("not an instruction")
        bang, guard, self.opcode, rest = match.groups()
        self.guard = f"{bang}{names.register(guard)}" if guard else ""
        self.base, *self.mods = self.opcode.split(".")
        self.ops = operands(rest)

    def error(self, why=None):
        return self.statement.error(why or f"the opcode {self.opcode} is not known here")

    def only(self, *allowed):
        for mod in self.mods:
            if mod not in allowed:
                raise self.error(f".{mod} of {self.opcode} is not known here")

    def kind(self, at=-1):
        kind = self.mods[at] if self.mods else ""
        if kind not in BITS:
            raise self.error()
        return kind

    def value(self, index, kind):
        """An operand read as this type."""
        return self.read(self.ops[index], kind)

    def read(self, text, kind):
        text = text.strip()
        negative = text.startswith("!")
        if negative:
            return f"!{self.read(text[1:], 'pred')}"
        if re.fullmatch(r"0[fF][0-9a-fA-F]{8}", text):
            code = f"0x{text[2:]}u"
            return f"ptx_f32({code})" if kind == "f32" else code
        if re.fullmatch(r"0[dD][0-9a-fA-F]{16}", text):
            code = f"UINT64_C(0x{text[2:]})"
            return f"ptx_f64({code})" if kind == "f64" else code
        if re.fullmatch(r"-?(0[xX][0-9a-fA-F]+|\d+)U?", text):
            number = int(text.rstrip("U"), 0)
            if kind in FLOATS:
                raise self.error("a whole number where a float belongs")
            if kind == "pred":
                return str(int(number != 0))
            bits = BITS[kind]
            code = f"UINT64_C({number % (1 << bits)})"
            return f"((int{bits}_t){code})" if kind[0] == "s" else f"((uint{bits}_t){code})"
        if text == "WARP_SZ":
            return "32u"
        if text in SPECIAL:
            return f"(({'int' if kind[0] == 's' else 'uint'}{BITS[kind]}_t){SPECIAL[text]})"
        if self.names.is_register(text):
            code = self.names.register(text)
            if kind == "f32":
                return f"ptx_f32({code})"
            if kind == "f64":
                return f"ptx_f64({code})"
            if kind == "pred":
                return code
            return f"((int{BITS[kind]}_t){code})" if kind[0] == "s" else f"((uint{BITS[kind]}_t){code})"
        address = self.names.address(text)
        if address is None:
            raise self.error(f"the operand {text} is not known here")
        return f"((uint{BITS[kind]}_t){address})"

    def write(self, index, kind, expression):
        return self.assign(self.ops[index], kind, expression)

    def assign(self, name, kind, expression):
        if name == "_":
            return f"(void)({expression});"
        return f"{self.names.register(name)} = {raw(kind, expression)};"

    def bracket(self, index, space):
        """The address within [ ]: 32 bits of an offset for shared memory, else 64."""
        match = re.fullmatch(r"\[\s*(%?[$\w]+)\s*(?:\+\s*(-?\w+))?\s*\]", self.ops[index])
        if not match:
            raise self.error(f"the address {self.ops[index]} is not known here")
        name, offset = match.groups()
        offset = int(offset, 0) if offset else 0
        if self.names.is_register(name):
            base = self.names.register(name)
        else:
            base = self.names.address(name)
            if base is None:
                raise self.error(f"the symbol {name} is not known here")
        bits = 32 if space == "shared" else 64
        return f"((uint{bits}_t)({base}) + (uint{bits}_t)UINT64_C({offset % (1 << bits)}))"

    def place(self, index, space, size, how):
        """A host pointer to `size` bytes, checked."""
        return f"ptx_{space or 'generic'}(t, {self.bracket(index, space)}, {size}u, {how}, {self.site})"

    def place_site(self):
        return f"ptx_site(t, {self.site})"


# --- arithmetic --------------------------------------------------------------------------------------------------------
def clean(i, kind, expression):
    """The result under .sat and .ftz."""
    if "sat" in i.mods:
        expression = f"ptx_sat({expression})"
    if "ftz" in i.mods and kind == "f32":
        expression = f"ptx_ftz({expression})"
    return expression


def term(i, index, kind):
    value = i.value(index, kind)
    return f"ptx_ftz({value})" if "ftz" in i.mods and kind == "f32" else value


def rounding(i):
    found = [m for m in i.mods if m in ROUND]
    return found[0] if found else "rn"


def float_op(i, kind):
    i.only("rn", "rz", "rm", "rp", "ftz", "sat", kind)
    mode = rounding(i)
    a, b = term(i, 1, kind), term(i, 2, kind)
    if mode == "rn":
        plain = {"add": f"{a} + {b}", "sub": f"{a} - {b}", "mul": f"{a} * {b}"}
        if i.base in plain:
            return clean(i, kind, plain[i.base])
        c = term(i, 3, kind)
        return clean(i, kind, f"fmaf({a}, {b}, {c})" if kind == "f32" else f"fma({a}, {b}, {c})")
    if kind != "f32":
        raise i.error()
    if i.base in ("fma", "mad"):
        return clean(i, kind, f"ptx_fma_round({a}, {b}, {term(i, 3, kind)}, {ROUND[mode]})")
    if i.base == "mul":
        return clean(i, kind, f"ptx_mul_round({a}, {b}, {ROUND[mode]})")
    return clean(i, kind, f"ptx_add_round({a}, {'-' if i.base == 'sub' else ''}{b}, {ROUND[mode]})")


def add_mul(i):
    if i.mods[-1] == "f32x2":
        i.only("rn", "f32x2")
        names = "".join(f", {i.value(n, 'b64')}" for n in range(1, len(i.ops)))
        return i.write(0, "b64", f"ptx_{i.base}_f32x2({names[2:]})")
    kind = i.kind()
    if kind in FLOATS:
        return i.write(0, kind, float_op(i, kind))
    bits = BITS[kind]
    if i.base in ("add", "sub"):
        i.only("sat", kind)
        if "sat" in i.mods:
            raise i.error()
        sign = "+" if i.base == "add" else "-"
        return i.write(0, kind, f"{i.value(1, f'u{bits}')} {sign} {i.value(2, f'u{bits}')}")
    part = i.mods[0]
    i.only("lo", "hi", "wide", kind)
    wide = {16: "int32_t", 32: "int64_t", 64: "__int128"}[bits]
    wide = wide if kind[0] == "s" else ("unsigned __int128" if bits == 64 else "u" + wide)
    product = f"({wide}){i.value(1, kind)} * ({wide}){i.value(2, kind)}"
    if part == "lo":
        product = f"(uint64_t){i.value(1, f'u{bits}')} * (uint64_t){i.value(2, f'u{bits}')}"
        result = f"u{bits}"
    elif part == "hi":
        product, result = f"({product}) >> {bits}", f"u{bits}"
    else:
        if bits == 64:
            raise i.error()
        result = f"u{2 * bits}"
    if i.base == "mad":
        product = f"{u(BITS[result], product)} + {i.value(3, result)}"
    return i.write(0, result, product)


def div_rem(i):
    kind = i.kind()
    if kind in FLOATS:
        if i.base == "rem":
            raise i.error()
        i.only("rn", "full", "approx", "ftz", kind)
        return i.write(0, kind, clean(i, kind, f"{term(i, 1, kind)} / {term(i, 2, kind)}"))
    i.only(kind)
    sign = "s" if kind[0] == "s" else "u"
    return i.write(0, kind, f"ptx_{i.base}_{sign}{BITS[kind]}({i.value(1, kind)}, {i.value(2, kind)})")


def min_max(i):
    kind = i.kind()
    if kind == "f32":
        i.only("ftz", "NaN", kind)
        nan = "_nan" if "NaN" in i.mods else ""
        return i.write(0, kind, clean(i, kind, f"ptx_{i.base}{nan}({term(i, 1, kind)}, {term(i, 2, kind)})"))
    if kind == "f64":
        i.only(kind)
        return i.write(0, kind, f"f{i.base}({i.value(1, kind)}, {i.value(2, kind)})")
    i.only(kind)
    a, b = i.value(1, kind), i.value(2, kind)
    return i.write(0, kind, f"{a} {'<' if i.base == 'min' else '>'} {b} ? {a} : {b}")


UNARY = {"sqrt": "sqrt", "rsqrt": "ptx_rsqrt", "rcp": "ptx_rcp", "sin": "sin", "cos": "cos", "lg2": "log2", "ex2": "exp2",
         "tanh": "tanh"}


def unary(i):
    kind = i.kind()
    if kind not in FLOATS:
        raise i.error()
    i.only("rn", "approx", "ftz", kind)
    name = UNARY[i.base] + ("f" if kind == "f32" else "")
    return i.write(0, kind, clean(i, kind, f"{name}({term(i, 1, kind)})"))


def neg_abs(i):
    kind = i.kind()
    if kind in FLOATS:
        i.only("ftz", kind)
        bits = BITS[kind]
        a, top = i.value(1, f"b{bits}"), f"(UINT64_C(1) << {bits - 1})"
        code = f"{a} ^ {top}" if i.base == "neg" else f"{a} & ~{top}"
        code = u(bits, code)
        return i.write(0, f"b{bits}", f"ptx_bits(ptx_ftz(ptx_f32({code})))" if "ftz" in i.mods else code)
    i.only(kind)
    bits = BITS[kind]
    a = i.value(1, f"u{bits}")
    return i.write(0, kind, f"0u - {a}" if i.base == "neg" else f"({a} >> {bits - 1}) & 1 ? 0u - {a} : {a}")


def copysign(i):
    kind = i.kind()
    bits = BITS[kind]
    i.only(kind)
    top = f"((uint{bits}_t)1 << {bits - 1})"
    return i.write(0, f"b{bits}", f"({i.value(1, f'b{bits}')} & {top}) | ({i.value(2, f'b{bits}')} & ~{top})")


def logic(i):
    kind = i.kind()
    i.only(kind)
    sign = {"and": "&", "or": "|", "xor": "^"}[i.base]
    return i.write(0, kind, f"{i.value(1, kind)} {sign} {i.value(2, kind)}")


def invert(i):
    kind = i.kind()
    i.only(kind)
    return i.write(0, kind, f"!{i.value(1, kind)}" if kind == "pred" else f"~{i.value(1, kind)}")


def shift(i):
    kind = i.kind()
    i.only(kind)
    bits, by = BITS[kind], i.value(2, "u32")
    value = i.value(1, kind if kind[0] == "s" else f"u{bits}")
    if i.base == "shl":
        return i.write(0, f"b{bits}", f"{by} > {bits - 1}u ? 0 : {i.value(1, f'u{bits}')} << {by}")
    beyond = f"({value} < 0 ? -1 : 0)" if kind[0] == "s" else "0"
    return i.write(0, kind, f"{by} > {bits - 1}u ? {beyond} : {value} >> {by}")


def funnel(i):
    way, mode, kind = i.mods
    if kind != "b32" or way not in "lr" or mode not in ("wrap", "clamp"):
        raise i.error()
    by = f"ptx_{mode}({i.value(3, 'u32')})"
    both = f"(((uint64_t){i.value(2, 'u32')} << 32) | {i.value(1, 'u32')})"
    code = f"({both} >> {by})" if way == "r" else f"(({both} << {by}) >> 32)"
    if mode == "clamp" and way == "l":
        code = f"({by} == 32u ? {i.value(1, 'u32')} : {u(32, code)})"
    return i.write(0, "u32", code)


def bit_field(i):
    kind = i.kind()
    i.only(kind)
    bits = BITS[kind]
    if i.base == "bfi":
        values = ", ".join([i.value(1, f"u{bits}"), i.value(2, f"u{bits}"), i.value(3, "u32"), i.value(4, "u32")])
        return i.write(0, kind, f"ptx_bfi({values}, {bits}u)")
    sign = "1" if kind[0] == "s" else "0"
    value = i.value(1, f"u{bits}")
    if kind[0] == "s":
        value = f"(uint64_t)(int64_t)(int{bits}_t){value}"
    return i.write(0, kind, f"ptx_bfe({value}, {i.value(2, 'u32')}, {i.value(3, 'u32')}, {bits}u, {sign})")


def count_bits(i):
    kind = i.kind()
    i.only(kind, "shiftamt")
    if i.base == "brev":
        return i.write(0, kind, f"ptx_brev({i.value(1, kind)}, {BITS[kind]}u)")
    sign = "_s" if i.base == "bfind" and kind[0] == "s" else ""
    amount = "_amount" if "shiftamt" in i.mods else ""
    return i.write(0, "u32", f"ptx_{i.base}{sign}{amount}({i.value(1, f'u{BITS[kind]}')}, {BITS[kind]}u)")


def prmt(i):
    i.only("b32")
    return i.write(0, "b32", f"ptx_prmt({i.value(1, 'b32')}, {i.value(2, 'b32')}, {i.value(3, 'b32')})")


def lop3(i):
    i.only("b32")
    return i.write(0, "b32", f"ptx_lop3({', '.join(i.value(n, 'b32') for n in (1, 2, 3, 4))})")


def dp4a(i):
    if len(i.mods) != 2 or not set(i.mods) <= {"s32", "u32"}:
        raise i.error()
    signs = [str(int(m[0] == "s")) for m in i.mods]
    return i.write(0, "u32", f"ptx_dp4a({', '.join(i.value(n, 'u32') for n in (1, 2, 3))}, {', '.join(signs)})")


def testp(i):
    test, kind = i.mods
    names = {"finite": "isfinite", "infinite": "isinf", "notanumber": "isnan", "number": "!isnan", "normal": "isnormal"}
    if test not in names or kind not in FLOATS:
        raise i.error()
    return i.write(0, "pred", f"{names[test]}({i.value(1, kind)}) != 0")


# --- comparing, choosing, moving -----------------------------------------------------------------------------------------
def comparison(i, test, kind, a, b):
    if kind in FLOATS:
        if test in ("num", "nan"):
            nan = f"(isnan({a}) || isnan({b}))"
            return nan if test == "nan" else f"!{nan}"
        if test in ("equ", "neu", "ltu", "leu", "gtu", "geu"):
            return f"(isunordered({a}, {b}) || {a} {COMPARE[test[:2]]} {b})"
        if test == "ne":
            return f"(!isunordered({a}, {b}) && {a} != {b})"
    if test not in COMPARE:
        raise i.error()
    return f"({a} {COMPARE[test]} {b})"


def setp(i):
    kind, test = i.kind(), i.mods[0]
    i.only(test, "and", "or", "xor", "ftz", kind)
    join = [m for m in i.mods[1:] if m in ("and", "or", "xor")]
    read = f"u{BITS[kind]}" if test in ("lo", "ls", "hi", "hs") else kind
    holds = comparison(i, test, kind, term(i, 1, read), term(i, 2, read))
    names = i.ops[0].split("|")
    results = [holds, f"!{holds}"]
    if join:
        sign = {"and": "&", "or": "|", "xor": "^"}[join[0]]
        results = [f"({r} {sign} {i.value(3, 'pred')})" for r in results]
    if len(names) == 1:
        return i.assign(names[0], "pred", results[0])
    return f"{{ uint32_t m0 = {results[0]}, m1 = {results[1]}; {i.assign(names[0], 'pred', 'm0')} " \
           f"{i.assign(names[1], 'pred', 'm1')} }}"


def set_(i):
    test, out, kind = i.mods[0], i.mods[-2], i.kind()
    i.only(test, "ftz", out, kind)
    yes = "1.0f" if out == "f32" else "UINT32_MAX"
    return i.write(0, out, f"{comparison(i, test, kind, term(i, 1, kind), term(i, 2, kind))} ? {yes} : 0")


def selp(i):
    kind = i.kind()
    i.only(kind)
    kind = f"b{BITS[kind]}"
    return i.write(0, kind, f"{i.value(3, 'pred')} ? {i.value(1, kind)} : {i.value(2, kind)}")


def parts(text):
    return [p.strip() for p in text.strip()[1:-1].split(",")]


def mov(i):
    kind = i.kind()
    i.only(kind)
    bits = BITS[kind]
    if i.ops[0].startswith("{"):
        names = parts(i.ops[0])
        each = bits // len(names)
        code = f"uint{bits}_t m = {i.value(1, f'b{bits}')}; "
        return "{ " + code + " ".join(i.assign(n, f"b{each}", f"m >> {k * each}") for k, n in enumerate(names)) + " }"
    if i.ops[1].startswith("{"):
        names = parts(i.ops[1])
        each = bits // len(names)
        code = " | ".join(f"((uint{bits}_t){i.read(n, f'b{each}')} << {k * each})" for k, n in enumerate(names))
        return i.write(0, f"b{bits}", code)
    return i.write(0, "pred" if kind == "pred" else f"b{bits}", i.value(1, "pred" if kind == "pred" else f"b{bits}"))


def cvta(i):
    to = i.mods[0] == "to"
    space = i.mods[1 if to else 0]
    i.only("to", space, "u64", "u32")
    if space not in SPACES:
        raise i.error()
    value = i.value(1, "u64")
    if space == "shared":
        value = f"ptx_shared_offset(t, {value})" if to else f"ptx_shared_address(t, {i.value(1, 'u32')})"
    return i.write(0, i.kind(), value)


def isspacep(i):
    space = i.mods[0]
    if space not in ("shared", "global", "local"):
        raise i.error()
    return i.write(0, "pred", f"ptx_is_{space}(t, {i.value(1, 'u64')})")


def cvt(i):
    if i.mods[-1] == "f32" and "bf16x2" in i.mods:
        i.only("rn", "bf16x2", "f32")
        return i.write(0, "b32", f"((uint32_t)ptx_to_bf16({i.value(1, 'f32')}) << 16) | ptx_to_bf16({i.value(2, 'f32')})")
    to, frm = i.mods[-2], i.mods[-1]
    if (to, frm) == ("tf32", "f32"):
        i.only("rna", "rn", "tf32", "f32")
        return i.write(0, "b32", f"ptx_to_tf32({i.value(1, 'f32')}, {int('rna' in i.mods)})")
    if to not in BITS or frm not in BITS or "f16" in (to, frm):
        raise i.error()
    if to == "bf16" and frm == "f32":
        i.only("rn", to, frm)
        return i.write(0, "b16", f"ptx_to_bf16({i.value(1, 'f32')})")
    if frm == "bf16" and to == "f32":
        i.only("ftz", to, frm)
        return i.write(0, "b32", f"(uint32_t){i.value(1, 'b16')} << 16")
    if "bf16" in (to, frm):
        raise i.error()
    mode = [m for m in i.mods[:-2] if m in ("rni", "rzi", "rmi", "rpi")]
    i.only("rni", "rzi", "rmi", "rpi", "rn", "rz", "rm", "rp", "ftz", "sat", to, frm)
    value = i.value(1, frm)
    if "ftz" in i.mods and frm == "f32":
        value = f"ptx_ftz({value})"
    whole = {"rni": "rint", "rzi": "trunc", "rmi": "floor", "rpi": "ceil"}
    if frm in FLOATS and to not in FLOATS:
        if len(mode) != 1:
            raise i.error()
        zero = int(frm != "f64" and BITS[to] < 64)
        return i.write(0, to, f"ptx_to_{'s' if to[0] == 's' else 'u'}({whole[mode[0]]}((double){value}), "
                              f"{BITS[to]}u, {zero})")
    if frm in FLOATS:
        if mode:
            value = f"(({'float' if frm == 'f32' else 'double'}){whole[mode[0]]}((double){value}))"
        if frm == "f64" and to == "f32" and rounding(i) != "rn":
            value = f"ptx_round({value}, 0.0, {ROUND[rounding(i)]})"
        return i.write(0, to, clean(i, to, f"({'float' if to == 'f32' else 'double'}){value}"))
    if to in FLOATS:
        if rounding(i) != "rn":
            if to != "f32" or BITS[frm] > 32:
                raise i.error()
            return i.write(0, to, f"ptx_round((double){value}, 0.0, {ROUND[rounding(i)]})")
        return i.write(0, to, f"({'float' if to == 'f32' else 'double'}){value}")
    if "sat" in i.mods:
        value = f"ptx_sat_{'s' if to[0] == 's' else 'u'}({'(int64_t)' if frm[0] == 's' else '(int64_t)(uint64_t)'}{value}, " \
                f"{BITS[to]}u, {int(frm[0] == 'u' and BITS[frm] == 64)})"
    elif to[0] == "s":
        value = f"(int{BITS[to]}_t){value}"
    name = i.ops[0]
    if i.names.width(name) > BITS[to]:  # a wider register: extended as the type says
        bits = i.names.width(name)
        value = f"({'int' if to[0] == 's' else 'uint'}{bits}_t)({'int' if to[0] == 's' else 'uint'}{BITS[to]}_t)({value})"
        return i.assign(name, f"b{bits}", value)
    return i.write(0, f"b{BITS[to]}", value)


# --- memory --------------------------------------------------------------------------------------------------------------
def memory(i, what):
    """(space, vector width, element type) of a load or store."""
    space, count, kind = "", 1, i.kind()
    for mod in i.mods[:-1]:
        if mod.split("::")[0] in SPACES:
            if "::" in mod and mod not in ("shared::cta", "param::entry", "param::func"):
                raise i.error()
            space = mod.split("::")[0]
        elif mod in ("v2", "v4", "v8"):
            count = int(mod[1])
        elif not CACHE.fullmatch(mod):
            raise i.error(f".{mod} of {what} is not known here")
    return space, count, kind


def ld(i):
    space, count, kind = memory(i, "ld")
    size, sign = BITS[kind] // 8, kind[0] == "s"
    names = parts(i.ops[0]) if count > 1 else [i.ops[0]]
    if len(names) != count:
        raise i.error()
    code = f"at = {i.place(1, space, size * count, 'PTX_READ')};"
    for k, name in enumerate(names):
        if name == "_":
            continue
        bits = i.names.width(name)
        value = f"((const uint{size * 8}_t *)at)[{k}]"
        value = f"(uint{bits}_t)(int{bits}_t)(int{size * 8}_t){value}" if sign else value
        code += f" {i.names.register(name)} = {value};"
    return "{ " + code + " }"


def st(i):
    space, count, kind = memory(i, "st")
    size = BITS[kind] // 8
    values = parts(i.ops[1]) if count > 1 else [i.ops[1]]
    if len(values) != count:
        raise i.error()
    code = f"at = {i.place(0, space, size * count, 'PTX_WRITE')};"
    for k, value in enumerate(values):
        bits = f"b{size * 8}"
        code += f" ((uint{size * 8}_t *)at)[{k}] = {u(size * 8, i.read(value, bits))};"
    return "{ " + code + " }"


def atom(i):
    space, rest = "", []
    for mod in i.mods[:-1]:
        if mod in SPACES:
            space = mod
        elif not CACHE.fullmatch(mod):
            rest.append(mod)
    kind = i.kind()
    if len(rest) != 1 or rest[0] not in ("add", "min", "max", "and", "or", "xor", "exch", "cas"):
        raise i.error()
    if kind in FLOATS or BITS[kind] < 32:
        raise i.error("atomics are of whole numbers here: the order of float sums must not depend on scheduling")
    op, bits, shift_by = rest[0], BITS[kind], int(i.base == "atom")
    place = i.place(shift_by, space, bits // 8, "PTX_ATOMIC")
    a = i.value(1 + shift_by, kind)
    b = i.value(2 + shift_by, kind) if op == "cas" else "0"
    sign = "s" if op in ("min", "max") and kind[0] == "s" else "u"
    code = f"uint{bits}_t m = ptx_atom_{sign}{bits}({place}, PTX_ATOM_{op.upper()}, {a}, {b});"
    if i.base == "atom":
        code += f" {i.assign(i.ops[0], f'b{bits}', 'm')}"
    return "{ " + code + " ptx_host->yield(); }"


def cp_async(i):
    if i.mods[:1] != ["async"]:
        raise i.error()
    mods = i.mods[1:]
    if mods == ["commit_group"]:
        return "ptx_host->copy_commit();"
    if mods in (["wait_group"], ["wait_all"]):
        if mods == ["wait_all"]:
            return "ptx_host->copy_commit(); ptx_copy_wait(t, 0);"
        return f"ptx_copy_wait(t, {int(i.ops[0])});"
    rest = [m for m in mods if not CACHE.fullmatch(m)]
    if rest not in (["shared", "global"], ["shared::cta", "global"]) or len(i.ops) not in (3, 4):
        raise i.error()
    size = int(i.ops[2])
    taken = i.value(3, "u32") if len(i.ops) == 4 else f"{size}u"
    return f"ptx_copy(t, {i.bracket(0, 'shared')}, {i.bracket(1, 'global')}, {size}u, {taken}, {i.site});"


# --- threads together -----------------------------------------------------------------------------------------------------
def barrier(i):
    mods = [m for m in i.mods if m not in ("cta", "aligned")]
    if i.base == "bar" and mods == ["warp", "sync"]:
        return f"ptx_host->warp(SIMT_SYNCWARP, {i.value(0, 'u32')}, 0, 0, 32, 0, {i.place_site()});"
    if mods == ["sync"]:
        if len(i.ops) != 1:
            raise i.error("a barrier of some threads of a block is not known here")
        return f"ptx_barrier(t, {i.value(0, 'u32')}, SIMT_SYNC, 0, {i.site});"
    if len(mods) == 3 and mods[0] == "red" and len(i.ops) == 3:
        ops = {("and", "pred"): "SIMT_SYNC_AND", ("or", "pred"): "SIMT_SYNC_OR", ("popc", "u32"): "SIMT_SYNC_COUNT"}
        if tuple(mods[1:]) in ops:
            return i.write(0, mods[2], f"ptx_barrier(t, {i.value(1, 'u32')}, {ops[tuple(mods[1:])]}, "
                                       f"{i.value(2, 'pred')}, {i.site})")
    raise i.error()


def shfl(i):
    if i.mods[0] != "sync" or i.mods[2] != "b32" or i.mods[1] not in ("up", "down", "bfly", "idx"):
        raise i.error()
    op = {"up": "SIMT_SHFL_UP", "down": "SIMT_SHFL_DOWN", "bfly": "SIMT_SHFL_XOR", "idx": "SIMT_SHFL"}[i.mods[1]]
    names = i.ops[0].split("|")
    code = "int in = 0; " + i.assign(names[0], "b32", f"ptx_shfl(t, {op}, {i.value(1, 'b32')}, {i.value(2, 'u32')}, "
                                     f"{i.value(3, 'u32')}, {i.value(4, 'u32')}, &in, {i.site})")
    if len(names) > 1:
        code += " " + i.assign(names[1], "pred", "in != 0")
    return "{ " + code + " }"


def vote(i):
    if i.mods[0] != "sync":
        raise i.error()
    ops = {("all", "pred"): "SIMT_ALL", ("any", "pred"): "SIMT_ANY", ("ballot", "b32"): "SIMT_BALLOT"}
    if tuple(i.mods[1:]) not in ops:
        raise i.error()
    return i.write(0, i.mods[2], f"(uint32_t)ptx_host->warp({ops[tuple(i.mods[1:])]}, {i.value(2, 'u32')}, "
                                 f"{i.value(1, 'pred')}, 0, 32, 0, {i.place_site()})")


def redux(i):
    ops = {("add", "s32"): "ADD", ("add", "u32"): "ADD", ("min", "s32"): "MIN", ("max", "s32"): "MAX",
           ("min", "u32"): "UMIN", ("max", "u32"): "UMAX", ("and", "b32"): "AND", ("or", "b32"): "OR",
           ("xor", "b32"): "XOR"}
    if i.mods[0] != "sync" or tuple(i.mods[1:]) not in ops:
        raise i.error()
    return i.write(0, "b32", f"(uint32_t)ptx_host->warp(SIMT_REDUCE_{ops[tuple(i.mods[1:])]}, {i.value(2, 'u32')}, "
                             f"{i.value(1, 'b32')}, 0, 32, 0, {i.place_site()})")


MMA = {("m16n8k16", "f32.bf16.bf16.f32"): ("ptx_mma_bf16", 4, 2), ("m16n8k8", "f32.bf16.bf16.f32"): ("ptx_mma_bf16", 2, 1),
       ("m16n8k8", "f32.tf32.tf32.f32"): ("ptx_mma_tf32", 4, 2), ("m16n8k4", "f32.tf32.tf32.f32"): ("ptx_mma_tf32", 2, 1)}


def mma(i):
    mods = [m for m in i.mods if m not in ("sync", "aligned", "row", "col")]
    found = MMA.get((mods[0], ".".join(mods[1:])))
    if not found or i.mods[:2] != ["sync", "aligned"] or i.mods[3:5] != ["row", "col"]:
        raise i.error()
    name, n_a, n_b = found
    d, a, b, c = (parts(op) for op in i.ops)
    if (len(d), len(a), len(b), len(c)) != (4, n_a, n_b, 4):
        raise i.error()
    words = ", ".join(i.read(x, "b32") for x in a + b)
    start = ", ".join(i.read(x, "f32") for x in c)
    out = " ".join(i.assign(x, "f32", f"d[{k}]") for k, x in enumerate(d))
    return f"{{ const uint32_t m[] = {{ {words} }}; float d[4] = {{ {start} }}; {name}(t, m, {n_a}, {n_b}, d, {i.site}); " \
           f"{out} }}"


def ldmatrix(i):
    match = re.fullmatch(r"ldmatrix\.sync\.aligned\.m8n8\.x([124])(\.trans)?\.shared(::cta)?\.b16", i.opcode)
    if not match:
        raise i.error()
    count, names = int(match.group(1)), parts(i.ops[0])
    out = " ".join(i.assign(x, "b32", f"m[{k}]") for k, x in enumerate(names))
    return f"{{ uint32_t m[4]; ptx_ldmatrix(t, {i.bracket(1, 'shared')}, {count}, {int(bool(match.group(2)))}, m, {i.site}); " \
           f"{out} }}"


def nothing(i):
    return ";"


def bra(i):
    i.only("uni")
    return f"goto {i.names.label(i.ops[0])};"


def leave(i):
    if i.base == "exit" and not i.names.is_entry:
        raise i.error("a thread that ends within a called function is not known here")
    return "{ t->n_local = n_local; return; }"


def nanosleep(i):
    return "ptx_host->yield();"


def trap(i):
    return f"ptx_fail(t, {i.site}, \"the kernel stopped itself (trap)\");"


TABLE = {"add": add_mul, "sub": add_mul, "mul": add_mul, "mad": add_mul, "fma": add_mul, "div": div_rem, "rem": div_rem,
         "min": min_max, "max": min_max, "neg": neg_abs, "abs": neg_abs, "copysign": copysign, "and": logic, "or": logic,
         "xor": logic, "not": invert, "shl": shift, "shr": shift, "shf": funnel, "bfe": bit_field, "bfi": bit_field,
         "popc": count_bits, "clz": count_bits, "bfind": count_bits, "brev": count_bits, "prmt": prmt, "lop3": lop3,
         "dp4a": dp4a, "testp": testp, "setp": setp, "set": set_, "selp": selp, "mov": mov, "cvta": cvta, "cvt": cvt,
         "isspacep": isspacep, "ld": ld, "st": st, "atom": atom, "red": atom, "cp": cp_async, "bar": barrier,
         "barrier": barrier, "shfl": shfl, "vote": vote, "redux": redux, "mma": mma, "ldmatrix": ldmatrix,
         "membar": nothing, "fence": nothing, "bra": bra, "ret": leave, "exit": leave, "nanosleep": nanosleep,
         "trap": trap}
TABLE.update({name: unary for name in UNARY})


def translate(i):
    if i.base not in TABLE:
        raise i.error()
    try:
        code = TABLE[i.base](i)
    except (IndexError, KeyError, ValueError) as error:
        raise i.error(f"{i.opcode} with these operands is not known here") from error
    return f"if ({i.guard}) {code if code.startswith('{') else '{ ' + code + ' }'}" if i.guard else code


# --- what an instruction costs: for the profile ---------------------------------------------------------------------------
FREE = {"mov", "cvta", "membar", "fence"}
SFU = {"rcp", "rsqrt", "sqrt", "lg2", "sin", "cos", "tanh"}


def cost(i):
    """(instructions, f32 operations, ex2, other operations of the special function unit)."""
    if i.base in FREE or (i.base == "ld" and "param" in i.mods):
        return 0, 0, 0, 0
    flops = 0
    if i.mods and i.mods[-1] in ("f32", "f32x2") and i.base in ("add", "sub", "mul", "fma", "mad", "div", "min", "max"):
        flops = (2 if i.base in ("fma", "mad") else 1) * (2 if i.mods[-1] == "f32x2" else 1)
    sfu = int(i.base in SFU or (i.base == "div" and i.mods[-1] == "f32"))
    return 1, flops, int(i.base == "ex2"), sfu
