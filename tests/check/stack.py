#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""stack.py OBJECT...: no chain of calls in the programs of these BPF objects takes more stack than Linux 6.1 gives.

That kernel counts the stack of each function on the way in steps of 32 bytes and allows 512 (check_max_stack_depth()); later
ones count less, so that a program may pass the verifier of the machine it was written on and not that of the oldest kernel.
Functions given to bpf_loop() and its like count as called.
"""
import functools
import struct
import sys

STEP, MOST = 32, 512
SYMTAB, REL, SECTION_SYMBOL, FUNCTION_SYMBOL = 2, 9, 3, 2
STORE_CLASSES, LOAD_CLASS, LOAD_IMM_CLASS, ALU_CLASSES = (2, 3), 1, 0, (4, 7)
CALL, LOAD_IMM64, COPY, ADD_IMM = 0x85, 0x18, 0xBF, 0x07
PSEUDO_CALL, FRAME = 1, 10


class Object:
    """Functions of an ELF file: by (section, offset) their name and size, by name the stack and what each calls."""

    def __init__(self, path):
        with open(path, "rb") as f:
            self.data = f.read()
        at, = struct.unpack_from("<Q", self.data, 40)
        count, = struct.unpack_from("<H", self.data, 60)
        # type, flags, offset, size, link, info
        self.sections = [struct.unpack_from("<4xIQ8xQQII", self.data, at + 64 * i) for i in range(count)]
        self.symbols = self.read_symbols()
        self.relocations = self.read_relocations()
        self.functions = {(s["section"], s["value"]): (s["name"], s["size"])
                          for s in self.symbols if s["type"] == FUNCTION_SYMBOL}
        self.stack, self.calls = {}, {}
        for where, (name, size) in self.functions.items():
            self.stack[name], self.calls[name] = self.look_at(*where, size)

    def read_symbols(self):
        table = next(s for s in self.sections if s[0] == SYMTAB)
        strings = self.sections[table[4]][2]
        symbols = []
        for at in range(table[2], table[2] + table[3], 24):
            name, info, section, value, size = struct.unpack_from("<IBxHQQ", self.data, at)
            end = self.data.index(b"\0", strings + name)
            symbols.append({"name": self.data[strings + name:end].decode(), "type": info & 15, "section": section,
                            "value": value, "size": size})
        return symbols

    def read_relocations(self):
        found = {}
        for s in self.sections:
            if s[0] == REL:
                for at in range(s[2], s[2] + s[3], 16):
                    offset, info = struct.unpack_from("<QQ", self.data, at)
                    found[(s[5], offset)] = self.symbols[info >> 32]
        return found

    def look_at(self, section, start, size):
        """The bytes of stack that a function uses, and the names of those it calls."""
        deepest, called, pointers = 0, set(), set()
        for pc in range(start, start + size, 8):
            op, regs, offset, imm = struct.unpack_from("<BBhi", self.data, self.sections[section][2] + pc)
            to, source, kind = regs & 15, regs >> 4, op & 7
            if (kind in STORE_CLASSES and to == FRAME) or (kind == LOAD_CLASS and source == FRAME):
                deepest = max(deepest, -offset)
            if op == COPY and source == FRAME:
                pointers.add(to)
            elif op == ADD_IMM and to in pointers:
                deepest = max(deepest, -imm)
                pointers.discard(to)
            elif kind in ALU_CLASSES + (LOAD_CLASS, LOAD_IMM_CLASS):
                pointers.discard(to)
            target = self.target(section, pc, op, source, imm)
            if target in self.functions:
                called.add(self.functions[target][0])
        return deepest, called

    def target(self, section, pc, op, source, imm):
        symbol = self.relocations.get((section, pc))
        if op == CALL and source == PSEUDO_CALL:
            if not symbol:
                return section, pc + 8 + imm * 8
            if symbol["type"] == SECTION_SYMBOL:
                return symbol["section"], (imm + 1) * 8
            return symbol["section"], symbol["value"]
        if op == LOAD_IMM64 and symbol:
            return symbol["section"], symbol["value"] + (imm if symbol["type"] == SECTION_SYMBOL else 0)
        return None

    @functools.lru_cache(None)
    def worst(self, name):
        """The most stack from this function on, and the way there."""
        own = (max(self.stack[name], 1) + STEP - 1) // STEP * STEP
        most, way = max((self.worst(c) for c in self.calls[name]), default=(0, ()))
        return own + most, (f"{name} {self.stack[name]}",) + way


def main():
    bad = False
    for path in sys.argv[1:]:
        obj = Object(path)
        if not obj.functions:
            sys.exit(f"{path}: no functions")
        bytes_, way = max(obj.worst(name) for name in obj.stack)
        print(f"{path}: {bytes_} bytes of stack of {MOST}, by {way[0].split()[0]}")
        if bytes_ > MOST:
            bad = True
            print(f"{path}: too much for Linux 6.1: {', '.join(way)}", file=sys.stderr)
    sys.exit(bad)


main()
