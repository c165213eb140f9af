#!/usr/bin/env python3
"""The layer checker, checked: the tree passes, and each planted offence is caught. Prints TAP.

Also compiles each header alone (a header includes what it uses) and looks for marks of unfinished work
and paths of one machine in what git tracks.
"""
import os
import re
import subprocess
import sys
import tempfile

import check_layers

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
PLANTED = [
    ("an_include_that_points_upward", "json/bad.c", '#include "relay/exchange.h"\n'),
    ("the_network_seeing_a_protocol_engine", "net/bad.c", '#include "http/h1.h"\n'),
    ("the_canonical_model_seeing_json", "chat/bad.h", '#include "json/json.h"\n'),
    ("a_pure_layer_with_a_clock", "dialect/bad.c", "#include <time.h>\n"),
    ("a_pure_layer_with_a_socket", "http/bad.c", "  #  include <sys/socket.h>\n"),
    ("a_socket_outside_the_seam", "serve/bad.c", "#include <uv.h>\n"),
    ("a_clock_read_outside_the_seam", "relay/bad.c", "long f(void)\n{\n    return time (0);\n}\n"),
    ("dice_outside_the_seam", "tools/demo/bad.c", "int f(void)\n{\n    return rand();\n}\n"),
    ("another_layers_internal_header", "serve/bad.c", '#include "http/h1_internal.h"\n'),
    ("an_include_without_a_layer", "json/bad.c", '#include "json.h"\n'),
    ("an_unknown_folder", "misc/bad.c", "int x;\n"),
]
HARMLESS = 'struct timer;\nvoid f(struct timer *t); /* calls time() */\nint g(void)\n{\n    return h("rand()", t->time(1));\n}\n'

number = 0
failed = 0


def report(claim, offences):
    global number, failed
    number += 1
    print(f"{'not ok' if offences else 'ok'} {number} - {claim}")
    for line in offences:
        print(f"# {line}")
    failed += bool(offences)


def plant(path, text):
    with tempfile.TemporaryDirectory() as src:
        full = os.path.join(src, path)
        os.makedirs(os.path.dirname(full))
        with open(full, "w", encoding="utf-8") as f:
            f.write(text)
        return check_layers.check_tree(src)


def test_planted():
    for claim, path, text in PLANTED:
        said = plant(path, text)
        report("catches_" + claim, [] if len(said) == 1 else [f"expected one offence, got {said}"])
    report("leaves_comments_strings_and_members_alone", plant("serve/good.c", HARMLESS))


def test_headers_alone():
    compiler = os.environ.get("CC", "cc")
    offences = []
    for folder, _, files in sorted(os.walk(os.path.join(ROOT, "src"))):
        for name in sorted(f for f in files if f.endswith(".h")):
            path = os.path.join(folder, name)
            run = subprocess.run(
                [compiler, "-std=gnu17", "-D_GNU_SOURCE", "-fsyntax-only", "-x", "c", "-I", os.path.join(ROOT, "src"), "-include", path, os.devnull],
                capture_output=True, text=True)
            if run.returncode:
                offences.append(f"{os.path.relpath(path, ROOT)}: {run.stderr.splitlines()[0]}")
    report("each_header_compiles_alone", offences)


def tracked_files():
    run = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    if run.returncode:
        return None
    return [p for p in run.stdout.splitlines() if not p.endswith((".png", ".gz", ".bin"))]


def test_tree_is_clean():
    files = tracked_files()
    if files is None:
        global number
        number += 1
        print(f"ok {number} - no_marks_of_unfinished_work_and_no_private_paths # SKIP not a git checkout")
        return
    # Put together here so that this file does not find itself.
    marks = re.compile("|".join([r"\b" + "TO" + r"DO\b", r"\b" + "FIX" + r"ME\b", r"\b" + "X" + r"XX\b"]))
    private = re.compile("|".join(["/wo" + r"rk/(main|shared)", "/ro" + r"ot/", "registry" + r"\.npmjs", "pypi" + r"\.org", "proxy" + r"\.golang"]))
    offences = []
    for path in files:
        full = os.path.join(ROOT, path)
        if not os.path.isfile(full):
            continue
        with open(full, encoding="utf-8", errors="replace") as f:
            for n, line in enumerate(f, 1):
                if marks.search(line) or private.search(line):
                    offences.append(f"{path}:{n}: {line.strip()[:80]}")
    report("no_marks_of_unfinished_work_and_no_private_paths", offences)


def main():
    report("no_include_points_upward_and_pure_layers_stay_pure", check_layers.check_tree(os.path.join(ROOT, "src")))
    test_planted()
    test_headers_alone()
    test_tree_is_clean()
    print(f"1..{number}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
