#!/usr/bin/env python3
"""Writes the fact tables of share/catalogue as C arrays, so that the program needs no file beside it.

    embed.py OUT.c TABLE.tsv...
"""
import os
import sys

out, tables = sys.argv[1], sys.argv[2:]
with open(out, "w", encoding="ascii") as f:
    f.write('/* Made by embed.py from share/catalogue. */\n#include "local/facts_data.h"\n')
    for path in tables:
        name = os.path.basename(path).replace(".tsv", "")
        with open(path, "rb") as table:
            data = table.read()
        f.write(f"static const unsigned char {name}[] = {{")
        f.write(",".join(("\n" if i % 24 == 0 else "") + str(b) for i, b in enumerate(data)))
        f.write("};\n")
    f.write("const struct facts_data facts_data[] = {\n")
    for path in tables:
        name = os.path.basename(path).replace(".tsv", "")
        f.write(f'    {{"{name}", {{(const char *){name}, sizeof({name})}}}},\n')
    f.write("};\nconst size_t facts_data_count = sizeof(facts_data) / sizeof(facts_data[0]);\n")
